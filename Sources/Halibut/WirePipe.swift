import HalibutProtocol
import NIOCore
import SecureTransport
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// One connection's bytes, between its event loop and the one task that owns the connection.
///
/// Why not `NIOAsyncChannel`: back-pressure here is by bytes, not by buffers; a cancelled wait leaves the connection
/// usable (so that `END` can still be sent); and a connection that waits for work can be watched without being read.
final class WirePipe: Sendable {
    /// Room for one buffer: there is always one place more than there are buffers.
    private static let inboundCapacity = 2
    /// Plaintext that may wait for the task before we stop reading from the socket.
    static let inboundHighWatermark = 512 * 1024
    /// Bytes handed to the event loop and not yet written before a writer has to wait.
    static let outboundHighWatermark = 1024 * 1024
    /// How long a peer may take for what was sent to it before we closed.
    private static let closeTimeout = Duration.seconds(10)

    private struct State {
        var inbound = CircularBuffer<ByteBuffer>(initialCapacity: WirePipe.inboundCapacity)
        var inboundBytes = 0
        var readIsHeld = false
        var outboundBytes = 0
        var sentBytes = 0
        var established: TLSConnectionDetails?
        /// Why nothing more will come; bytes received before are still delivered.
        var inputEnded: (any Error)?
        /// Why nothing more will come or go.
        var ended: (any Error)?
        /// The task, when it waits.
        var waiter: Waiter?
        /// Called once when bytes come or the connection ends.
        var watcher: (@Sendable () -> Void)?
        var deadline: NIODeadline?
        /// What happens at the deadline instead of a reset.
        var expired: (@Sendable () -> Void)?
        var alarm: Scheduled<Void>?
        var alarmAt: NIODeadline?

        /// Whether there is something to receive: bytes, or that no more will come.
        var hasNews: Bool { self.inboundBytes > 0 || self.inputEnded != nil }
    }

    /// A suspended task, and what it waits for: bytes, the handshake, room to write.
    private struct Waiter {
        var continuation: CheckedContinuation<Void, Never>
        var condition: @Sendable (borrowing State) -> Bool
    }

    let id = ConnectionID()
    let channel: any Channel
    /// Shared between the event loop and the task; held for assignments only.
    private let state = Mutex(State())

    init(channel: any Channel) {
        self.channel = channel
    }

    /// What to print for the peer's address.
    var remoteDescription: String {
        guard let address = self.channel.remoteAddress else { return "unknown" }
        return "\(address.ipAddress ?? "unknown"):\(address.port ?? 0)"
    }

    // MARK: The task's side

    /// Waits until the handshake is done.
    func waitUntilEstablished() async throws -> TLSConnectionDetails {
        while true {
            let outcome = self.state.withLock { state -> Result<TLSConnectionDetails, any Error>? in
                if let details = state.established { return .success(details) }
                return state.ended.map { .failure($0) }
            }
            if let outcome { return try outcome.get() }
            try Task.checkCancellation()
            await self.wait { $0.established != nil || $0.ended != nil }
        }
    }

    /// The next bytes that have come; waits for them.
    ///
    /// Throws why the connection ended.
    func receive() async throws -> ByteBuffer {
        while true {
            let outcome = self.state.withLock { Self.take(&$0) }
            switch outcome {
            case .received(let buffer, let resumeReading):
                if resumeReading { self.channel.eventLoop.execute { self.channel.read() } }
                return buffer
            case .ended(let error): throw error
            case .nothing:
                try Task.checkCancellation()
                await self.wait { $0.hasNews }
            }
        }
    }

    private enum Taken {
        case received(ByteBuffer, resumeReading: Bool)
        case ended(any Error)
        case nothing
    }

    private static func take(_ state: inout State) -> Taken {
        guard let buffer = state.inbound.popFirst() else { return state.inputEnded.map { .ended($0) } ?? .nothing }
        state.inboundBytes -= buffer.readableBytes
        // A connection that has carried a stream keeps no room for its buffers.
        if state.inbound.isEmpty, state.inbound.capacity > Self.inboundCapacity {
            state.inbound = CircularBuffer(initialCapacity: Self.inboundCapacity)
        }
        // Not at once, or each buffer taken would start another read.
        let resume = state.readIsHeld && state.inboundBytes <= Self.inboundHighWatermark / 2
        if resume { state.readIsHeld = false }
        return .received(buffer, resumeReading: resume)
    }

    /// Whether bytes or the end have come and not been received yet.
    var hasNews: Bool { self.state.withLock { $0.hasNews } }

    /// Whether the connection has ended because the peer took too long.
    var hasTimedOut: Bool { self.state.withLock { $0.ended as? WireError == .timedOut } }

    /// Whether the connection has ended.
    var hasEnded: Bool { self.state.withLock { $0.ended != nil } }

    /// Bytes that were taken for sending so far, whatever became of them.
    var sentBytes: Int { self.state.withLock { $0.sentBytes } }

    /// Sends bytes; waits while too many are under way.
    func send(_ buffer: ByteBuffer) async throws {
        let count = buffer.readableBytes
        let ended = self.state.withLock { state -> (any Error)? in
            if let ended = state.ended { return ended }
            state.outboundBytes += count
            state.sentBytes += count
            return nil
        }
        if let ended { throw ended }
        self.channel.writeAndFlush(buffer).whenComplete { result in self.written(count, result) }
        while true {
            let (mustWait, ended) = self.state.withLock { ($0.outboundBytes > Self.outboundHighWatermark, $0.ended) }
            if let ended { throw ended }
            guard mustWait else { return }
            try Task.checkCancellation()
            await self.wait { $0.outboundBytes <= Self.outboundHighWatermark / 2 || $0.ended != nil }
        }
    }

    /// Waits until everything sent is in the socket, or never will be, or the task is cancelled.
    func drain() async {
        await self.wait { $0.outboundBytes == 0 || $0.ended != nil }
    }

    /// Suspends the task until the condition holds or the task is cancelled.
    private func wait(until condition: @escaping @Sendable (borrowing State) -> Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now = self.state.withLock { state in
                    if condition(state) || Task.isCancelled { return true }
                    state.waiter = Waiter(continuation: continuation, condition: condition)
                    return false
                }
                if now { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.waiter.take() }?.continuation.resume()
        }
    }

    /// Calls back once when bytes come or the connection ends; at once when that has happened.
    func watch(_ watcher: @escaping @Sendable () -> Void) {
        let now = self.state.withLock { state in
            if state.hasNews { return true }
            state.watcher = watcher
            return false
        }
        if now { watcher() }
    }

    /// Stops watching.
    func unwatch() {
        self.state.withLock { $0.watcher = nil }
    }

    // MARK: Ends

    /// Closes when what was sent has been written; gives up on a peer that does not take it.
    func close() {
        guard self.state.withLock({ $0.outboundBytes > 0 && $0.ended == nil }) else {
            self.channel.close(promise: nil)
            return
        }
        self.arm(Self.closeTimeout)
        self.channel.writeAndFlush(ByteBuffer()).whenComplete { _ in self.channel.close(promise: nil) }
    }

    /// Says that nothing more goes out, behind what was sent; still receives.
    func closeOutput() {
        // Behind an empty write: NIO drops what is not written when the peer has hung up, too.
        self.channel.writeAndFlush(ByteBuffer()).whenComplete { _ in
            self.channel.close(mode: .output, promise: nil)
        }
    }

    /// Resets the connection: nothing more comes or goes.
    func abort(_ error: any Error) {
        self.finish(error)
        self.channel.eventLoop.execute {
            let options = self.channel as? any SocketOptionProvider
            options?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in }
            self.channel.close(promise: nil)
        }
    }

    // MARK: Deadlines

    /// From now on the peer has this long; replaces an earlier deadline.
    ///
    /// At the deadline the connection is reset, or `expired` is called instead.
    func arm(_ timeout: Duration, expired: (@Sendable () -> Void)? = nil) {
        let deadline = NIODeadline.now() + TimeAmount(timeout)
        let schedule = self.state.withLock { state in
            guard state.ended == nil else { return false }
            state.deadline = deadline
            state.expired = expired
            // An alarm that rings earlier looks at the deadline and sets itself again.
            if let at = state.alarmAt, at <= deadline { return false }
            state.alarmAt = deadline
            return true
        }
        if schedule { self.setAlarm(at: deadline) }
    }

    /// Nothing is expected of the peer.
    func disarm() {
        self.state.withLock { $0.deadline = nil }
    }

    private func setAlarm(at deadline: NIODeadline) {
        let alarm = self.channel.eventLoop.scheduleTask(deadline: deadline) { self.ring() }
        let previous = self.state.withLock { state in
            let previous = state.alarm
            state.alarm = state.ended == nil ? alarm : nil
            return state.ended == nil ? previous : alarm
        }
        previous?.cancel()
    }

    private func ring() {
        let now = NIODeadline.now()
        enum Outcome {
            case nothing
            case expired((@Sendable () -> Void)?)
            case again(NIODeadline)
        }
        let outcome = self.state.withLock { state -> Outcome in
            state.alarmAt = nil
            guard state.ended == nil, let deadline = state.deadline else { return .nothing }
            if deadline <= now { return .expired(state.expired) }
            state.alarmAt = deadline
            return .again(deadline)
        }
        switch outcome {
        case .nothing: break
        case .expired(let action?): action()
        case .expired(nil): self.abort(WireError.timedOut)
        case .again(let deadline): self.setAlarm(at: deadline)
        }
    }

    // MARK: The event loop's side

    fileprivate func established(_ details: TLSConnectionDetails) {
        self.wake { $0.established = details }
    }

    fileprivate func received(_ buffer: ByteBuffer) {
        self.wake { state in
            state.inbound.append(buffer)
            state.inboundBytes += buffer.readableBytes
        }
    }

    fileprivate func inputClosed() {
        self.wake { if $0.inputEnded == nil { $0.inputEnded = WireError.connectionClosed } }
    }

    /// Whether the channel may read on.
    fileprivate func mayRead() -> Bool {
        self.state.withLock { state in
            if state.inboundBytes < Self.inboundHighWatermark { return true }
            state.readIsHeld = true
            return false
        }
    }

    private func written(_ count: Int, _ result: Result<Void, any Error>) {
        switch result {
        case .success: self.wake { $0.outboundBytes -= count }
        case .failure(let error): self.finish(error)
        }
    }

    fileprivate func finish(_ error: any Error) {
        let alarm = self.state.withLock { state in
            let alarm = state.alarm
            state.alarm = nil
            return alarm
        }
        alarm?.cancel()
        self.wake { state in
            if state.inputEnded == nil { state.inputEnded = error }
            if state.ended == nil { state.ended = error }
        }
    }

    /// Changes the state and wakes the task if that is what it waits for.
    private func wake(_ change: (inout State) -> Void) {
        let (waiter, watcher) = self.state.withLock { state in
            change(&state)
            let watcher = state.hasNews ? state.watcher.take() : nil
            let isMet = state.waiter.map { $0.condition(state) } ?? false
            return (isMet ? state.waiter.take() : nil, watcher)
        }
        waiter?.continuation.resume()
        watcher?()
    }
}

extension WireError {
    static let timedOut = WireError(
        .timeout,
        "Unable to read data from the transport connection: Connection timed out."
    )
}

/// The last handler of a connection's pipeline: hands everything to its ``WirePipe``.
final class WireHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let pipe: WirePipe

    init(pipe: WirePipe) {
        self.pipe = pipe
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.pipe.received(self.unwrapInboundIn(data))
    }

    func read(context: ChannelHandlerContext) {
        if self.pipe.mayRead() { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSEvent.established(let details): self.pipe.established(details)
        case ChannelEvent.inputClosed: self.pipe.inputClosed()
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.pipe.finish(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.pipe.finish(WireError.connectionClosed)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.pipe.finish(WireError.connectionClosed)
    }
}
