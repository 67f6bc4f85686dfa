import HalibutProtocol
import NIOCore
import NIOPosix
import Synchronization

/// The accepted connections of which we do not know yet who they are: bounded in number and time.
///
/// When all places are taken, the next waits in the kernel for a moment, and then the oldest goes and not the newest:
/// otherwise whoever keeps the places taken locks out everybody. A peer that means it needs its place for a few round
/// trips only.
final class UnidentifiedConnections: Sendable {
    private struct Entry {
        let pipe: WirePipe
        let gate: UnidentifiedGate.Opener
        let alarm: Scheduled<Void>
        let began = NIODeadline.now()
    }

    private let limits: HalibutLimits
    private let entries = Mutex<[ConnectionID: Entry]>([:])
    private let arriving = Atomic<Int>(0)

    init(limits: HalibutLimits) {
        self.limits = limits
    }

    /// A socket was accepted and is on its way to its event loop.
    func arrives() { self.arriving.wrappingAdd(1, ordering: .relaxed) }

    /// It is there, or will never be.
    func arrived() { self.arriving.wrappingSubtract(1, ordering: .relaxed) }

    /// Whether one more may be accepted.
    var hasRoom: Bool {
        let arriving = self.arriving.load(ordering: .relaxed)
        return self.entries.withLock { entries in
            guard entries.count + arriving >= self.limits.maximumUnidentifiedConnections else { return true }
            guard let oldest = entries.values.lazy.map(\.began).min() else { return false }
            return .now() - oldest >= TimeAmount(self.limits.identificationGrace)
        }
    }

    /// A connection was accepted; returns the one that had to go for it, if one had to.
    ///
    /// Called on the channel's event loop.
    func began(_ pipe: WirePipe, _ gate: UnidentifiedGate.Opener) -> WirePipe? {
        let alarm = pipe.channel.eventLoop.scheduleTask(in: TimeAmount(self.limits.identificationTimeout)) {
            pipe.abort(WireError.timedOut)
        }
        let evicted = self.entries.withLock { entries -> Entry? in
            entries[pipe.id] = Entry(pipe: pipe, gate: gate, alarm: alarm)
            guard entries.count > self.limits.maximumUnidentifiedConnections else { return nil }
            guard let oldest = entries.keys.min(by: { $0.number < $1.number }) else { return nil }
            return entries.removeValue(forKey: oldest)
        }
        guard let evicted else { return nil }
        evicted.alarm.cancel()
        evicted.pipe.abort(WireError.limit("Too many connections have not identified themselves."))
        return evicted.pipe
    }

    /// The connection has said who it is, or has ended without.
    func ended(_ pipe: WirePipe) {
        guard let entry = self.entries.withLock({ $0.removeValue(forKey: pipe.id) }) else { return }
        entry.alarm.cancel()
        entry.gate.open()
    }
}

/// The first handler of an accepted connection, until it has identified itself: lets in few bytes.
///
/// The handshake, the opening and the identity fit; what exceeds that waits in the kernel, so that a stranger costs us
/// little memory, whatever it sends.
final class UnidentifiedGate: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let maximumBytes: Int
    private var count = 0
    private var readIsHeld = false

    init(limits: HalibutLimits) {
        self.maximumBytes = limits.maximumUnidentifiedBytes
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.count += self.unwrapInboundIn(data).readableBytes
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        guard self.count < self.maximumBytes else {
            self.readIsHeld = true
            return
        }
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        try? context.channel.syncOptions?.setOption(.recvAllocator, value: ReadBuffers())
        // Through the whole pipeline: this context is not part of it any more.
        if self.readIsHeld { context.pipeline.read() }
    }

    /// Takes the gate away, from any thread.
    struct Opener: Sendable {
        private let context: NIOLoopBound<ChannelHandlerContext>
        private let eventLoop: any EventLoop

        fileprivate init(_ context: ChannelHandlerContext) {
            self.context = NIOLoopBound(context, eventLoop: context.eventLoop)
            self.eventLoop = context.eventLoop
        }

        func open() {
            self.eventLoop.execute {
                let context = self.context.value
                context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
            }
        }
    }

    /// Puts a gate in front of everything else of a new connection; on its event loop, before anything is read.
    static func add(to channel: any Channel, limits: HalibutLimits) throws -> Opener {
        let gate = UnidentifiedGate(limits: limits)
        try channel.pipeline.syncOperations.addHandler(gate, position: .first)
        return Opener(try channel.pipeline.syncOperations.context(handler: gate))
    }
}
