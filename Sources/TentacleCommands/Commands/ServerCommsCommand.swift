import AgentConfiguration

package struct ServerCommsCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "server-comms",
        summary: "Configures how the Tentacle communicates with an Octopus Server",
        options: CommonOptions.instance + [
            OptionDefinition(
                "thumbprint",
                help:
                    "The thumbprint of the Octopus Server to configure communication with; if only one Octopus Server is "
                    + "configured, this may be omitted"
            ),
            OptionDefinition(
                "style",
                help:
                    "The communication style to use with the Octopus Server - either TentacleActive or TentaclePassive",
                choices: RegistrationOptions.styles
            ),
            OptionDefinition(
                "host",
                help: "When using active communication, the host name of the Octopus Server"
            ),
            OptionDefinition(
                "port",
                kind: .integer,
                help: "When using active communication, the communications port of the Octopus Server; the default is "
                    + "\(Self.defaultPort)"
            ),
            OptionDefinition(
                "web-socket",
                help: "When using active communication over websockets, the address of the Octopus Server, e.g. "
                    + "'wss://example.com/OctopusComms'. Refer to http://g.octopushq.com/WebSocketComms"
            ),
        ]
    )

    private static let defaultPort = 10943

    private let selector: InstanceSelector
    private let options: ParsedOptions

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.options = options
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        try TentacleConfiguration.update(instance.configurationPath, host: context.host) { configuration in
            var servers = try configuration.trustedServers()
            try self.change(&servers, context)
            configuration.setTrustedServers(servers)
        }
        context.console.info("Updated server communications configuration")
        context.remindOfRestart(instance)
    }

    private func change(_ servers: inout [TrustedServer], _ context: CommandContext) throws(CommandError) {
        guard !servers.isEmpty else {
            throw CommandError(
                "Before server communications can be modified, trust must be established with the configure command"
            )
        }
        let thumbprint = try self.thumbprint(servers)
        let style = try self.style()
        let candidates = servers.filter { $0.thumbprint.lowercased() == thumbprint.lowercased() }
        guard let candidate = candidates.first else {
            throw CommandError("No trusted server was found with the supplied thumbprint")
        }
        // As it is written there already.
        let new = TrustedServer(thumbprint: candidate.thumbprint, communicationStyle: style)
        guard style == .polling else {
            var server = candidates.first { $0.address == nil } ?? new
            server.communicationStyle = style
            return servers.upsert(server)
        }
        let address = try self.address()
        let undecided = candidates.first { $0.communicationStyle == .none }
        let existing = candidates.first { $0.hasAddress(address) } ?? undecided
        var server = existing ?? new
        server.communicationStyle = style
        server.address = address
        if server.effectiveSubscriptionID == nil {
            let other = candidates.first { $0.communicationStyle == .polling && $0.effectiveSubscriptionID != nil }
            server.subscriptionID = other?.effectiveSubscriptionID ?? context.makeSubscriptionID()
        }
        // What was trusted without saying how is this server now.
        if let existing, let index = servers.firstIndex(of: existing) { servers.remove(at: index) }
        servers.upsert(server)
    }

    private func thumbprint(_ servers: [TrustedServer]) throws(CommandError) -> String {
        if let given = self.options.text("thumbprint") { return Thumbprints.trimmed(given) }
        guard Set(servers.map { $0.thumbprint.lowercased() }).count == 1 else {
            throw CommandError(
                "More than one server is trusted; please provide the thumbprint of the server to configure, e.g. "
                    + "--thumbprint=..."
            )
        }
        return servers[0].thumbprint
    }

    private func style() throws(CommandError) -> CommunicationStyle {
        let style = self.options.text("style").flatMap { CommunicationStyle(wireName: $0) }
        guard let style, style == .listening || style == .polling else {
            throw CommandError("Please specify a valid communications style, e.g. --style=TentaclePassive")
        }
        return style
    }

    /// Where a polling agent finds the server, as it is written into the file.
    private func address() throws(CommandError) -> String {
        switch (self.options.text("host"), self.options.text("web-socket")) {
        case (nil, nil):
            throw CommandError("Please provide either the server hostname or websocket address, e.g. --host=OCTOPUS")
        case (.some, .some): throw CommandError("The hostname and websocket options cannot be used together")
        case (let host?, nil): return try self.address(host: host)
        case (nil, let socket?): return try Self.address(socket: socket)
        }
    }

    private func address(host: String) throws(CommandError) -> String {
        let port = self.options.integer("port") ?? Self.defaultPort
        guard (1...65535).contains(port) else {
            throw CommandError("The port \(port) of --port is not valid. Give a port from 1 to 65535.")
        }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        let name = isBracketed ? String(host.dropFirst().dropLast()) : host
        let isSix = name.contains(":")
        let written = isSix ? "[\(name)]" : name
        // A port or a path in the host's name would change what is written.
        guard let address = NetworkAddress("https://\(written):\(port)/"), !isSix || LiteralAddress.isValid(name),
            address == NetworkAddress(scheme: "https", host: written, port: port)
        else {
            throw CommandError(
                "The server's host name '\(host)' is not valid. Give a host name or an IP address, e.g. --host=OCTOPUS"
            )
        }
        return address.withPort
    }

    private static func address(socket: String) throws(CommandError) -> String {
        guard var address = NetworkAddress(socket), ["wss", "https"].contains(address.scheme) else {
            throw CommandError("The websocket address must start with wss://")
        }
        address.scheme = "wss"
        var text = address.description
        if address.path == "/" { text.removeLast() }
        return text
    }
}
