import AgentConfiguration
import OctopusClient
import SecureTransport

/// Registers this agent with a server (spec tentacle-cli.md 13).
///
/// In this order: check what was typed, check what the server knows, stage the new configuration file on disk, tell the
/// server, put the file in place. A failure before the last request leaves both sides as they were; a command that is cut
/// short after it is repeated as it was: see `PreparedRegistration.Occasion`.
struct Registrar {
    /// How much is said.
    enum Manner {
        /// As the stock agent: what scripts expect.
        case stock
        /// Steps on the way for a terminal, and a summary at the end; an agent that does not listen polls.
        case friendly
    }

    let options: ParsedOptions
    let isWorker: Bool
    var manner = Manner.stock
    let context: CommandContext

    /// Where the server will find this agent, and what will be remembered of the server.
    private struct Contact {
        var style: CommunicationStyle
        /// Where to poll; nil for a listening agent.
        var address: NetworkAddress?
        /// Subscription of a polling agent.
        var subscription: String?
        var uri: String

        func trustedServer(_ thumbprint: String) -> TrustedServer {
            TrustedServer(
                thumbprint: thumbprint,
                communicationStyle: self.style,
                address: self.address?.withPort,
                subscriptionID: self.subscription
            )
        }

        /// Whether the entry is what a registration with this contact has left.
        func describes(_ server: TrustedServer) -> Bool {
            var expected = self.trustedServer(server.thumbprint)
            expected.subscriptionID = server.subscriptionID
            return server.isSameEndpoint(as: expected) && server.communicationStyle == self.style
        }
    }

    func run() throws {
        let server = try ServerOptions(self.options, self.context)
        let instance = try self.context.instance(self.options.selector)
        let configuration = try self.context.configuration(of: instance)
        let kind = try self.kind()
        let registration = try RegistrationOptions(
            self.options,
            self.context,
            defaultStyle: try self.defaultStyle(configuration)
        )
        guard let identity = try configuration.identityToRegister() else {
            throw CommandError(
                "No certificate has been generated for this Tentacle. Please run the new-certificate command first."
            )
        }
        try registration.checkCombinations()
        let contact = try self.contact(registration, server, configuration)
        let session = server.session(self.context, proxy: try self.proxy(configuration, registration))
        if let address = contact.address {
            try PollingAddress.checkConnectivity(of: address, server, configuration, self.context)
        }
        self.context.console.info("Registering the tentacle with the server at \(server.address)")
        if self.manner == .friendly, self.context.console.isTerminal { session.onStep = self.context.console.info }
        let machine = MachineRegistration(
            kind: kind,
            name: registration.name,
            force: self.options.isSet("force"),
            policy: self.options.text("policy"),
            proxy: self.options.text("proxy"),
            space: self.options.text("space"),
            communicationStyle: contact.style.wireName,
            uri: contact.uri,
            thumbprint: identity.thumbprint.description,
            completedWith: try configuration.trustedServers().filter(contact.describes).map(\.thumbprint)
        )
        let prepared = try Self.controlled { () throws(OctopusError) in
            try session.prepare(machine, agentMajorVersion: ProductVersion.major)
        }
        guard !self.options.isSet(DryRun.option.name) else {
            return try self.show(prepared, contact, configuration, session)
        }
        if prepared.occasion == .completion {
            self.context.console.info(
                "The server knows this agent already, from a registration that was cut short; it is completed now."
            )
        }
        let answer = try self.commit(prepared, contact, session, instance)
        self.context.console.info("Machine registered successfully")
        self.context.remindOfRestart(instance)
        guard self.manner == .friendly else { return }
        let summary = RegistrationSummary(
            server: server.address.description,
            registration: machine,
            prepared: prepared,
            machine: answer,
            pollingAddress: contact.address?.withPort
        )
        for line in [""] + summary.lines { self.context.console.info(line) }
    }

    /// What the server finds wrong with the registration itself is a controlled failure (spec 12.2).
    private static func controlled<Result>(_ body: () throws(OctopusError) -> Result) throws -> Result {
        do throws(OctopusError) {
            return try body()
        } catch {
            throw error.code == .validation ? CommandError(error.message) : CommandError(error)
        }
    }

    private func commit(
        _ prepared: PreparedRegistration,
        _ contact: Contact,
        _ session: OctopusSession,
        _ instance: TentacleInstance
    ) throws -> JSONValue {
        // Read again: somebody may have changed it while the server was asked.
        try TentacleConfiguration.withLock(on: instance.configurationPath, host: self.context.host) { current in
            var configuration = current
            let server = contact.trustedServer(prepared.serverThumbprint)
            try configuration.noteRegistration(as: prepared.body["Endpoint"]?.text("Thumbprint"), with: server)
            try self.change(&configuration, server)
            let isChangeComplete = try configuration.completeOverlapIfAllKnow()
            let staged = try configuration.stage()
            let answer = try Self.controlled { () throws(OctopusError) in try session.commit(prepared) }
            do throws(ConfigurationError) {
                try staged.commit()
            } catch {
                throw CommandError(
                    "The server knows this agent now, but its configuration could not be saved: \(error.message) "
                        + "Repeat the command."
                )
            }
            if isChangeComplete { self.context.console.info(CertificateChange.completed) }
            return answer
        }
    }

    /// What an agent remembers of the server it has been registered with.
    private func change(_ configuration: inout TentacleConfiguration, _ server: TrustedServer) throws {
        var servers = try configuration.trustedServers()
        servers.upsert(server)
        configuration.setTrustedServers(servers)
        guard let count = self.missingConnectionCount(configuration, server) else { return }
        self.context.console.info("Setting the polling connection count to \(count)")
        configuration.set(.pollingConnectionCount, count)
    }

    /// The number of connections for a polling agent that has none configured.
    private func missingConnectionCount(_ configuration: TentacleConfiguration, _ server: TrustedServer) -> Int? {
        guard server.address != nil, configuration.text(.pollingConnectionCount) == nil else { return nil }
        return self.isWorker ? max(Self.workerConnections, self.context.processorCount) : 1
    }

    private static let workerConnections = 5

    private func show(
        _ prepared: PreparedRegistration,
        _ contact: Contact,
        _ configuration: TentacleConfiguration,
        _ session: OctopusSession
    ) throws {
        let dryRun = DryRun(context: self.context)
        dryRun.begin()
        try dryRun.show(prepared.method, session.url(of: prepared), prepared.body)
        let server = contact.trustedServer(prepared.serverThumbprint)
        dryRun.show(
            server,
            pollingConnectionCount: self.missingConnectionCount(configuration, server),
            in: configuration.path
        )
    }

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
        let values = RegistrationOptions.participations
        guard let given = self.options.text("tenanted-deployment-participation") else { return values[0] }
        guard let value = values.first(where: { $0.lowercased() == given.lowercased() }) else {
            throw CommandError(
                "The value '\(given)' is not valid. Valid values are Untenanted, TenantedOrUntenanted and Tenanted."
            )
        }
        return value
    }

    private func defaultStyle(_ configuration: TentacleConfiguration) throws -> CommunicationStyle {
        guard self.manner == .friendly, try configuration.boolean(.noListen) == true else { return .listening }
        return .polling
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
        let address = try PollingAddress(options: self.options).resolve(server: server.addressText)
        let servers = try configuration.trustedServers()
        let subscription = try registration.subscription(servers, at: address.withPort, self.context)
        return Contact(style: .polling, address: address, subscription: subscription, uri: subscription)
    }

    /// A polling agent's requests go where its connections go; a listening one's, where those of its scripts do.
    private func proxy(
        _ configuration: TentacleConfiguration,
        _ registration: RegistrationOptions
    ) throws -> TransportOptions.Proxy {
        try registration.isPolling ? configuration.pollingProxy().forRequests : configuration.proxy().forRequests
    }
}
