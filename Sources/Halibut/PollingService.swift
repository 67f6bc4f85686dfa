import FoundationEssentials
import HalibutProtocol
import Logging
import NIOCore
import NIOPosix
public import SecureTransport
import Synchronization

/// A service that dials its client and waits for calls: a polling agent (halibut.md 11).
public final class PollingService: Sendable {
    private let subscription: EndPointURI
    private let server: ServiceEndPoint
    private let identity: ServiceIdentity
    /// Certificates that the server may present.
    private let servers: Mutex<Set<Thumbprint>>
    /// What the server took.
    private let choice = Mutex(PollingCertificateChoice())
    private let executor: RequestExecutor
    private let connections: Int
    private let configuration: HalibutConfiguration
    private let logger: Logger

    /// Prepares to poll with a certificate that stays, else as the initialiser for a ``ServiceIdentity``.
    ///
    /// - Throws: ``HalibutError`` when `subscription` is not a `poll:` address; ``OpenSSLError`` when TLS cannot be set up.
    public convenience init(
        subscription: String,
        server: ServiceEndPoint,
        identity: TLSIdentity,
        dispatcher: any RPCDispatcher,
        connections: Int = 1,
        configuration: HalibutConfiguration = HalibutConfiguration()
    ) throws {
        try self.init(
            subscription: subscription,
            server: server,
            identity: ServiceIdentity(identity),
            dispatcher: dispatcher,
            connections: connections,
            configuration: configuration
        )
    }

    /// Prepares to poll with certificates that may change on both sides; ``run()`` does it.
    ///
    /// - Parameters:
    ///   - subscription: The service's own address, `poll://id/`; clients call it by this.
    ///   - server: Where the client listens, with the thumbprint it must present.
    ///   - alternatives: Thumbprints that it may present as well: of a client that is about to change its certificate.
    ///   - identity: The certificate shown to it; it may be changed while the service polls.
    ///   - dispatcher: Executes the calls.
    ///   - connections: How many calls may run at the same time, 1 … 512.
    ///   - configuration: Limits, spool directory, event loops and logger.
    /// - Throws: ``HalibutError`` when `subscription` is not a `poll:` address; ``OpenSSLError`` when TLS cannot be set up.
    public init(
        subscription: String,
        server: ServiceEndPoint,
        alternatives: Set<Thumbprint> = [],
        identity: ServiceIdentity,
        dispatcher: any RPCDispatcher,
        connections: Int = 1,
        configuration: HalibutConfiguration = HalibutConfiguration()
    ) throws {
        guard let uri = EndPointURI(subscription), uri.scheme == "poll" else {
            throw HalibutError(.local, "'\(subscription)' is not a subscription: use poll://id/.")
        }
        var logger = configuration.logger
        logger[metadataKey: "halibut.endpoint"] = "\(server.baseURI)"
        self.subscription = uri
        self.server = server
        self.identity = identity
        self.servers = Mutex(alternatives.union([server.remoteThumbprint].compactMap { $0 }))
        self.executor = RequestExecutor(
            dispatcher: dispatcher,
            logger: logger,
            observer: configuration.observer,
            isPolling: true
        )
        self.connections = min(max(connections, 1), HalibutLimits.maximumPollingConnections)
        self.configuration = configuration
        self.logger = logger
        // What cannot be used for TLS shall not wait for the first connection to say so.
        _ = try identity.certificates(for: [], uri).present.clientContext()
    }

    /// The certificates that the server may present; connections made before a change go on.
    public var trustedServers: Set<Thumbprint> {
        get { self.servers.withLock { $0 } }
        set { self.servers.withLock { $0 = newValue } }
    }

    /// Polls until the task is cancelled; a call that runs then is answered first, and its code does not see the
    /// cancellation.
    public func run() async throws {
        await withDiscardingTaskGroup { group in
            for _ in 0..<self.connections {
                group.addTask { await self.pollForever() }
            }
        }
    }

    /// What a connection's owner hears of it.
    private enum News: Sendable {
        case ended(Ending)
        /// The service's certificate has changed.
        case identityChanged
    }

    /// How a connection ended.
    private struct Ending: Sendable {
        var cause: String
        var wasIdentified = false
        /// The server hung up before a byte: it does not know the certificate.
        var wasRefused = false
    }

    /// One connection after the other; a second one beside the first only while it moves to another certificate.
    private func pollForever() async {
        await withDiscardingTaskGroup { group in
            var backoff = PollingBackoff(jitter: Double.random(in: 0..<1), limits: self.configuration.limits)
            var redialledAtOnce: ContinuousClock.Instant?
            while !Task.isCancelled {
                backoff.tryBegan(now: .now)
                let certificates = self.certificates
                let (news, told) = AsyncStream.makeStream(of: News.self)
                let watch = self.identity.watch(after: certificates.generation) { told.yield(.identityChanged) }
                defer { self.identity.endWatch(watch) }
                group.addTask {
                    told.yield(.ended(await self.connection(certificates)))
                    told.finish()
                }
                guard let ending = await self.ending(news, of: certificates), !Task.isCancelled else { continue }
                if ending.wasIdentified { backoff.identified() }
                var pause = backoff.pause(now: .now)
                // A server that has just learned of the next certificate cuts our connections: no reason to be away.
                if ending.wasIdentified, certificates.next != nil,
                    redialledAtOnce.map({ .now - $0 > self.configuration.limits.minimumPollingBackoff }) ?? true
                {
                    redialledAtOnce = .now
                    pause = .zero
                }
                self.sayPause(pause, ending.cause)
                try? await Task.sleep(for: pause)
            }
        }
    }

    private func sayPause(_ pause: Duration, _ cause: String) {
        self.logger.info(
            "Halibut client exception: \(cause). Retrying in \(pause.secondsText) seconds",
            metadata: ["halibut.subscription": "\(self.subscription)"]
        )
        self.configuration.observer?.pollingPaused(
            subscription: self.subscription.text,
            server: self.server,
            pause: pause,
            cause: cause
        )
    }

    private var certificates: ServiceIdentity.Certificates {
        self.identity.certificates(for: self.trustedServers, self.subscription)
    }

    /// How the connection ended; nothing when the next one shall be made before it ends.
    private func ending(_ news: AsyncStream<News>, of old: ServiceIdentity.Certificates) async -> Ending? {
        for await item in news {
            switch item {
            case .ended(let ending): return ending
            case .identityChanged: if self.preferred(self.certificates) != self.preferred(old) { return nil }
            }
        }
        return nil
    }

    /// What the server is to see first.
    private func preferred(_ certificates: ServiceIdentity.Certificates) -> Thumbprint {
        certificates[self.firstTurn(certificates)].identity.thumbprint
    }

    private func firstTurn(_ certificates: ServiceIdentity.Certificates) -> CertificateTurn {
        guard let next = certificates.next?.identity.thumbprint else { return .present }
        return self.choice.withLock {
            $0.first(isKnown: certificates.isKnown, next: next, generation: certificates.generation)
        }
    }

    /// Dials and serves one connection until it ends; a server that does not know one certificate is shown the other.
    private func connection(_ certificates: ServiceIdentity.Certificates) async -> Ending {
        let first = self.firstTurn(certificates)
        let ending = await self.transaction(certificates, first)
        guard ending.wasRefused, certificates.next != nil, !Task.isCancelled else { return ending }
        return await self.transaction(certificates, first.other)
    }

    private func transaction(_ certificates: ServiceIdentity.Certificates, _ turn: CertificateTurn) async -> Ending {
        let certificate = certificates[turn]
        let pipe: WirePipe
        do {
            let dialler = Dialler(context: try certificate.clientContext(), configuration: self.configuration)
            pipe = try await self.connect(dialler).get()
        } catch let error as DialError {
            return Ending(cause: error.cause)
        } catch {
            return Ending(cause: error.wireCause)
        }
        return await StoppableTask.run { task in
            await LoopExecutor.run(on: pipe.channel.eventLoop) {
                let stream = WireStream(pipe: pipe, limits: self.configuration.limits, spool: self.configuration.spool)
                let progress = Progress(certificate.identity.thumbprint, certificates.generation)
                do {
                    try await self.serve(stream, task, progress) { peer in
                        self.wasTaken(certificates, turn, by: peer)
                    }
                } catch {
                    await self.end(stream, progress)
                    return Ending(
                        cause: error.wireCause,
                        wasIdentified: progress.isIdentified,
                        wasRefused: progress.wasRefused
                    )
                }
            }
        }
    }

    private func wasTaken(_ certificates: ServiceIdentity.Certificates, _ turn: CertificateTurn, by peer: Thumbprint) {
        guard let next = certificates.next?.identity.thumbprint else { return }
        self.choice.withLock { $0.took(turn, next: next, generation: certificates.generation) }
        guard turn == .next else { return }
        self.identity.taken(by: InformedPeer(thumbprint: peer, subscription: self.subscription.text))
    }

    /// How far a connection has come; its task owns it.
    private final class Progress {
        /// The server took us.
        var isIdentified = false
        /// The server hung up instead.
        var wasRefused = false
        var hasSaidGoodBye = false
        /// What it was shown, at which state of our certificates.
        let thumbprint: Thumbprint
        let generation: Int

        init(_ thumbprint: Thumbprint, _ generation: Int) {
            self.thumbprint = thumbprint
            self.generation = generation
        }
    }

    /// Another connection shows another certificate by now: this one goes where no call can be lost.
    private func isOutdated(_ progress: Progress) -> Bool {
        guard self.identity.generation != progress.generation else { return false }
        return self.preferred(self.certificates) != progress.thumbprint
    }

    /// Attempts as in a call, but a refused connection ends them (halibut.md 11.2).
    private func connect(_ dialler: Dialler) async -> Result<WirePipe, DialError> {
        var attempts = ConnectAttempts(endPoint: self.server.wireDocument, role: .pollingService, now: .now)
        while true {
            do throws(DialError) {
                let verification = PeerVerification.anyOf(self.trustedServers)
                return .success(try await dialler.dial(self.server, verification: verification).0)
            } catch {
                guard case .retry(let pause, _) = attempts.failed(error.reason, now: .now), !Task.isCancelled else {
                    return .failure(error)
                }
                try? await Task.sleep(for: pause)
            }
        }
    }

    /// Says good-bye, best effort, after what has been said before.
    private func end(_ stream: WireStream, _ progress: Progress) async {
        if !stream.pipe.hasEnded, !progress.hasSaidGoodBye {
            try? await stream.send(timeout: self.configuration.limits.heartbeatSendTimeout) {
                ControlLine.end.write(to: &$0)
            }
        }
        stream.pipe.arm(self.configuration.limits.sendTimeout)
        await stream.pipe.drain()
        stream.pipe.close()
    }

    private func serve(
        _ stream: WireStream,
        _ task: StoppableTask,
        _ progress: Progress,
        _ identified: (Thumbprint) -> Void
    ) async throws -> Never {
        var machine = PollingServiceConnection()
        let peer = try await stream.pipe.waitUntilEstablished().peer?.thumbprint
        guard let peer else { throw WireError.connectionClosed }
        switch machine.identityRead(try await self.introduce(stream, progress)) {
        case .closeWithError(let error): throw error
        case .resetBackoffThenReadRequest: progress.isIdentified = true
        }
        identified(peer)
        self.logger.debug("Polling as \(self.subscription)")
        self.configuration.observer?.pollingBegan(subscription: self.subscription.text, server: self.server)
        while true {
            let received = try await stream.readRequest(
                firstByteTimeout: self.configuration.limits.receiveRequestTimeoutForPolling
            )
            switch machine.requestRead(id: received?.0.id) {
            case .closeWithError(let error): throw error
            case .sendNextThenReadControlLine:
                progress.hasSaidGoodBye = self.isOutdated(progress)
                let line: ControlLine = progress.hasSaidGoodBye ? .end : .next
                try await stream.send(timeout: self.configuration.limits.heartbeatSendTimeout) { line.write(to: &$0) }
                if progress.hasSaidGoodBye { throw MovedOn() }
            case .dispatch:
                guard let (request, streams) = received else { throw WireError.noResponse }
                defer { streams.deleteFiles() }
                let response =
                    task.begin()
                    ? try await self.executor.execute(request, streams: streams, peer: peer)
                    : try OutgoingMessage(to: request.id, RPCShuttingDown())
                let isOutdated = self.isOutdated(progress)
                progress.hasSaidGoodBye = task.isStopping || isOutdated
                // Response and control word go out together: one record, one wake-up of the other side.
                try await stream.send(response, followedBy: progress.hasSaidGoodBye ? .end : .next)
                task.end()
                if case .closeWithError(let error) = machine.responseSent() { throw error }
                if task.isStopping { throw CancellationError() }
                if isOutdated { throw MovedOn() }
            }
            let line = try await stream.readControlLine(timeout: self.configuration.limits.heartbeatTimeout)
            if case .closeWithError(let error) = machine.controlLineRead(line) { throw error }
        }
    }

    /// Says who we are and reads who the server is.
    private func introduce(_ stream: WireStream, _ progress: Progress) async throws -> RemoteIdentity {
        let subscription = self.subscription
        do {
            try await stream.send {
                $0.writeStaticString(Opening.messageExchangeBytes)
                RemoteIdentity.subscriber(subscription).write(to: &$0)
            }
            return try await stream.readIdentity()
        } catch  where error.isConnectionClosed {
            progress.wasRefused = true
            throw HalibutError(.network, AttemptFailure(error, own: progress.thumbprint, wasPooled: false).cause)
        }
    }
}

/// The connection has been followed by one with another certificate.
private struct MovedOn: Error, CustomStringConvertible {
    var description: String { "the service's certificate has changed" }
}

extension Duration {
    /// Seconds with one decimal, as the agent's log prints them.
    fileprivate var secondsText: String {
        let tenths = (self + .milliseconds(50)) / .milliseconds(100)
        return "\(Int(tenths) / 10).\(Int(tenths) % 10)"
    }
}
