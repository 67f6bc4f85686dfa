import AgentConfiguration
import OctopusClient

/// Adds another address, of a cluster's next node, to a server that is polled already (spec tentacle-cli.md 14.2).
package struct PollServerCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "poll-server",
        summary: "Configures an Octopus Server that this Tentacle will poll",
        options: CommonOptions.instance + ServerOptions.definitions + [
            PollingAddress.address, PollingAddress.port, PollingAddress.webSocket,
            OptionDefinition(
                "reuse-server-thumbprint",
                kind: .flag,
                help: "Reuse the Server Thumbprint from the first trusted server instance currently configured; the "
                    + "server is not asked"
            ),
            DryRun.option,
        ]
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        let reuses = self.options.isSet("reuse-server-thumbprint")
        let server = reuses ? nil : try ServerOptions(self.options, context)
        let instance = try context.instance(self.options.selector)
        let configuration = try context.configuration(of: instance)
        let option = PollingAddress(options: self.options)
        try option.checkCombinations()
        try option.checkPlatform()
        let address = try option.resolve(server: server?.addressText)
        let thumbprint = try server.map { try self.thumbprint(of: $0, address, configuration, context) }
        func entry(_ servers: [TrustedServer]) throws(CommandError) -> TrustedServer {
            guard let thumbprint, let server else { return try Self.copy(of: servers.first, at: address) }
            return try Self.entry(thumbprint, at: address, servers, Hint(instance: instance, server: server))
        }
        guard !self.options.isSet(DryRun.option.name) else {
            let dryRun = DryRun(context: context)
            let new = try entry(try configuration.trustedServers())
            dryRun.begin()
            return dryRun.show(new, in: configuration.path)
        }
        try TentacleConfiguration.update(instance.configurationPath, host: context.host) { configuration in
            var servers = try configuration.trustedServers()
            servers.upsert(try entry(servers))
            configuration.setTrustedServers(servers)
        }
        context.console.info("Polling endpoint configured")
        context.remindOfRestart(instance)
    }

    private func thumbprint(
        of server: ServerOptions,
        _ address: NetworkAddress,
        _ configuration: TentacleConfiguration,
        _ context: CommandContext
    ) throws -> String {
        try PollingAddress.checkConnectivity(of: address, server, configuration, context)
        context.console.info("Configuring Tentacle to poll the server at \(server.address)")
        let proxy = try configuration.pollingProxy().forDirectRequests
        return try server.session(context, proxy: proxy).serverThumbprint()
    }

    /// The commands that a refusal names.
    private struct Hint {
        var instance: TentacleInstance
        var server: ServerOptions

        var selection: String { self.instance.name.map { " --instance \($0)" } ?? "" }
        var host: String { NetworkAddress(self.server.addressText)?.host ?? self.server.addressText }
    }

    /// The new address with the subscription of the others of the same server.
    private static func entry(
        _ thumbprint: String,
        at address: NetworkAddress,
        _ servers: [TrustedServer],
        _ hint: Hint
    ) throws(CommandError) -> TrustedServer {
        let known = servers.filter { $0.thumbprint.lowercased() == thumbprint.lowercased() }
        guard !known.isEmpty else {
            throw CommandError(
                "The Octopus Server with the thumbprint '\(thumbprint)' is not yet trusted. \n"
                    + "Trust this Octopus Server using 'Tentacle configure --trust=\"\(thumbprint)\"\(hint.selection)'"
            )
        }
        let polled = known.first { $0.communicationStyle == .polling && $0.effectiveSubscriptionID != nil }
        guard let polled else {
            let style = "--style=TentacleActive\(hint.selection)"
            let command = "'Tentacle server-comms --thumbprint=\"\(thumbprint)\" \(style)"
            throw CommandError(
                "This Tentacle has not been configured to connect to the specified Octopus Server as a polling "
                    + "Tentacle. \n"
                    + "Reconfigure this Tentacle to poll the server using either:\n"
                    + "\(command) --host \(hint.host)' or \n\(command) --web-socket <web-socket-address>'"
            )
        }
        return TrustedServer(
            thumbprint: polled.thumbprint,
            communicationStyle: .polling,
            address: address.withPort,
            subscriptionID: polled.effectiveSubscriptionID
        )
    }

    /// The first server as it is, but for the address.
    private static func copy(
        of first: TrustedServer?,
        at address: NetworkAddress
    ) throws(CommandError) -> TrustedServer {
        guard let first else {
            throw CommandError(
                .failure,
                "No server is trusted yet, so there is no thumbprint to reuse. Register this Tentacle first, or run the "
                    + "configure command with --trust."
            )
        }
        return TrustedServer(
            thumbprint: first.thumbprint,
            communicationStyle: first.communicationStyle,
            address: address.withPort,
            subscriptionID: first.effectiveSubscriptionID
        )
    }
}
