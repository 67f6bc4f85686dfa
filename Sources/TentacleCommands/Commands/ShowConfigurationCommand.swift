import AgentConfiguration

package struct ShowConfigurationCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "show-configuration",
        summary: "Outputs the Tentacle configuration",
        options: CommonOptions.instance + [
            OptionDefinition(
                "file",
                help: "Exports the configuration to a file. If not specified output goes to the console"
            )
        ],
        isQuiet: true
    )

    private let selector: InstanceSelector
    private let file: String?

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.file = options.text("file")
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        let text = try Self.json(of: try context.configuration(of: instance)).indented
        guard let file else { return context.console.write(text + "\n") }
        let path = context.host.absolute(file)
        try DurableFile.makeDirectory(FilePathText.directory(of: path))
        try DurableFile.write(Array(text.utf8), to: path, mode: 0o644)
    }

    /// Members sorted by name; certificate and proxies are left out on purpose (spec tentacle-cli.md 4.11).
    private static func json(of configuration: TentacleConfiguration) throws -> OrderedJSON {
        let count = try configuration.integer(.pollingConnectionCount)
        let communication = OrderedJSON.object([
            .init("PollingConnectionCount", count.map { .integer(Int64($0)) } ?? .null),
            .init("TrustedOctopusServers", .array(try configuration.trustedServers().map(\.json))),
        ])
        let services = OrderedJSON.object([
            .init("ListenIP", .string(orNull: configuration.text(.listenAddress))),
            .init("NoListen", .bool(try configuration.boolean(.noListen) ?? false)),
            .init("PortNumber", .integer(Int64(try configuration.integer(.port) ?? AgentSettings.defaultPort))),
        ])
        let watchdog = OrderedJSON.object([
            .init("Enabled", .bool(false)), .init("Instances", .string("*")), .init("Interval", .integer(0)),
        ])
        // Only where it is set: the page is the stock agent's otherwise.
        let sandbox = configuration.text(.sandboxPolicy).map {
            OrderedJSON.Member("Sandbox", .object([.init("Policy", .string($0))]))
        }
        return .object([
            .init(
                "Octopus",
                .object([
                    .init("Home", .string(orNull: configuration.homeDirectory)), .init("Watchdog", watchdog),
                ])
            ),
            .init(
                "Tentacle",
                .object(
                    [
                        .init("CertificateThumbprint", .string(orNull: configuration.thumbprint)),
                        .init("Communication", communication),
                        .init(
                            "Deployment",
                            .object([
                                .init("ApplicationDirectory", .string(configuration.applicationDirectory))
                            ])
                        ),
                    ] + [sandbox].compactMap(\.self) + [.init("Services", services)]
                )
            ),
        ])
    }
}
