import AgentConfiguration
import BSON
import FoundationEssentials
import Glibc
import Halibut
import HostIntegration
import Logging
import NIOCore
import NIOPosix
import ScriptExecution
import SecureTransport
import ServiceLifecycle
import UnixSignals

/// All long-lived parts of one agent, put together from its settings.
struct AgentServices {
    /// Two loops carry far more than an agent does; one a core would cost memory on large hosts.
    static let maximumEventLoops = 2

    private let settings: AgentSettings
    private let host: HostFiles
    private let logger: Logger
    private let eventLoops: any EventLoopGroup
    private let rotation: CertificateRotation

    init(
        settings: AgentSettings,
        identity: TLSIdentity,
        host: HostFiles,
        eventLoops: any EventLoopGroup,
        logger: Logger
    ) {
        self.settings = settings
        self.host = host
        self.eventLoops = eventLoops
        self.logger = logger
        self.rotation = CertificateRotation(settings: settings, identity: identity, host: host, logger: logger)
    }

    /// In order of start; stopped in reverse.
    ///
    /// Each of `reloads` asks to read the configuration again.
    func make(reloads: UnixSignalsSequence) throws -> [any Service] {
        let home = settings.homeDirectory ?? host.currentDirectory
        let workspaces = ScriptWorkspaces(homeDirectory: home, encrypt: CalamariFile.encrypt)
        let scripts = ScriptService(
            workspaces: workspaces,
            launcher: LauncherClient(
                workDirectory: workspaces.workDirectory,
                socketPath: host.variable("TENTACLE_LAUNCHER_SOCKET") ?? LauncherClient.defaultSocketPath,
                executable: LauncherClient.locate(environment: host.environment)
            ),
            configuration: scriptConfiguration(home: home),
            logger: logger
        )
        let dispatcher = RPCServices(
            scripts: scripts,
            files: FileTransfer(homeDirectory: settings.homeDirectory, makeDigest: { SHA1Digest() })
        )
        let switches = TransportSwitches(environment: host.environment)
        for warning in switches.warnings { logger.warning("\(warning)") }
        let halibut = HalibutConfiguration(
            limits: switches.limits,
            spool: try makeSpool(home: home),
            eventLoopGroup: eventLoops,
            logger: logger
        )
        let cleaner = WorkspaceCleaner(
            service: scripts,
            workspaces: workspaces,
            delay: duration("TENTACLE_WORKSPACE_CLEANER_DELAY", default: WorkspaceCleaner.defaultDelay),
            age: duration("TENTACLE_WORKSPACE_CLEANER_DELETE_OLDER_THAN", default: WorkspaceCleaner.defaultAge),
            logger: logger
        )
        var services: [any Service] = [
            BackgroundService("script engine") { await scripts.run() },
            BackgroundService("workspace cleaner") { await cleaner.run() },
        ]
        sayWhomWeTrust()
        services += try pollingServices(dispatcher, halibut)
        let listener = settings.noListen ? nil : listeningService(dispatcher, halibut)
        // A change of certificates that is under way counts from the first connection on.
        rotation.reload()
        if let listener { services.append(BackgroundService("listener") { try await listener.run() }) }
        let (rotation, eventLoops) = (rotation, eventLoops)
        services.append(BackgroundService("certificates") { await rotation.run(on: eventLoops, requests: reloads) })
        services.append(announcement(listener))
        if let home = settings.homeDirectory {
            services.append(BackgroundService("heartbeat") { try await Heartbeat(directory: home).run() })
        }
        return services
    }

    private func scriptConfiguration(home: String) -> ScriptService.Configuration {
        var configuration = ScriptService.Configuration(
            environment: ScriptEnvironment.variables(
                for: settings,
                programPath: AgentProgram.path,
                inherited: host.environment
            ),
            pastScripts: PastScripts(homeDirectory: home)
        )
        configuration.sandbox = settings.sandboxPolicy
        configuration.instance = settings.instance.name
        let (settings, host) = (settings, host)
        configuration.protected = { ProtectedPaths.list(for: settings, host: host) }
        return configuration
    }

    // MARK: Halibut

    private func sayWhomWeTrust() {
        let thumbprints = settings.trustedServers.map(\.thumbprint)
        for thumbprint in thumbprints {
            logger.info("Agent will trust Octopus Servers with the thumbprint: \(thumbprint)")
        }
        if thumbprints.isEmpty { logger.info("The agent is not configured to trust any Octopus Servers.") }
    }

    private func pollingServices(
        _ dispatcher: RPCServices,
        _ halibut: HalibutConfiguration
    ) throws -> [any Service] {
        let connections = settings.effectivePollingConnectionCount(host: host)
        let servers = settings.trustedServers.filter { $0.communicationStyle == .polling }
        if !servers.isEmpty { sayConnectionCount(connections) }
        for server in servers where server.address == nil || server.effectiveSubscriptionID == nil {
            sayIncomplete(server)
        }
        // Entries that differ in the thumbprint only are one server that is changing its certificate.
        return try PollingContact.all(in: servers).compactMap { contact, servers in
            let thumbprints = servers.compactMap { Thumbprint($0.thumbprint) }
            guard let server = servers.first, let address = server.address,
                let subscription = server.effectiveSubscriptionID
            else { return nil }
            guard var endPoint = try? ServiceEndPoint(address, remoteThumbprint: thumbprints.first) else {
                sayIncomplete(server)
                return nil
            }
            logger.info(
                """
                Agent will poll Octopus Server at \(address) for subscription \(subscription) expecting thumbprint \
                \(servers.map(\.thumbprint).joined(separator: " or "))
                """
            )
            endPoint.proxy = proxy(for: endPoint)
            let service = try PollingService(
                subscription: subscription,
                server: endPoint,
                alternatives: Set(thumbprints),
                identity: rotation.identity,
                dispatcher: dispatcher,
                connections: connections,
                configuration: halibut
            )
            rotation.add(service, for: contact)
            logger.info("Starting \(connections) polling connections")
            return BackgroundService("polling \(address)") { try await service.run() }
        }
    }

    private func sayIncomplete(_ server: TrustedServer) {
        let name = server.address ?? server.thumbprint
        logger.warning("Configured to connect to server \(name), but its configuration is incomplete; skipping.")
    }

    /// The way to a polled server; on Linux the system's proxy settings do not count (tentacle-cli.md 11.2).
    private func proxy(for server: ServiceEndPoint) -> HTTPProxy? {
        switch settings.pollingProxy {
        case .systemDefault: return nil
        case .direct:
            logger.info("Agent will not use a proxy server")
            return nil
        case .custom(let host, let port, let userName, let password):
            logger.info(
                "Agent will use the octopus configured proxy at \(host):\(port) for server at \(server.baseURI)"
            )
            return HTTPProxy(host: host, port: port, userName: userName, password: password)
        }
    }

    private func sayConnectionCount(_ count: Int) {
        if host.variable("TentaclePollingConnectionCount").flatMap({ UInt32($0) }) != nil {
            logger.info(
                "Requested polling connection count (from TentaclePollingConnectionCount environment variable): \(count)"
            )
        } else if settings.pollingConnectionCount != nil {
            logger.info("Requested polling connection count (from Tentacle configuration): \(count)")
        }
    }

    private func listeningService(
        _ dispatcher: RPCServices,
        _ halibut: HalibutConfiguration
    ) -> HalibutListener {
        HalibutListener(
            host: settings.listenAddress,
            port: settings.port,
            identity: rotation.identity,
            trust: rotation.trust,
            dispatcher: dispatcher,
            friendlyPage: AgentPage.page,
            configuration: halibut
        )
    }

    /// Data streams land beside where uploads go: moving them there then copies nothing.
    private func makeSpool(home: String) throws -> SpoolDirectory {
        let path = home + "/Spool"
        let files = FileManager.default
        do {
            try DurableFile.makeDirectory(path, mode: 0o700)
            // What an agent that was killed left behind; no other agent has this home.
            for name in try files.contentsOfDirectory(atPath: path) where name.hasPrefix("halibut-") {
                try? files.removeItem(atPath: path + "/" + name)
            }
        } catch {
            throw AgentFailure(.failure, "Cannot write to the home directory '\(home)': \(error)")
        }
        return SpoolDirectory(parent: path)
    }

    // MARK: Readiness

    /// Says that the agent is ready, keeps the watchdog quiet, says that it stops.
    private func announcement(_ listener: HalibutListener?) -> any Service {
        let notifier = SystemdNotifier(environment: host.environment)
        let watchdog = SystemdNotifier.watchdogInterval(environment: host.environment, processID: getpid())
        let address = settings.listenAddress.map { $0.contains(":") ? "[\($0)]" : $0 } ?? "[::]"
        let port = settings.port
        let logger = logger
        return BackgroundService("announcement") {
            if let listener {
                let bound = try await listener.boundPort
                let uri = "listen://\(address):\(bound)/"
                let padding = String(repeating: " ", count: max(0, 30 - uri.utf8.count))
                // The reference puts the number of a thread here.
                logger.info("\(uri)\(padding)    1  Listener started")
                logger.info("Agent listening on: \(address):\(port)")
            } else {
                logger.info("Agent will not listen on any TCP ports")
            }
            do {
                try notifier?.notify(.ready)
            } catch {
                logger.warning("The service manager could not be told that the agent is ready: \(error)")
            }
            defer { try? notifier?.notify(.stopping) }
            StartupCode.release()
            if let notifier, let watchdog {
                try await WatchdogPinger(notifier: notifier, interval: watchdog).run()
            } else {
                try await gracefulShutdown()
            }
        }
    }

    private func duration(_ variable: String, default fallback: Duration) -> Duration {
        host.variable(variable).flatMap(Self.interval) ?? fallback
    }

    /// A .NET TimeSpan as operators write it, where a negative one makes no sense (tentacle-services.md 14.3).
    static func interval(_ text: String) -> Duration? {
        TimeSpanText.decode(text).flatMap { $0 < .zero ? nil : $0 }
    }
}

/// Work that goes on until the agent stops.
private struct BackgroundService: Service, CustomStringConvertible {
    let description: String
    private let body: @Sendable () async throws -> Void

    init(_ description: String, _ body: @escaping @Sendable () async throws -> Void) {
        self.description = description
        self.body = body
    }

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown(body)
        } catch is CancellationError {
            return
        }
    }
}
