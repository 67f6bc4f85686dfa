import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

extension FaultyForwarder {
    /// One connection through the forwarder: two sockets and what passes between them.
    package final class Connection: Sendable {
        private struct Progress {
            var bytes: [Direction: Int] = [:]
            var records: [Direction: RecordRanges] = [:]
        }

        /// From 1, in the order in which they were accepted.
        package let number: Int
        let loop: any EventLoop
        private let progress = Watched(Progress())
        private let lanes: NIOLoopBound<Lanes>

        init(number: Int, loop: any EventLoop, trigger: Trigger?, forwarder: FaultyForwarder) {
            self.number = number
            self.loop = loop
            self.lanes = NIOLoopBound(Lanes(trigger: trigger, forwarder: forwarder), eventLoop: loop)
        }

        // MARK: What the test says; it is done when the function returns

        /// Breaks the connection now; the direction matters to ``Fault/halfClose`` and ``Fault/hold``.
        package func apply(_ fault: Fault, _ direction: Direction = .toListener) async {
            try? await self.loop.submit { self.lanes.value.apply(fault, direction, self) }.get()
        }

        /// Breaks this connection when so many more bytes have passed.
        package func apply(_ fault: Fault, _ direction: Direction, afterNext count: Int) async {
            try? await self.loop.submit { self.lanes.value.arm(fault, direction, afterNext: count, self) }.get()
        }

        /// Ends a hold.
        package func release() {
            self.loop.execute { self.lanes.value.release(self) }
        }

        // MARK: What the test awaits

        /// How many bytes have passed.
        package func bytes(_ direction: Direction) -> Int { self.progress.value.bytes[direction, default: 0] }

        /// Waits until so many bytes have passed.
        package func forwarded(_ count: Int, _ direction: Direction) async throws {
            try await self.progress.until { $0.bytes[direction, default: 0] >= count }
        }

        /// Where the TLS records lie among the bytes that have passed: a clean run's counts, by which faults are placed.
        package func records(_ direction: Direction) -> [Range<Int>] {
            self.progress.value.records[direction]?.complete ?? []
        }

        /// Waits for the end of the `number`th TLS record, counted from 1.
        package func record(_ number: Int, _ direction: Direction) async throws {
            try await self.progress.until { ($0.records[direction]?.complete.count ?? 0) >= number }
        }

        // MARK: The event loop's side

        func attach(_ channel: any Channel, as destination: Direction) throws {
            try channel.pipeline.syncOperations.addHandler(EndHandler(connection: self, destinationOf: destination))
            self.lanes.value.channels[destination] = channel
            channel.closeFuture.whenComplete { _ in self.lanes.value.hasClosed(destination, self) }
        }

        func dial() { self.lanes.value.dial(self) }

        func holdConnect() { self.lanes.value.isConnectHeld = true }

        func becameActive() { self.lanes.value.becameActive(self) }

        func received(_ buffer: ByteBuffer, _ direction: Direction) {
            self.lanes.value.received(buffer, direction)
        }

        func readCompleted(_ direction: Direction) { self.lanes.value.pump(direction, self) }

        func ended(_ direction: Direction, byReset: Bool) {
            self.lanes.value.ended(direction, byReset: byReset, self)
        }

        func passed(_ buffer: ByteBuffer, _ direction: Direction) {
            self.progress.change { progress in
                progress.bytes[direction, default: 0] += buffer.readableBytes
                progress.records[direction, default: RecordRanges()].append(buffer)
            }
        }
    }

    /// Both directions of a connection; lives on its event loop.
    private final class Lanes {
        private enum Mode {
            case flowing, held, stalled, discarding
        }

        /// One direction.
        private struct Lane {
            var mode = Mode.flowing
            var pending = CircularBuffer<ByteBuffer>()
            var passed = 0
            var isWriting = false
            /// The sender has said that it sends no more, or has gone.
            var sourceEnded = false
            var sourceReset = false
            var destinationToldOfEnd = false
        }

        private let forwarder: FaultyForwarder
        private var trigger: Trigger?
        /// Whether other connections have the same trigger, and the first one to come so far takes it.
        private var sharesTrigger = true
        private var lanes: [Direction: Lane] = [.toListener: Lane(), .toDialler: Lane()]
        /// By the direction in which they are written to.
        var channels: [Direction: any Channel] = [:]
        var isConnectHeld = false
        /// Both ends must stand before the first byte is read: NIO forgets a read that comes earlier.
        private var isConnected = false
        private var isAccepted = false
        private var closed: Set<Direction> = []

        init(trigger: Trigger?, forwarder: FaultyForwarder) {
            self.trigger = trigger
            self.forwarder = forwarder
        }

        private subscript(_ direction: Direction) -> Lane {
            get { self.lanes[direction, default: Lane()] }
            set { self.lanes[direction] = newValue }
        }

        func dial(_ connection: Connection) {
            self.forwarder.dial(connection).assumeIsolated().whenComplete { result in
                switch result {
                case .success:
                    self.isConnected = true
                    self.pump(connection)
                case .failure:
                    self.closed.insert(.toListener)
                    self.apply(.reset, .toDialler, connection)
                }
            }
        }

        func becameActive(_ connection: Connection) {
            if self.channels[.toDialler]?.isActive == true { self.isAccepted = true }
            self.pump(connection)
        }

        private func pump(_ connection: Connection) {
            for direction in Direction.allCases { self.pump(direction, connection) }
        }

        func received(_ buffer: ByteBuffer, _ direction: Direction) {
            if self[direction].mode != .discarding { self[direction].pending.append(buffer) }
        }

        /// Forwards what is there, as far as it may pass, and reads on when nothing is left.
        func pump(_ direction: Direction, _ connection: Connection) {
            guard let source = self.channels[direction.opposite], let destination = self.channels[direction],
                self.isConnected, self.isAccepted
            else { return }
            switch self[direction].mode {
            case .held, .stalled: return
            case .discarding:
                if !self[direction].sourceEnded { source.read() }
                return
            case .flowing: break
            }
            guard !self[direction].isWriting else { return }
            if self.fires(direction, connection) { return }
            if var next = self[direction].pending.popFirst() {
                let allowed = self.allowance(direction).map { min($0, next.readableBytes) } ?? next.readableBytes
                guard let part = next.readSlice(length: allowed) else { return }
                if next.readableBytes > 0 { self[direction].pending.prepend(next) }
                self.write(part, to: destination, direction, connection)
            } else if self[direction].sourceEnded {
                self.passOnEnd(direction)
            } else {
                source.read()
            }
        }

        private func write(
            _ part: ByteBuffer,
            to destination: any Channel,
            _ direction: Direction,
            _ connection: Connection
        ) {
            self[direction].isWriting = true
            self[direction].passed += part.readableBytes
            // Said before it is done: whatever the receiver makes of it, the count is there first.
            connection.passed(part, direction)
            destination.writeAndFlush(part).assumeIsolated().whenComplete { result in
                self[direction].isWriting = false
                if case .failure = result, self[direction].mode == .flowing { self[direction].mode = .discarding }
                self.pump(direction, connection)
            }
        }

        /// How many bytes may pass before the fault.
        private func allowance(_ direction: Direction) -> Int? {
            guard let trigger, trigger.direction == direction else { return nil }
            return trigger.after - self[direction].passed
        }

        private func fires(_ direction: Direction, _ connection: Connection) -> Bool {
            guard let trigger, let allowance = self.allowance(direction), allowance <= 0 else { return false }
            self.trigger = nil
            guard !self.sharesTrigger || self.forwarder.fire(trigger) else { return false }
            // Said before it is done: whatever the peers make of it, the count is there first.
            self.forwarder.hasBroken(connection)
            self.apply(trigger.fault, direction, connection)
            return true
        }

        func arm(_ fault: Fault, _ direction: Direction, afterNext count: Int, _ connection: Connection) {
            self.trigger = Trigger(fault, direction, after: self[direction].passed + count)
            self.sharesTrigger = false
            self.pump(direction, connection)
        }

        func apply(_ fault: Fault, _ direction: Direction, _ connection: Connection) {
            switch fault {
            case .reset:
                for direction in Direction.allCases {
                    self[direction].mode = .discarding
                    self.reset(direction)
                }
            case .finish:
                for direction in Direction.allCases { self.finish(direction, connection) }
            case .halfClose: self.finish(direction, connection)
            case .stall:
                for direction in Direction.allCases { self[direction].mode = .stalled }
            case .hold: self[direction].mode = .held
            }
        }

        private func finish(_ direction: Direction, _ connection: Connection) {
            self[direction].mode = .discarding
            self[direction].pending.removeAll()
            self.channels[direction]?.close(mode: .output, promise: nil)
            self.pump(direction, connection)
            self.closeIfDone()
        }

        func release(_ connection: Connection) {
            if self.isConnectHeld {
                self.isConnectHeld = false
                self.dial(connection)
            }
            for direction in Direction.allCases where self[direction].mode == .held {
                self[direction].mode = .flowing
                self.pump(direction, connection)
            }
        }

        // MARK: Ends

        func ended(_ direction: Direction, byReset: Bool, _ connection: Connection) {
            self[direction].sourceEnded = true
            self[direction].sourceReset = self[direction].sourceReset || byReset
            self.pump(direction, connection)
            self.closeIfDone()
        }

        private func passOnEnd(_ direction: Direction) {
            if self[direction].sourceReset { return self.reset(direction) }
            guard !self[direction].destinationToldOfEnd else { return }
            self[direction].destinationToldOfEnd = true
            self.channels[direction]?.close(mode: .output, promise: nil)
            self.closeIfDone()
        }

        private func reset(_ direction: Direction) {
            guard let channel = self.channels[direction] else { return }
            let options = channel as? any SocketOptionProvider
            options?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in }
            channel.close(promise: nil)
        }

        /// Both peers have ended: nothing can pass any more.
        private func closeIfDone() {
            let lanes = self.lanes.values
            guard lanes.allSatisfy({ $0.sourceEnded }) else { return }
            guard lanes.allSatisfy({ $0.mode != .flowing || ($0.pending.isEmpty && !$0.isWriting) }) else { return }
            guard lanes.allSatisfy({ $0.mode != .held }) else { return }
            for channel in self.channels.values { channel.close(promise: nil) }
        }

        func hasClosed(_ direction: Direction, _ connection: Connection) {
            guard self.closed.insert(direction).inserted else { return }
            // A dialler that was gone before we had accepted it has nothing to read, only its end to pass on.
            if direction == .toDialler { self.isAccepted = true }
            self.ended(direction.opposite, byReset: false, connection)
            if self[direction].mode == .flowing { self[direction].mode = .discarding }
            self.pump(direction, connection)
            if self.closed.count == 2 { self.forwarder.hasClosed() }
        }
    }

    /// Hands what a socket says to its connection.
    private final class EndHandler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let connection: Connection
        private let direction: Direction

        init(connection: Connection, destinationOf direction: Direction) {
            self.connection = connection
            self.direction = direction.opposite
        }

        func channelActive(context: ChannelHandlerContext) { self.connection.becameActive() }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.connection.received(self.unwrapInboundIn(data), self.direction)
        }

        func channelReadComplete(context: ChannelHandlerContext) { self.connection.readCompleted(self.direction) }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent { self.connection.ended(self.direction, byReset: false) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.connection.ended(self.direction, byReset: true)
            context.close(promise: nil)
        }
    }
}

extension FaultyForwarder.Direction {
    package var opposite: FaultyForwarder.Direction { self == .toListener ? .toDialler : .toListener }
}

/// Where TLS records begin and end in a stream of bytes.
private struct RecordRanges {
    private static let headerBytes = 5

    private(set) var complete: [Range<Int>] = []
    private var start = 0
    private var position = 0
    private var header: [UInt8] = []

    mutating func append(_ buffer: ByteBuffer) {
        var rest = buffer.readableBytesView
        while !rest.isEmpty {
            if self.header.count < Self.headerBytes {
                let part = rest.prefix(Self.headerBytes - self.header.count)
                self.header += part
                self.position += part.count
                rest = rest.dropFirst(part.count)
                continue
            }
            let end = self.start + Self.headerBytes + Int(self.header[3]) << 8 + Int(self.header[4])
            let part = rest.prefix(end - self.position)
            self.position += part.count
            rest = rest.dropFirst(part.count)
            if self.position == end {
                self.complete.append(self.start..<end)
                self.start = end
                self.header = []
            }
        }
    }
}
