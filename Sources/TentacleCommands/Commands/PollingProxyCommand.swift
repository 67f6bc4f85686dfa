package struct PollingProxyCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "polling-proxy",
        summary: "Configure the HTTP proxy used by polling Tentacles to reach the Octopus Server",
        options: CommonOptions.instance + ProxyChange.definitions
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try ProxyChange(self.options, .polling).run(context)
    }
}
