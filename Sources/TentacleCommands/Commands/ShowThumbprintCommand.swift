import AgentConfiguration

package struct ShowThumbprintCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "show-thumbprint",
        summary: "Show the thumbprint of this Tentacle's certificate",
        options: CommonOptions.instance + [
            OptionDefinition("export-file", "e", help: "Exports the Tentacle thumbprint to a file"),
            OptionDefinition(
                "thumbprint-only",
                kind: .flag,
                help: "DEPRECATED: Only print out the thumbprint, with no additional text"
            ),
            CommonOptions.format,
        ],
        isQuiet: true
    )

    private let selector: InstanceSelector
    private let exportFile: String?
    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.exportFile = options.text("export-file")
        self.format = try OutputFormat(options)
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        let thumbprint = try context.configuration(of: instance).thumbprint
        let text: String
        switch self.format {
        case .text: text = thumbprint ?? ""
        case .json: text = OrderedJSON.object([.init("Thumbprint", .string(orNull: thumbprint))]).compact
        }
        guard let exportFile else { return context.console.write(text) }
        try DurableFile.write(Array(text.utf8), to: context.host.absolute(exportFile), mode: 0o644)
    }
}
