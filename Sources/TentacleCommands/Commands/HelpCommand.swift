package struct HelpCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "help",
        aliases: ["h", "?"],
        summary: "Prints this help text",
        options: [CommonOptions.format],
        ignoresUnrecognised: true
    )

    private let word: String?
    private let isJSON: Bool

    package init(_ options: ParsedOptions) {
        self.word = options.unrecognised.first
        self.isJSON = options.text("format")?.lowercased() == "json"
    }

    package func run(_ context: CommandContext) {
        let page = HelpPage(program: context.programName)
        if let word, let command = CommandTable.find(word)?.definition {
            let name = CommandTable.normalized(word)
            context.console.write(self.isJSON ? page.pageJSON(command) : page.page(command, calledAs: name))
        } else if let word, word.first?.isLetter == true {
            context.console.error("Command '\(word)' is not supported")
            if let name = CommandTable.suggestion(for: word) { context.console.error("Did you mean '\(name)'?") }
            context.console.write("See '\(context.programName) help'\n")
        } else {
            let commands = CommandTable.all.map { $0.definition }.filter { !$0.isHidden }
            context.console.write(self.isJSON ? page.generalJSON(commands) : page.general(commands))
        }
    }
}
