package struct ProxyCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "proxy",
        summary: "Configure the HTTP proxy used by Octopus",
        options: CommonOptions.instance + ProxyChange.definitions
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try ProxyChange(self.options, .scripts).run(context)
    }
}
