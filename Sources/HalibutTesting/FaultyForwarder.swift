import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// A TCP forwarder between a dialler and a listener that breaks connections as a test tells it to.
///
/// A test arms a ``Fault`` at a count of bytes (what passes is TLS: a clean run tells the counts, see
/// ``Connection/records(_:)``), or applies one when the peers have come to some point. It learns what has happened by
/// awaiting it; nothing here depends on time.
package final class FaultyForwarder: Sendable {
    /// Which way bytes go.
    package enum Direction: Hashable, Sendable, CaseIterable {
        case toListener, toDialler
    }

    /// What happens to a connection.
    package enum Fault: Hashable, Sendable, CaseIterable {
        /// RST to both sides.
        case reset
        /// FIN to both sides; what still comes is thrown away.
        case finish
        /// FIN to the receiver of the direction; what still comes from its sender is thrown away.
        case halfClose
        /// Nothing is read or forwarded any more, either way, not even the connection's end.
        case stall
        /// Nothing of the direction is read or forwarded until ``Connection/release()``.
        case hold
    }

    /// A fault that waits for its byte.
    package struct Trigger: Hashable, Sendable {
        package var direction: Direction
        /// Bytes that still pass in the direction; none of them, and the connection breaks as soon as it stands.
        package var after: Int
        package var fault: Fault

        package init(_ fault: Fault, _ direction: Direction, after: Int) {
            self.fault = fault
            self.direction = direction
            self.after = after
        }
    }

    private enum Armed: Sendable, Equatable {
        case trigger(Trigger)
        /// The next connection is accepted, and dialled on only when it is released.
        case heldConnect
    }

    private let target: Int
    private let socket: NIOBSDSocket.Handle
    private let counter = Atomic<Int>(0)
    private let armed = Mutex<Armed?>(nil)
    private let server = Mutex<(any Channel)?>(nil)
    private let accepted = Watched<[Connection]>([])
    private let broken = Watched<[Connection]>([])
    /// Connections with at least one end left.
    private let open = Watched(0)

    /// Where diallers reach the listener through the forwarder.
    package let port: Int

    private init(target: Int) throws {
        let (socket, port) = try BoundSocket.make()
        self.target = target
        self.socket = socket
        self.port = port
    }

    /// Forwards to a port of this machine until the body returns.
    ///
    /// While it is `refusing`, connections are refused until ``startListening()``.
    package static func with<Result: Sendable>(
        to target: Int,
        refusing: Bool = false,
        _ body: @Sendable (FaultyForwarder) async throws -> Result
    ) async throws -> Result {
        let forwarder = try FaultyForwarder(target: target)
        do {
            if !refusing { try await forwarder.startListening() }
            let result = try await body(forwarder)
            await forwarder.shutDown()
            return result
        } catch {
            await forwarder.shutDown()
            throw error
        }
    }

    /// Accepts connections from now on.
    package func startListening() async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 512)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.accept(channel) }
            }
            .withBoundSocket(self.socket).get()
        self.server.withLock { $0 = channel }
    }

    private func shutDown() async {
        let channel = self.server.withLock { $0.take() }
        if let channel { try? await channel.close() } else { _ = close(self.socket) }
        for connection in self.accepted.value { await connection.apply(.reset) }
    }

    // MARK: What the test says

    /// Breaks the first connection of those accepted from now on that comes so far; only that one.
    package func arm(_ trigger: Trigger) {
        self.armed.withLock { $0 = .trigger(trigger) }
    }

    /// Accepts the next connection and dials on only when it is released, so that others overtake it.
    package func armHeldConnect() {
        self.armed.withLock { $0 = .heldConnect }
    }

    /// Lets all connections pass.
    package func disarm() {
        self.armed.withLock { $0 = nil }
    }

    // MARK: What the test awaits

    /// Connections accepted so far.
    package var connections: [Connection] { self.accepted.value }

    /// Waits until so many have been accepted; returns the latest.
    package func connection(_ count: Int) async throws -> Connection {
        try await self.accepted.until { $0.count >= count }
        return self.accepted.value[count - 1]
    }

    /// The `number`th connection on which an armed fault came to pass.
    package func brokenConnection(_ number: Int = 1) async throws -> Connection {
        try await self.broken.until { $0.count >= number }
        return self.broken.value[number - 1]
    }

    /// Waits until a fault came to pass on some connection, true, or another one was accepted after this one.
    package func hasBroken(beforeReplacementOf connection: Connection) async throws -> Bool {
        try await self.broken.until { !$0.isEmpty || self.accepted.value.last !== connection }
        return self.brokenCount > 0
    }

    /// How many faults came to pass.
    package var brokenCount: Int { self.broken.value.count }

    /// Waits until no more connections than these are left that have not been closed by both peers.
    package func untilOpen(atMost count: Int) async throws {
        try await self.open.until { $0 <= count }
    }

    // MARK: Connections

    private func accept(_ channel: any Channel) throws {
        let armed = self.armed.withLock { armed in
            if case .heldConnect? = armed { return armed.take() }
            return armed
        }
        var trigger: Trigger?
        if case .trigger(let armed)? = armed { trigger = armed }
        let number = self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let connection = Connection(number: number, loop: channel.eventLoop, trigger: trigger, forwarder: self)
        try connection.attach(channel, as: .toDialler)
        self.open.change { $0 += 1 }
        self.accepted.change { $0.append(connection) }
        // Those who wait for a fault may wait for it on another connection.
        self.broken.change { _ in }
        if case .heldConnect? = armed { return connection.holdConnect() }
        connection.dial()
    }

    func dial(_ connection: Connection) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: connection.loop)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try connection.attach(channel, as: .toListener) }
            }
            .connect(host: "127.0.0.1", port: self.target)
    }

    /// Whether the trigger is still armed; then it is no longer.
    func fire(_ trigger: Trigger) -> Bool {
        self.armed.withLock { armed in
            guard case .trigger(trigger)? = armed else { return false }
            armed = nil
            return true
        }
    }

    func hasBroken(_ connection: Connection) { self.broken.change { $0.append(connection) } }

    func hasClosed() { self.open.change { $0 -= 1 } }
}

/// A socket with a port that nobody else gets, and that refuses connections for now.
private enum BoundSocket {
    static func make() throws -> (NIOBSDSocket.Handle, port: Int) {
        let socket = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let status = bind(socket, address, length)
                return status == 0 ? getsockname(socket, address, &length) : status
            }
        }
        guard status == 0 else {
            let error = IOError(errnoCode: errno, reason: "bind")
            _ = close(socket)
            throw error
        }
        return (socket, Int(UInt16(bigEndian: address.sin_port)))
    }
}
