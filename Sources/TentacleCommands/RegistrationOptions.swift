import AgentConfiguration
import OctopusClient

/// What `register-with` and `register-worker` are told on the command line (spec tentacle-cli.md 13.1).
struct RegistrationOptions: Sendable {
    static let definitions =
        CommonOptions.instance + ServerOptions.definitions + [
            OptionDefinition("name", help: "Name of the machine when registered; the default is the hostname"),
            OptionDefinition("policy", help: "The name of a machine policy that applies to this machine"),
            OptionDefinition(
                "publicHostName",
                "h",
                "public-hostname",
                help: "An Octopus-accessible DNS name/IP address for this machine; the default is the hostname"
            ),
            OptionDefinition("force", "f", kind: .flag, help: "Allow overwriting of existing machines"),
            OptionDefinition(
                "comms-style",
                help:
                    "The communication style to use - either TentacleActive or TentaclePassive; the default is TentaclePassive"
            ),
            OptionDefinition(
                "proxy",
                help:
                    "When using passive communication, the name of a proxy that Octopus should connect to the Tentacle through - "
                    + "e.g., 'Proxy ABC' where the proxy name is already configured in Octopus; the default is to connect to the "
                    + "machine directly"
            ),
            OptionDefinition(
                "space",
                help: "The name of the space within which this command will be executed. E.g. 'Finance Department'"
            ),
            OptionDefinition(
                "server-comms-port",
                kind: .integer,
                help: "When using active communication, the comms port on the Octopus Server; the default is 10943"
            ),
            OptionDefinition(
                "server-comms-address",
                help:
                    "When using active communication, the comms address on the Octopus Server; the address of the Octopus Server "
                    + "will be used if omitted."
            ),
            OptionDefinition(
                "server-web-socket",
                help: "When using active communication over websockets, the address of the Octopus Server",
                isHidden: true
            ),
            OptionDefinition(
                "server-subscription-id",
                help: "The subscription to use when registering a polling Tentacle; generated if omitted"
            ),
            OptionDefinition(
                "tentacle-comms-port",
                kind: .integer,
                help:
                    "When using passive communication, the comms port that the Octopus Server is instructed to call back on to "
                    + "reach this machine; defaults to the configured listening port"
            ),
        ]

    let options: ParsedOptions
    let isPolling: Bool
    let name: String
    let publicHostName: String

    /// Row 4 of the checks before any network traffic; the others need the instance and are in `Registrar`.
    init(_ options: ParsedOptions, _ context: CommandContext) throws(CommandError) {
        let style = options.text("comms-style").map { CommunicationStyle(wireName: $0) } ?? .listening
        guard style == .listening || style == .polling else {
            throw CommandError("Please specify a valid communications style, e.g. --comms-style=TentaclePassive")
        }
        self.options = options
        self.isPolling = style == .polling
        self.name = options.text("name") ?? context.hostName
        self.publicHostName = options.text("publicHostName") ?? context.hostName
    }

    /// Rows 6 and 7, and what follows from the platform.
    func checkCombinations() throws(CommandError) {
        guard !self.isPolling || self.options.text("proxy") == nil else {
            throw CommandError(
                "Option --proxy can only be used with --comms-style=TentaclePassive.  To set a proxy for a polling Tentacle "
                    + "use the polling-proxy command first and then register the Tentacle with register-with."
            )
        }
        guard let socket = self.options.text("server-web-socket") else { return }
        guard self.options.text("server-comms-address") == nil else {
            throw CommandError("Please specify a --server-web-socket, or a --server-comms-address - not both.")
        }
        throw CommandError(
            "Websockets is only supported on Windows Server 2012 and later (--server-web-socket=\(socket))"
        )
    }

    /// `https://host:port` to poll: the port option, else the address's own port, its scheme's included (spec 13.4).
    func pollingAddress(server: ServerOptions) throws(CommandError) -> NetworkAddress {
        let port = self.options.integer("server-comms-port")
        if let port { try Self.check(port, "server-comms-port") }
        if let text = self.options.text("server-comms-address") {
            guard let address = NetworkAddress(text), ["http", "https"].contains(address.scheme) else {
                throw CommandError(
                    "The --server-comms-address '\(text)' is not valid. Give it with its scheme, e.g. https://octopus:10943"
                )
            }
            return NetworkAddress(scheme: "https", host: address.host, port: port ?? address.port)
        }
        guard let host = NetworkAddress(server.addressText)?.host else {
            throw CommandError("The server address '\(server.addressText)' has no host. Give --server-comms-address.")
        }
        return NetworkAddress(scheme: "https", host: host, port: port ?? Self.defaultPollingPort)
    }

    /// `https://host:port/` at which the server finds a listening agent.
    func listeningAddress(configuredPort: Int) throws(CommandError) -> NetworkAddress {
        let port = self.options.integer("tentacle-comms-port") ?? configuredPort
        try Self.check(port, "tentacle-comms-port")
        let isSix = self.publicHostName.contains(":") && !self.publicHostName.hasPrefix("[")
        let host = isSix ? "[\(self.publicHostName)]" : self.publicHostName
        guard let address = NetworkAddress("https://\(host):\(port)/"), address.path == "/" else {
            throw CommandError(
                "The public host name '\(self.publicHostName)' is not valid. Give a host name or an IP address, e.g. "
                    + "--publicHostName=web01.example.com"
            )
        }
        return address
    }

    func subscription(
        _ servers: [TrustedServer],
        at address: String,
        _ context: CommandContext
    ) throws(CommandError) -> String {
        let existing = servers.first { $0.communicationStyle == .polling && $0.hasAddress(address) }
        if let subscription = existing?.effectiveSubscriptionID { return subscription }
        guard let given = self.options.text("server-subscription-id") else { return context.makeSubscriptionID() }
        guard let address = NetworkAddress(given), address.scheme == "poll" else {
            throw CommandError("The ServerSubscriptionId must start with \(SubscriptionID.scheme)")
        }
        return given
    }

    private static let defaultPollingPort = 10943

    private static func check(_ port: Int, _ option: String) throws(CommandError) {
        guard (1...65535).contains(port) else {
            throw CommandError("The port \(port) of --\(option) is not valid. Give a port from 1 to 65535.")
        }
    }
}
