import FoundationEssentials
import HalibutProtocol
import Logging
import NIOCore
import SecureTransport
import Synchronization

/// One accepted connection: performs what ``ListenerConnection`` decides.
final class ListenerSession {
    private let pipe: WirePipe
    private let listener: HalibutListener
    private let stream: WireStream
    /// The connection's task, if calls may be executed on it.
    private let task: StoppableTask?
    private var machine = ListenerConnection()
    private var logger: Logger
    /// Set when the connection has said who it is.
    private var observed: ObservedPeer?

    private var observer: (any HalibutObserver)? { self.listener.configuration.halibut.observer }
    private var configuration: HalibutListener.Configuration { self.listener.configuration }

    /// Which of two certificates the dialler was shown, during a change of ours.
    private let showing: ServiceIdentity.Showing?

    private init(arrival: Arrival, listener: HalibutListener, task: StoppableTask?) {
        let pipe = arrival.pipe
        self.task = task
        self.pipe = pipe
        self.showing = arrival.showing
        self.listener = listener
        self.stream = WireStream(
            pipe: pipe,
            limits: listener.configuration.halibut.limits,
            spool: listener.configuration.halibut.spool
        )
        self.logger = listener.configuration.halibut.logger
        self.logger[metadataKey: "peer.address"] = "\(pipe.remoteDescription)"
    }

    /// Serves a connection on its event loop until it ends or the calling task is cancelled.
    static func run(_ arrival: Arrival, listener: HalibutListener) async {
        let eventLoop = arrival.pipe.channel.eventLoop
        guard listener.configuration.dispatcher != nil else {
            return await LoopExecutor.run(on: eventLoop) {
                await ListenerSession(arrival: arrival, listener: listener, task: nil).run()
            }
        }
        await StoppableTask.run { task in
            await LoopExecutor.run(on: eventLoop) {
                await ListenerSession(arrival: arrival, listener: listener, task: task).run()
            }
        }
    }

    private func run() async {
        do {
            if let peer = try await self.open() {
                defer { self.configuration.trust.ended(peer, connection: self.pipe.id) }
                try await self.serve(peer)
            }
        } catch {
            self.logEnd(error)
        }
        self.listener.unidentified.ended(self.pipe)
        self.observer?.connectionEnded(self.observed)
        self.pipe.close()
    }

    // Log messages are made in functions of their own: a connection that waits shall not keep the room for them.

    @inline(never)
    private func logEnd(_ error: any Error) {
        if error is CancellationError {
            self.logger.debug("The listener stops; the connection is closed")
        } else {
            self.logger.info("The connection ended", metadata: ["error": "\(error)"])
        }
    }

    @inline(never)
    private func identified(_ peer: Thumbprint, subscription: EndPointURI? = nil) {
        self.listener.unidentified.ended(self.pipe)
        guard let observer else { return }
        let observed = ObservedPeer(
            remote: self.pipe.remoteDescription,
            thumbprint: peer,
            subscription: subscription?.text
        )
        self.observed = observed
        observer.connectionIdentified(observed)
    }

    private func denied(
        _ cause: ConnectionDenial.Cause,
        _ peer: Thumbprint? = nil,
        subscription: EndPointURI? = nil
    ) {
        self.observer?.connectionDenied(
            ConnectionDenial(
                cause: cause,
                remote: self.pipe.remoteDescription,
                thumbprint: peer,
                subscription: subscription?.text
            )
        )
    }

    // What can return before the connection waits for work does: the frames below an idle connection's wait are most of
    // what our own code costs it.

    /// Finds out who has connected; nothing unless it is somebody whom we trust.
    @inline(never)
    private func open() async throws -> Thumbprint? {
        let details = try await self.handshake()
        self.observer?.handshakeCompleted(ObservedHandshake(details, isDialler: false))
        switch self.machine.openingRead(try await self.opening(details.peer?.thumbprint)) {
        case .closeSilently: return nil
        case .sendFriendlyPageThenClose:
            try await self.sendFriendlyPage()
            return nil
        case .authorise: break
        }
        guard let peer = details.peer?.thumbprint else {
            self.logAnonymous()
            return nil
        }
        guard case .readIdentity = self.machine.authorised(self.admit(peer)) else {
            self.logUntrusted(peer)
            return nil
        }
        self.logger[metadataKey: "peer.thumbprint"] = "\(peer)"
        if let showing { self.configuration.identity.took(showing, peer) }
        return peer
    }

    /// Waits for the end of the handshake, and learns from a dialler that ends it when it has seen our certificate.
    @inline(never)
    private func handshake() async throws -> TLSConnectionDetails {
        do {
            return try await self.pipe.waitUntilEstablished()
        } catch {
            if let showing, (error as? TLSError)?.isAfterCertificate ?? false {
                self.configuration.identity.refused(showing, nil)
            }
            throw error
        }
    }

    /// Reads the opening, and learns from a trusted dialler that finishes the handshake and then has nothing to say: .NET
    /// looks at the certificate only then.
    @inline(never)
    private func opening(_ peer: Thumbprint?) async throws -> Opening {
        guard let showing, let peer, self.configuration.trust.contains(peer) else {
            return try await self.stream.readOpening()
        }
        do {
            let opening = try await self.stream.readOpening()
            if opening == .empty { self.configuration.identity.refused(showing, peer) }
            return opening
        } catch {
            if !(error is CancellationError), !self.pipe.hasTimedOut {
                self.configuration.identity.refused(showing, peer)
            }
            throw error
        }
    }

    @inline(never)
    private func logAnonymous() {
        self.logger.warning(
            "A client at \(self.pipe.remoteDescription) connected, and attempted a message exchange, but did not present a client certificate"
        )
        self.denied(.noCertificate)
    }

    @inline(never)
    private func logUntrusted(_ peer: Thumbprint) {
        self.logger.warning(
            "A client at \(self.pipe.remoteDescription) connected, and attempted a message exchange, but it presented a client certificate with the thumbprint '\(peer)' which is not in the list of thumbprints that we trust"
        )
        self.denied(.untrusted, peer)
    }

    /// Lets a trusted peer in, and an untrusted one if the program says so.
    @inline(never)
    private func admit(_ peer: Thumbprint) -> Bool {
        let (trust, pipe) = (self.configuration.trust, self.pipe)
        let abort: @Sendable () -> Void = { pipe.abort(WireError.connectionClosed) }
        if trust.admit(peer, connection: pipe.id, abort: abort) { return true }
        guard self.configuration.untrusted(pipe.remoteDescription, peer) == .trustAndAllow else { return false }
        trust.trust(peer)
        return trust.admit(peer, connection: pipe.id, abort: abort)
    }

    private func serve(_ peer: Thumbprint) async throws {
        switch self.machine.identityRead(try await self.stream.readIdentity()) {
        case .sendIdentityThenReadRequest: try await self.serveClient(peer)
        case .lease(let subscription): try await self.serveSubscriber(subscription, peer)
        case .sendIdentityThenCloseWithError(let error):
            try await self.stream.send { RemoteIdentity.server.write(to: &$0) }
            throw error
        case .closeWithError(let error): throw error
        }
    }

    /// The answer to a browser; we read on for a moment, so that a reset does not destroy it (halibut.md 2.8).
    @inline(never)
    private func sendFriendlyPage() async throws {
        let page = self.configuration.friendlyPage.response
        try await self.stream.send { $0.writeImmutableBuffer(page) }
        self.pipe.closeOutput()
        self.pipe.arm(self.configuration.halibut.limits.lingerTimeout)
        do {
            while true { _ = try await self.pipe.receive() }
        } catch {
            // However it ends, the page has gone out.
        }
    }

    // MARK: Clients

    @inline(never)
    private func serveClient(_ peer: Thumbprint) async throws {
        guard let dispatcher = self.configuration.dispatcher else {
            self.logger.warning("A client connected, but nothing can be called here")
            self.denied(.notServed, peer)
            return
        }
        self.identified(peer)
        try await self.stream.send { RemoteIdentity.server.write(to: &$0) }
        let executor = RequestExecutor(dispatcher: dispatcher, logger: self.logger, observer: self.observer)
        while true {
            let received = try await self.stream.readRequest(
                firstByteTimeout: self.configuration.halibut.limits.nextRequestIdleTimeout
            )
            switch self.machine.requestRead(id: received?.0.id) {
            case .closeQuietly: return
            case .closeWithError(let error): throw error
            case .dispatch: break
            }
            guard let (request, streams) = received else { return }
            defer { streams.deleteFiles() }
            // A service that stops hangs up at once and does not answer any more (halibut.md 3.3); the call runs on.
            let pipe = self.pipe
            guard self.task?.begin(stopping: { pipe.close() }) ?? true else { throw CancellationError() }
            let response = try await executor.execute(request, streams: streams, peer: peer)
            self.task?.end()
            if self.task?.isStopping ?? false { throw CancellationError() }
            try await self.stream.send(response)
            guard case .readControlLine = self.machine.responseSent() else { return }
            guard try await self.proceed(timeout: self.configuration.halibut.limits.receiveTimeout) else { return }
        }
    }

    /// Waits for `NEXT`; false when the dialler is done.
    @inline(never)
    private func proceed(timeout: Duration) async throws -> Bool {
        let line: ControlLine
        do {
            line = try await self.stream.readControlLine(timeout: timeout)
        } catch let error as WireError where error.code == .connectionClosed || error.code == .timeout {
            // The ordinary end of a connection that the other side has pooled.
            return false
        }
        switch self.machine.controlLineRead(line) {
        case .sendProceedThenReadRequest, .sendProceedThenTakeRequest:
            try await self.stream.send(timeout: self.configuration.halibut.limits.heartbeatSendTimeout) {
                ControlLine.proceed.write(to: &$0)
            }
            return true
        case .closeQuietly: return false
        case .closeWithError(let error): throw error
        }
    }

    // MARK: Subscribers

    private func serveSubscriber(_ subscription: EndPointURI, _ peer: Thumbprint) async throws {
        self.logger[metadataKey: "halibut.subscription"] = "\(subscription)"
        if self.configuration.queues == nil { self.denied(.notServed, peer, subscription: subscription) }
        guard let queues = self.configuration.queues, self.lease(subscription, peer) else {
            _ = self.machine.leased(false)
            return
        }
        defer { self.release(subscription) }
        guard case .sendIdentityThenTakeRequest = self.machine.leased(true) else { return }
        self.identified(peer, subscription: subscription)
        try await self.stream.send { RemoteIdentity.server.write(to: &$0) }
        while true {
            guard self.stream.isDrained else { return }
            let taken = try await queues.take(
                subscription,
                by: self.pipe,
                timeout: self.configuration.halibut.limits.pollingQueueWaitTimeout
            )
            guard try await self.exchange(taken, queues, subscription) else { return }
            guard try await self.proceed(timeout: self.configuration.halibut.limits.heartbeatTimeout) else {
                if self.pipe.hasTimedOut {
                    self.logger.info(
                        "No messages received from client for timeout period. Connection closed and will be re-opened when required"
                    )
                }
                return
            }
        }
    }

    private func lease(_ subscription: EndPointURI, _ peer: Thumbprint) -> Bool {
        guard self.configuration.authorise(subscription.text, peer) else {
            self.logger.warning(
                "A polling client at \(self.pipe.remoteDescription) with the thumbprint '\(peer)' is not the owner of subscription \(subscription)"
            )
            self.denied(.notOwner, peer, subscription: subscription)
            return false
        }
        let limit = self.configuration.halibut.limits.maximumConnectionsPerSubscription ?? .max
        let admitted = self.listener.subscribers.withLock { subscribers in
            guard subscribers[subscription, default: 0] < limit else { return false }
            subscribers[subscription, default: 0] += 1
            return true
        }
        if !admitted {
            self.logger.warning(
                "A polling client at \(self.pipe.remoteDescription) has exceeded the maximum number of active connections (\(limit)) for subscription \(subscription). New connections will be rejected"
            )
            self.denied(.subscriptionLimit, peer, subscription: subscription)
        }
        return admitted
    }

    private func release(_ subscription: EndPointURI) {
        self.listener.subscribers.withLock { subscribers in
            let count = subscribers[subscription, default: 1] - 1
            subscribers[subscription] = count > 0 ? count : nil
        }
    }

    /// Sends the request that was taken, or a NUL request when there was none in time.
    ///
    /// False when the subscriber has gone.
    @inline(never)
    private func exchange(
        _ taken: PollingQueues.Call?,
        _ queues: PollingQueues,
        _ subscription: EndPointURI
    ) async throws -> Bool {
        switch self.machine.requestTaken(id: taken?.message.id, peerHasNews: self.pipe.hasNews) {
        case .closeQuietly: return false
        case .closeWithError(let error): throw error
        case .putBackThenClose:
            if let taken { queues.putBack(taken, subscription) }
            return false
        case .sendNullThenReadControlLine:
            try await self.stream.sendNullMessage()
            return true
        case .sendRequestThenReadResponse: break
        }
        guard let call = taken else { return false }
        return try await self.carry(call, queues, subscription)
    }

    /// Sends a request and waits for its response; false when there is none.
    @inline(never)
    private func carry(
        _ call: PollingQueues.Call,
        _ queues: PollingQueues,
        _ subscription: EndPointURI
    ) async throws -> Bool {
        let sentBytes = self.pipe.sentBytes
        do {
            try await self.stream.send(call.message)
            let response = try await self.stream.readResponse()
            switch self.machine.responseRead(id: response?.0.id) {
            case .completeThenReadControlLine: break
            case .closeWithError(let error): throw error
            }
            guard let response else { return false }
            queues.complete(call, subscription, .success(response))
            return true
        } catch {
            if self.pipe.hasEnded, self.pipe.sentBytes == sentBytes {
                // It ended before a byte of the request was taken for sending: somebody else shall have it.
                queues.putBack(call, subscription)
            } else {
                queues.complete(call, subscription, .failure(error))
            }
            throw error
        }
    }
}
