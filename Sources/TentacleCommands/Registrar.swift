import AgentConfiguration
import OctopusClient
import SecureTransport

/// Registers this agent with a server (spec tentacle-cli.md 13).
///
/// In this order: check what was typed, check what the server knows, stage the new configuration file on disk, tell the
/// server, put the file in place. A failure before the last request leaves both sides as they were.
struct Registrar {
    let options: ParsedOptions
    let isWorker: Bool
    let context: CommandContext

    /// Where the server will find this agent, and what will be remembered of the server.
    private struct Contact {
        var style: CommunicationStyle
        /// Polling address; nil for a listening agent.
        var address: String?
        /// Subscription of a polling agent.
        var subscription: String?
        var uri: String
    }

    func run() throws {
        let server = try ServerOptions(self.options, self.context)
        let instance = try self.context.instance(self.options.selector)
        let kind = try self.kind()
        let registration = try RegistrationOptions(self.options, self.context)
        let configuration = try self.context.configuration(of: instance)
        guard let identity = try configuration.identity() else {
            throw CommandError(
                "No certificate has been generated for this Tentacle. Please run the new-certificate command first."
            )
        }
        try registration.checkCombinations()
        let contact = try self.contact(registration, server, configuration)
        let session = server.session(self.context, proxy: try self.proxy(configuration, registration))
        if let address = contact.address { try self.checkConnectivity(address, server, configuration) }
        self.context.console.info("Registering the tentacle with the server at \(server.address)")
        let prepared = try session.prepare(
            MachineRegistration(
                kind: kind,
                name: registration.name,
                force: self.options.isSet("force"),
                policy: self.options.text("policy"),
                proxy: self.options.text("proxy"),
                space: self.options.text("space"),
                communicationStyle: contact.style.wireName,
                uri: contact.uri,
                thumbprint: identity.thumbprint.description
            ),
            agentMajorVersion: ProductVersion.major
        )
        try self.commit(prepared, contact, session, instance)
        self.context.console.info("Machine registered successfully")
        self.context.remindOfRestart(instance)
    }

    private func commit(
        _ prepared: PreparedRegistration,
        _ contact: Contact,
        _ session: OctopusSession,
        _ instance: TentacleInstance
    ) throws {
        let path = instance.configurationPath
        try DurableFile.withLock(onDirectoryOf: path) {
            // Read again: somebody may have changed it while the server was asked.
            var configuration = try TentacleConfiguration.load(from: path, host: self.context.host)
            try self.change(&configuration, prepared.serverThumbprint, contact)
            let staged = try configuration.stage()
            _ = try session.commit(prepared)
            do throws(ConfigurationError) {
                try staged.commit()
            } catch {
                throw CommandError(
                    "The server knows this agent now, but its configuration could not be saved: \(error.message) "
                        + "Repeat the command with --force."
                )
            }
        }
    }

    /// What an agent remembers of the server it has been registered with.
    private func change(
        _ configuration: inout TentacleConfiguration,
        _ thumbprint: String,
        _ contact: Contact
    ) throws {
        var servers = try configuration.trustedServers()
        servers.upsert(
            TrustedServer(
                thumbprint: thumbprint,
                communicationStyle: contact.style,
                address: contact.address,
                subscriptionID: contact.subscription
            )
        )
        configuration.setTrustedServers(servers)
        guard contact.address != nil, configuration.text(.pollingConnectionCount) == nil else { return }
        let count = self.isWorker ? max(Self.workerConnections, self.context.processorCount) : 1
        self.context.console.info("Setting the polling connection count to \(count)")
        configuration.set(.pollingConnectionCount, count)
    }

    private static let workerConnections = 5

    private func kind() throws(CommandError) -> MachineRegistration.Kind {
        if self.isWorker {
            let pools = self.options.list("workerpool")
            guard !pools.isEmpty else {
                throw CommandError("Please specify a worker pool name, slug or Id, e.g., --workerpool=Default")
            }
            return .worker(pools: pools)
        }
        let environments = self.options.list("env")
        guard !environments.isEmpty else {
            throw CommandError("Please specify an environment name, slug or Id, e.g., --environment=Development")
        }
        let roles = self.options.list("role")
        guard !roles.isEmpty else { throw CommandError("Please specify a role name, e.g., --role=web-server") }
        return .target(
            environments: environments,
            roles: roles,
            tenants: self.options.list("tenant"),
            tenantTags: self.options.list("tenanttag"),
            participation: try self.participation()
        )
    }

    private func participation() throws(CommandError) -> String {
        let values = ["Untenanted", "TenantedOrUntenanted", "Tenanted"]
        guard let given = self.options.text("tenanted-deployment-participation") else { return values[0] }
        guard let value = values.first(where: { $0.lowercased() == given.lowercased() }) else {
            throw CommandError(
                "The value '\(given)' is not valid. Valid values are Untenanted, TenantedOrUntenanted and Tenanted."
            )
        }
        return value
    }

    private func contact(
        _ registration: RegistrationOptions,
        _ server: ServerOptions,
        _ configuration: TentacleConfiguration
    ) throws -> Contact {
        guard registration.isPolling else {
            let port = try configuration.integer(.port) ?? AgentSettings.defaultPort
            let address = try registration.listeningAddress(configuredPort: port)
            return Contact(style: .listening, uri: address.description)
        }
        let address = try registration.pollingAddress(server: server).withPort
        let servers = try configuration.trustedServers()
        let subscription = try registration.subscription(servers, at: address, self.context)
        return Contact(style: .polling, address: address, subscription: subscription, uri: subscription)
    }

    private func proxy(
        _ configuration: TentacleConfiguration,
        _ registration: RegistrationOptions
    ) throws -> TransportOptions.Proxy {
        try registration.isPolling ? configuration.pollingProxy().forRequests : configuration.proxy().forRequests
    }

    private func checkConnectivity(
        _ address: String,
        _ server: ServerOptions,
        _ configuration: TentacleConfiguration
    ) throws {
        let port = NetworkAddress(address)?.port ?? 0
        self.context.console.info("Checking connectivity on the server communications port \(port)...")
        let proxy = try configuration.pollingProxy().forDirectRequests
        let check = ConnectivityCheck(
            transport: self.context.transport,
            options: server.transportOptions(proxy),
            pause: self.context.pause
        )
        do throws(OctopusError) {
            try check.run(address)
        } catch {
            throw CommandError(
                .failure,
                "\(error.message) Check that \(address) can be reached, or give --server-comms-address or --server-comms-port."
            )
        }
        self.context.console.info("Connected successfully")
    }
}
