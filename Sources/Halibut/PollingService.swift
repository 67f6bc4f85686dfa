import FoundationEssentials
import HalibutProtocol
import Logging
import NIOCore
import NIOPosix
public import SecureTransport

/// A service that dials its client and waits for calls: a polling agent (halibut.md 11).
public final class PollingService: Sendable {
    private let subscription: EndPointURI
    private let server: ServiceEndPoint
    private let identity: TLSIdentity
    private let executor: RequestExecutor
    private let connections: Int
    private let configuration: HalibutConfiguration
    private let dialler: Dialler
    private let logger: Logger

    /// Prepares to poll; ``run()`` does it.
    ///
    /// - Parameters:
    ///   - subscription: The service's own address, `poll://id/`; clients call it by this.
    ///   - server: Where the client listens, with the thumbprint it must present.
    ///   - identity: The certificate shown to it.
    ///   - dispatcher: Executes the calls.
    ///   - connections: How many calls may run at the same time, 1 … 512.
    ///   - configuration: Limits, spool directory, event loops and logger.
    /// - Throws: ``HalibutError`` when `subscription` is not a `poll:` address; ``OpenSSLError`` when TLS cannot be set up.
    public init(
        subscription: String,
        server: ServiceEndPoint,
        identity: TLSIdentity,
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
        self.executor = RequestExecutor(
            dispatcher: dispatcher,
            logger: logger,
            observer: configuration.observer,
            isPolling: true
        )
        self.connections = min(max(connections, 1), HalibutLimits.maximumPollingConnections)
        self.configuration = configuration
        self.dialler = Dialler(context: try TLSContext(client: identity), configuration: configuration)
        self.logger = logger
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

    private func pollForever() async {
        var backoff = PollingBackoff(jitter: Double.random(in: 0..<1), limits: self.configuration.limits)
        while !Task.isCancelled {
            backoff.tryBegan(now: .now)
            let failure = await self.transaction(&backoff)
            if Task.isCancelled { return }
            let pause = backoff.pause(now: .now)
            self.logger.info(
                "Halibut client exception: \(failure). Retrying in \(pause.secondsText) seconds",
                metadata: ["halibut.subscription": "\(self.subscription)"]
            )
            self.configuration.observer?.pollingPaused(
                subscription: self.subscription.text,
                server: self.server,
                pause: pause,
                cause: failure
            )
            try? await Task.sleep(for: pause)
        }
    }

    /// Dials and serves one connection until it ends; returns why.
    private func transaction(_ backoff: inout PollingBackoff) async -> String {
        let pipe: WirePipe
        switch await self.connect() {
        case .failure(let error): return error.cause
        case .success(let connected): pipe = connected
        }
        let (wasIdentified, cause) = await StoppableTask.run { task in
            await LoopExecutor.run(on: pipe.channel.eventLoop) {
                let stream = WireStream(pipe: pipe, limits: self.configuration.limits, spool: self.configuration.spool)
                let progress = Progress()
                do {
                    try await self.serve(stream, task, progress)
                } catch {
                    await self.end(stream, progress)
                    return (progress.isIdentified, error.wireCause)
                }
            }
        }
        if wasIdentified { backoff.identified() }
        return cause
    }

    /// How far a connection has come; its task owns it.
    private final class Progress {
        /// The server took us.
        var isIdentified = false
        var hasSaidGoodBye = false
    }

    /// Attempts as in a call, but a refused connection ends them (halibut.md 11.2).
    private func connect() async -> Result<WirePipe, DialError> {
        var attempts = ConnectAttempts(endPoint: self.server.wireDocument, role: .pollingService, now: .now)
        let verification = PeerVerification.thumbprint(self.server.remoteThumbprint)
        while true {
            do throws(DialError) {
                return .success(try await self.dialler.dial(self.server, verification: verification).0)
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

    private func serve(_ stream: WireStream, _ task: StoppableTask, _ progress: Progress) async throws -> Never {
        var machine = PollingServiceConnection()
        let peer = try await stream.pipe.waitUntilEstablished().peer?.thumbprint
        guard let peer else { throw WireError.connectionClosed }
        let subscription = self.subscription
        try await stream.send {
            $0.writeStaticString(Opening.messageExchangeBytes)
            RemoteIdentity.subscriber(subscription).write(to: &$0)
        }
        switch machine.identityRead(try await self.readIdentity(stream)) {
        case .closeWithError(let error): throw error
        case .resetBackoffThenReadRequest: progress.isIdentified = true
        }
        self.logger.debug("Polling as \(subscription)")
        self.configuration.observer?.pollingBegan(subscription: subscription.text, server: self.server)
        while true {
            let received = try await stream.readRequest(
                firstByteTimeout: self.configuration.limits.receiveRequestTimeoutForPolling
            )
            switch machine.requestRead(id: received?.0.id) {
            case .closeWithError(let error): throw error
            case .sendNextThenReadControlLine:
                try await stream.send(timeout: self.configuration.limits.heartbeatSendTimeout) {
                    ControlLine.next.write(to: &$0)
                }
            case .dispatch:
                guard let (request, streams) = received else { throw WireError.noResponse }
                defer { streams.deleteFiles() }
                let response =
                    task.begin()
                    ? try await self.executor.execute(request, streams: streams, peer: peer)
                    : try OutgoingMessage(to: request.id, RPCShuttingDown())
                progress.hasSaidGoodBye = task.isStopping
                // Response and control word go out together: one record, one wake-up of the other side.
                try await stream.send(response, followedBy: progress.hasSaidGoodBye ? .end : .next)
                task.end()
                if case .closeWithError(let error) = machine.responseSent() { throw error }
                if task.isStopping { throw CancellationError() }
            }
            let line = try await stream.readControlLine(timeout: self.configuration.limits.heartbeatTimeout)
            if case .closeWithError(let error) = machine.controlLineRead(line) { throw error }
        }
    }

    private func readIdentity(_ stream: WireStream) async throws -> RemoteIdentity {
        do {
            return try await stream.readIdentity()
        } catch  where error.isConnectionClosed {
            throw HalibutError(.network, AttemptFailure(error, own: self.identity.thumbprint, wasPooled: false).cause)
        }
    }
}

extension Duration {
    /// Seconds with one decimal, as the agent's log prints them.
    fileprivate var secondsText: String {
        let tenths = (self + .milliseconds(50)) / .milliseconds(100)
        return "\(Int(tenths) / 10).\(Int(tenths) % 10)"
    }
}
