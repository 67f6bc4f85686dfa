import AgentConfiguration
import OctopusClient

/// Where a polling agent finds its server, from the options that `register-with` and `poll-server` share.
///
/// Spec tentacle-cli.md 13.1 and 13.4.
struct PollingAddress {
    static let port = OptionDefinition(
        "server-comms-port",
        kind: .integer,
        help: "When using active communication, the comms port on the Octopus Server; the default is 10943"
    )
    static let address = OptionDefinition(
        "server-comms-address",
        help:
            "When using active communication, the comms address on the Octopus Server; the address of the Octopus Server "
            + "will be used if omitted."
    )
    static let webSocket = OptionDefinition(
        "server-web-socket",
        help: "When using active communication over websockets, the address of the Octopus Server",
        isHidden: true
    )

    private static let defaultPort = 10943

    let options: ParsedOptions

    /// Both at once are refused whatever the style of the agent.
    func checkCombinations() throws(CommandError) {
        guard self.options.text("server-web-socket") == nil || self.options.text("server-comms-address") == nil else {
            throw CommandError("Please specify a --server-web-socket, or a --server-comms-address - not both.")
        }
    }

    func checkPlatform() throws(CommandError) {
        guard self.options.text("server-web-socket") == nil else {
            throw CommandError("Websockets is only supported on Windows Server 2012 and later")
        }
    }

    /// `https://host:port`: the port option, else the address's own port, its scheme's included.
    ///
    /// The host is that of the server's API where no address is given.
    func resolve(server: String?) throws(CommandError) -> NetworkAddress {
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
        guard let server else {
            throw CommandError(.failure, "You must specify either a WebSocketAddress or a ServerCommsAddress")
        }
        guard let host = NetworkAddress(server)?.host else {
            throw CommandError("The server address '\(server)' has no host. Give --server-comms-address.")
        }
        return NetworkAddress(scheme: "https", host: host, port: port ?? Self.defaultPort)
    }

    static func check(_ port: Int, _ option: String) throws(CommandError) {
        guard (1...65535).contains(port) else {
            throw CommandError("The port \(port) of --\(option) is not valid. Give a port from 1 to 65535.")
        }
    }

    /// Asks whether somebody answers at the server's port for polling agents; through the polling proxy, if there is one.
    static func checkConnectivity(
        of address: NetworkAddress,
        _ server: ServerOptions,
        _ configuration: TentacleConfiguration,
        _ context: CommandContext
    ) throws {
        context.console.info("Checking connectivity on the server communications port \(address.port)...")
        let check = ConnectivityCheck(
            transport: context.transport,
            options: server.transportOptions(try configuration.pollingProxy().forDirectRequests),
            pause: context.pause
        )
        do throws(OctopusError) {
            try check.run(address.withPort)
        } catch {
            throw CommandError(
                .failure,
                "\(error.message) Check that \(address.withPort) can be reached, or give --server-comms-address or "
                    + "--server-comms-port."
            )
        }
        context.console.info("Connected successfully")
    }
}
