package struct HelpCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "help",
        aliases: ["h", "?"],
        summary: "Prints this help text",
        options: [CommonOptions.format],
        ignoresUnrecognised: true
    )

    private let word: String?
    private let format: Format

    /// Formats that nobody knows are text (spec tentacle-cli.md 3); manual pages are ours.
    private enum Format: String {
        case text, json, man
    }

    package init(_ options: ParsedOptions) {
        self.word = options.unrecognised.first
        self.format = options.text("format").flatMap { Format(rawValue: $0.lowercased()) } ?? .text
    }

    package func run(_ context: CommandContext) {
        let page = HelpPage(program: context.programName)
        if let word, let command = CommandTable.find(word)?.definition {
            let name = CommandTable.normalized(word)
            switch self.format {
            case .text: context.console.write(page.page(command, calledAs: name))
            case .json: context.console.write(page.pageJSON(command))
            case .man: context.console.write(ManualPage().page(command))
            }
        } else if let word, word.first?.isLetter == true {
            context.console.error("Command '\(word)' is not supported")
            if let name = CommandTable.suggestion(for: word) { context.console.error("Did you mean '\(name)'?") }
            context.console.write("See '\(context.programName) help'\n")
        } else {
            let commands = CommandTable.visible
            switch self.format {
            case .text: context.console.write(page.general(commands))
            case .json: context.console.write(page.generalJSON(commands))
            case .man: context.console.write(ManualPage().general(commands))
            }
        }
    }
}
