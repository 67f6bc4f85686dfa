import AgentConfiguration
import OctopusClient

package struct ShowConfigurationCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "show-configuration",
        summary: "Outputs the Tentacle configuration",
        options: CommonOptions.instance + [
            OptionDefinition(
                "file",
                help: "Exports the configuration to a file. If not specified output goes to the console"
            ),
            OptionDefinition(
                "space",
                help: "The space from which the server's side of the configuration will be retrieved, - e.g. 'Finance "
                    + "Department' where Finance Department is the name of an existing space; the default value is the "
                    + "Default space, if one is designated."
            ),
        ] + ServerOptions.definitions,
        isQuiet: true
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        // Nothing of a server is fine, half of it is not.
        let server = ServerOptions.isGiven(self.options) ? try ServerOptions(self.options, context) : nil
        let instance = try context.instance(self.options.selector)
        let configuration = try context.configuration(of: instance)
        let serverSide = try server.flatMap { try self.ask($0, configuration, context) }
        let text = try Self.json(of: configuration, serverSide).indented
        guard let file = self.options.text("file") else { return context.console.write(text + "\n") }
        let path = context.host.absolute(file)
        try DurableFile.makeDirectory(FilePathText.directory(of: path))
        try DurableFile.write(Array(text.utf8), to: path, mode: 0o644)
    }

    private func ask(
        _ server: ServerOptions,
        _ configuration: TentacleConfiguration,
        _ context: CommandContext
    ) throws -> ServerSideConfiguration? {
        guard let thumbprint = configuration.thumbprint else {
            throw CommandError(
                "No certificate has been generated for this Tentacle. Unable to display configuration."
            )
        }
        let session = server.session(context, proxy: try configuration.pollingProxy().forDirectRequests)
        do {
            let found = try ServerSideConfiguration.read(
                session,
                thumbprint: thumbprint,
                space: self.options.text("space")
            )
            if found == nil {
                context.console.error(
                    "No machines or workers were found on the specified server with the thumbprint '\(thumbprint)'. Unable to "
                        + "retrieve server side configuration."
                )
            }
            return found
        } catch let error as OctopusError where error.code == .notFound || error.code == .unreadable {
            throw CommandError(
                "The specified server '\(server.addressText)' did not appear to be an Octopus Server. Check the server URL "
                    + "and try again."
            )
        }
    }

    /// Members sorted by name; certificate and proxies are left out on purpose (spec tentacle-cli.md 4.11).
    private static func json(
        of configuration: TentacleConfiguration,
        _ serverSide: ServerSideConfiguration?
    ) throws -> OrderedJSON {
        let watchdog = OrderedJSON.object([
            .init("Enabled", .bool(false)), .init("Instances", .string("*")), .init("Interval", .integer(0)),
        ])
        let services = OrderedJSON.object([
            .init("ListenIP", .string(orNull: configuration.text(.listenAddress))),
            .init("NoListen", .bool(try configuration.boolean(.noListen) ?? false)),
            .init("PortNumber", .integer(Int64(try configuration.integer(.port) ?? AgentSettings.defaultPort))),
        ])
        var tentacle: [OrderedJSON.Member] = [
            .init("CertificateThumbprint", .string(orNull: configuration.thumbprint)),
            .init("Communication", try Self.communication(configuration, serverSide)),
            .init(
                "Deployment",
                .object([.init("ApplicationDirectory", .string(configuration.applicationDirectory))])
            ),
            .init("Services", services),
        ]
        // Only where it is set: the page is the stock agent's otherwise.
        if let policy = configuration.text(.sandboxPolicy) {
            tentacle.append(.init("Sandbox", .object([.init("Policy", .string(policy))])))
        }
        tentacle += serverSide?.members ?? []
        return .object([
            .init(
                "Octopus",
                .object([
                    .init("Home", .string(orNull: configuration.homeDirectory)), .init("Watchdog", watchdog),
                ])
            ),
            .init("Tentacle", .object(tentacle.sorted { $0.name < $1.name })),
        ])
    }

    private static func communication(
        _ configuration: TentacleConfiguration,
        _ serverSide: ServerSideConfiguration?
    ) throws -> OrderedJSON {
        let count = try configuration.integer(.pollingConnectionCount)
        let host = serverSide?.publicHostName.map { OrderedJSON.Member("PublicHostName", .string($0)) }
        return .object(
            [.init("PollingConnectionCount", count.map { .integer(Int64($0)) } ?? .null)]
                + [host].compactMap(\.self) + [
                    .init("TrustedOctopusServers", .array(try configuration.trustedServers().map(\.json)))
                ]
        )
    }
}
