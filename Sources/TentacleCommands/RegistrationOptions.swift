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
                    "The communication style to use - either TentacleActive or TentaclePassive; the default is TentaclePassive",
                choices: Self.styles
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
            PollingAddress.port, PollingAddress.address, PollingAddress.webSocket,
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
            DryRun.option,
        ]

    static let ofTargets = [
        OptionDefinition(
            "env",
            "environment",
            help:
                "The environment name, slug or Id to add the machine to - e.g., 'Production'; specify this argument multiple "
                + "times to add multiple environments"
        ),
        OptionDefinition(
            "role",
            "r",
            help:
                "The machine role that the machine will assume - e.g., 'web-server'; specify this argument multiple times to "
                + "add multiple roles"
        ),
        OptionDefinition(
            "tenant",
            help:
                "A tenant who the machine will be connected to; specify this argument multiple times to add multiple tenants"
        ),
        OptionDefinition(
            "tenanttag",
            help:
                "A tenant tag which the machine will be tagged with - e.g., 'CustomerType/VIP'; specify this argument "
                + "multiple times to add multiple tenant tags"
        ),
        OptionDefinition(
            "tenanted-deployment-participation",
            help: "How the machine should participate in tenanted deployments. Allowed values are Untenanted, "
                + "TenantedOrUntenanted and Tenanted.",
            choices: Self.participations
        ),
    ]

    static let ofWorkers = [
        OptionDefinition(
            "workerpool",
            help:
                "The worker pool name, slug or Id to add the machine to - e.g., 'Windows Pool'; specify this argument "
                + "multiple times to add multiple pools"
        )
    ]

    static let styles = [CommunicationStyle.listening, .polling].map(\.wireName)
    /// The first one is the default.
    static let participations = ["Untenanted", "TenantedOrUntenanted", "Tenanted"]

    let options: ParsedOptions
    let isPolling: Bool
    let name: String
    let publicHostName: String

    /// Row 4 of the checks before any network traffic; the others need the instance and are in `Registrar`.
    init(
        _ options: ParsedOptions,
        _ context: CommandContext,
        defaultStyle: CommunicationStyle
    ) throws(CommandError) {
        let style = options.text("comms-style").map { CommunicationStyle(wireName: $0) } ?? defaultStyle
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
        let address = PollingAddress(options: self.options)
        try address.checkCombinations()
        if self.isPolling { try address.checkPlatform() }
    }

    /// `https://host:port/` at which the server finds a listening agent.
    func listeningAddress(configuredPort: Int) throws(CommandError) -> NetworkAddress {
        let port = self.options.integer("tentacle-comms-port") ?? configuredPort
        try PollingAddress.check(port, "tentacle-comms-port")
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
        let given = self.options.text("server-subscription-id")
        if let given, NetworkAddress(given)?.scheme != "poll" {
            throw CommandError("The ServerSubscriptionId must start with \(SubscriptionID.scheme)")
        }
        let existing = servers.first { $0.communicationStyle == .polling && $0.hasAddress(address) }
        return existing?.effectiveSubscriptionID ?? given ?? context.makeSubscriptionID()
    }
}
