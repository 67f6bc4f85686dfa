import AgentConfiguration
import Halibut
import Logging
import NIOCore
import SecureTransport
import Synchronization
import UnixSignals

/// Keeps a running agent's certificates and trust as the configuration file has them (docs/certificate-rotation.md).
///
/// Only that: everything else in the file is read at the start. The file is read again when it changes, and at SIGHUP.
final class CertificateRotation: Sendable {
    /// What connections show.
    let identity: ServiceIdentity
    let trust: TrustedPeers

    private struct State {
        var thumbprints: [String]
        var isSaid: Bool
        var failure: String?
    }

    private let settings: AgentSettings
    private var path: String { settings.instance.configurationPath }
    private let host: HostFiles
    private let logger: Logger
    private let pollers = Mutex<[PollingContact: PollingService]>([:])
    private let state: Mutex<State>
    private let taken: AsyncStream<InformedPeer>

    init(settings: AgentSettings, identity present: TLSIdentity, host: HostFiles, logger: Logger) {
        let (taken, take) = AsyncStream.makeStream(of: InformedPeer.self, bufferingPolicy: .bufferingNewest(64))
        self.settings = settings
        self.host = host
        self.logger = logger
        self.taken = taken
        identity = ServiceIdentity(present) { take.yield($0) }
        trust = TrustedPeers(settings.trustedServers.compactMap { Thumbprint($0.thumbprint) })
        state = Mutex(State(thumbprints: [present.thumbprint.description], isSaid: false))
    }

    /// A poller whose server's thumbprints follow the file.
    func add(_ service: PollingService, for contact: PollingContact) {
        pollers.withLock { $0[contact] = service }
    }

    /// Follows the file until the task is cancelled; `requests` ask to read it in between.
    func run(on eventLoops: any EventLoopGroup, requests: UnixSignalsSequence) async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                for await _ in requests { self.reloadOnRequest() }
            }
            group.addTask {
                for await peer in self.taken { self.remember(peer) }
            }
            group.addTask { await self.follow(on: eventLoops) }
        }
    }

    /// Until the task is cancelled.
    ///
    /// The kernel has 128 watches for all programs of a user: while there is none for us, it is looked each so often.
    private func follow(on eventLoops: any EventLoopGroup) async {
        var isSaid = false
        while true {
            do {
                return try await ConfigurationWatch(path: path).run(on: eventLoops) { self.reload() }
            } catch is CancellationError {
                return
            } catch {
                if !isSaid {
                    logger.warning(
                        "The configuration file cannot be watched (\(error)): changes of certificates count within \(Self.pause)"
                    )
                }
                isSaid = true
            }
            guard (try? await Task.sleep(for: Self.pause)) != nil else { return }
            reload()
        }
    }

    /// Between two looks at a file that cannot be watched.
    private static let pause = Duration.seconds(10)

    /// Reads the file because somebody asked, and says what of it has to wait for the next start.
    private func reloadOnRequest() {
        logger.info("The configuration is being read again (SIGHUP)")
        // Who asks wants to hear of a failure, though it was said before.
        state.withLock { $0.failure = nil }
        guard let configuration = reload() else { return }
        do {
            let now = try configuration.settings(of: settings.instance)
            let waiting = SettingsChange.waitingForRestart(from: settings, to: now, host: host)
            guard waiting.isEmpty else {
                return logger.warning("Changes that need a restart of the agent: \(waiting.joined(separator: ", "))")
            }
            logger.info("The configuration is in effect")
        } catch {
            logger.warning("The agent could not be started with the configuration as it is now: \(error)")
        }
    }

    /// Reads the file; one that cannot be read changes nothing.
    @discardableResult
    func reload() -> TentacleConfiguration? {
        do {
            let configuration = try TentacleConfiguration.effective(from: path, host: host)
            try apply(configuration)
            state.withLock { $0.failure = nil }
            return configuration
        } catch {
            let failure = "\(error)"
            let isNew = state.withLock { state in
                defer { state.failure = failure }
                return state.failure != failure
            }
            if isNew {
                logger.warning("The configuration file has changed and cannot be read; going on as before: \(failure)")
            }
            return nil
        }
    }

    private func apply(_ configuration: TentacleConfiguration) throws {
        let servers = try configuration.trustedServers()
        try applyTrust(servers, configuration)
        // Without a stored certificate the agent goes on with the one that it has made.
        guard let thumbprint = configuration.thumbprint else { return }
        let next = configuration.nextThumbprint
        let informed = next == nil ? [] : try configuration.contactsThatKnowNext()
        guard let present = try identity(thumbprint, { try configuration.identity() }) else { return }
        var overlap: ServiceIdentity.Overlap?
        if let next, let identity = try identity(next, { try configuration.overlap()?.next }) {
            let listening = servers.filter { $0.communicationStyle == .listening }
            overlap = ServiceIdentity.Overlap(
                next: identity,
                informed: Set(informed.compactMap { InformedPeer($0) }),
                informsStrangers: !listening.isEmpty
                    && listening.allSatisfy { configuration.contact(with: $0).map(informed.contains) ?? false }
            )
        }
        guard identity.present != present || identity.overlap != overlap else { return }
        identity.change(to: present, overlap: overlap)
        say(present, overlap, servers.count - (try configuration.serversToTell().count), of: servers.count)
    }

    /// Keys are read from the file only when they are new: between two servers' marks nothing is decrypted.
    private func identity(_ thumbprint: String, _ read: () throws -> TLSIdentity?) throws -> TLSIdentity? {
        let held = [identity.present, identity.overlap?.next].compactMap { $0 }
        return try held.first { $0.thumbprint.description == thumbprint.uppercased() } ?? read()
    }

    private func applyTrust(_ servers: [TrustedServer], _ configuration: TentacleConfiguration) throws {
        let thumbprints = Set(servers.compactMap { Thumbprint($0.thumbprint) })
        if thumbprints != trust.all {
            let removed = trust.all.subtracting(thumbprints)
            for thumbprint in thumbprints.subtracting(trust.all).map(\.description).sorted() {
                logger.info("Agent will trust Octopus Servers with the thumbprint: \(thumbprint)")
            }
            for thumbprint in removed.map(\.description).sorted() {
                logger.info("Agent trusts Octopus Servers no longer that have the thumbprint: \(thumbprint)")
            }
            trust.trustOnly(thumbprints)
        }
        let contacts = PollingContact.all(in: servers)
        for (contact, service) in pollers.withLock({ $0 }) {
            // An entry that has gone altogether goes with the next start.
            guard let servers = contacts.first(where: { $0.contact == contact })?.servers else { continue }
            let expected = Set(servers.compactMap { Thumbprint($0.thumbprint) })
            if service.trustedServers != expected { service.trustedServers = expected }
        }
    }

    private func say(_ present: TLSIdentity, _ overlap: ServiceIdentity.Overlap?, _ informed: Int, of count: Int) {
        guard let overlap else {
            return logger.info("Agent's certificate has the thumbprint: \(present.thumbprint)")
        }
        logger.info(
            """
            Agent's certificate is being changed from \(present.thumbprint) to \(overlap.next.thumbprint): \
            \(informed) of \(count) trusted servers know the new one
            """
        )
    }

    /// A server that takes the next certificate knows it, whoever told it.
    ///
    /// Of a listening agent one server may have several records, told one by one: what one of them expects is good for the
    /// choice on its address, and says nothing of the others.
    private func remember(_ peer: InformedPeer) {
        guard let subscription = peer.subscription else {
            return logger.info("The server \(peer.thumbprint) has taken the agent's new certificate")
        }
        do {
            let isComplete = try TentacleConfiguration.update(path, host: host) { configuration in
                try configuration.markKnown(by: peer.thumbprint.description, subscription: subscription)
                return try configuration.completeOverlapIfAllKnow()
            }
            logger.info("The server \(peer.thumbprint) knows the agent's new certificate (\(subscription))")
            guard isComplete else { return }
            logger.info("All servers know the agent's new certificate: it has taken the old one's place")
        } catch {
            // It is seen again at the next connection, and commands note it, too.
            logger.warning("It could not be noted that a server knows the new certificate: \(error)")
        }
    }
}

extension InformedPeer {
    init?(_ contact: ServerContact) {
        guard let thumbprint = Thumbprint(contact.thumbprint) else { return nil }
        self.init(thumbprint: thumbprint, subscription: contact.subscription)
    }
}
