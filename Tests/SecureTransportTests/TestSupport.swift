import Foundation
import NIOCore
import NIOPosix
import SecureTransport
import Testing

/// Identities that many tests share: making an RSA key takes a while.
enum Identities {
    static let agent = Result { try TLSIdentity.generate(commonName: "Octopus Tentacle") }
    static let server = Result { try TLSIdentity.generate(commonName: "Octopus Server") }
}

/// A folder that is removed when the body ends.
func withScratchDirectory<Value>(_ body: (URL) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}

/// Two sessions joined without a network.
struct SessionPair {
    let client: TLSSession
    let server: TLSSession
    var clientResult = TLSSession.OnAdvanceHandshake.needsInput
    var serverResult = TLSSession.OnAdvanceHandshake.needsInput

    init(
        versions: ClosedRange<TLSVersion> = .tls12 ... .tls13,
        clientIdentity: TLSIdentity?,
        serverIdentity: TLSIdentity,
        expecting: PeerVerification = .any
    ) throws {
        let clientContext = try TLSContext(client: clientIdentity, versions: versions)
        client = try TLSSession(context: clientContext, serverName: "agent.example", verification: expecting)
        server = try TLSSession(context: TLSContext(server: serverIdentity), serverName: nil, verification: .any)
    }

    /// Carries the handshake to its end, or as far as it goes.
    ///
    /// - Parameter pieces: Ciphertext travels in pieces of this many bytes.
    mutating func shakeHands(pieces: Int = .max) {
        var moved = true
        while moved {
            moved = false
            if case .needsInput = clientResult { clientResult = client.advanceHandshake() }
            while var bytes = client.takeOutput() {
                moved = true
                while let piece = bytes.readSlice(length: min(pieces, bytes.readableBytes)), piece.readableBytes > 0 {
                    server.feed(piece)
                    if case .needsInput = serverResult { serverResult = server.advanceHandshake() }
                }
            }
            while var bytes = server.takeOutput() {
                moved = true
                while let piece = bytes.readSlice(length: min(pieces, bytes.readableBytes)), piece.readableBytes > 0 {
                    client.feed(piece)
                    if case .needsInput = clientResult { clientResult = client.advanceHandshake() }
                }
            }
        }
    }
}

extension TLSSession.OnAdvanceHandshake {
    var details: TLSConnectionDetails? {
        guard case .established(let details) = self else { return nil }
        return details
    }

    var error: TLSError? {
        guard case .failed(let error) = self else { return nil }
        return error
    }
}

/// What a channel's last handler saw.
enum Signal: Sendable, Equatable {
    case established(TLSConnectionDetails)
    case data([UInt8])
    case failed(TLSError)
    case inactive
}

/// Turns what reaches the end of a pipeline into a sequence; echoes data when asked to.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let signals: AsyncStream<Signal>.Continuation
    private let echo: Bool

    init(_ signals: AsyncStream<Signal>.Continuation, echo: Bool) {
        self.signals = signals
        self.echo = echo
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        signals.yield(.data(Array(buffer.readableBytesView)))
        if echo { context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .established(let details)? = event as? TLSEvent { signals.yield(.established(details)) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { signals.yield(.failed(error)) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        signals.yield(.inactive)
        signals.finish()
    }
}

/// A listener on a free port of the loopback address; records its only connection.
func withListener<Value: Sendable>(
    identity: TLSIdentity,
    echo: Bool = true,
    _ body: (_ port: Int, _ signals: AsyncStream<Signal>) async throws -> Value
) async throws -> Value {
    let (signals, continuation) = AsyncStream.makeStream(of: Signal.self)
    let context = try TLSContext(server: identity)
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(TLSHandler(context: context, verification: .any))
                try channel.pipeline.syncOperations.addHandler(Recorder(continuation, echo: echo))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    let result: Result<Value, any Error>
    do {
        result = .success(try await body(listener.localAddress?.port ?? 0, signals))
    } catch {
        result = .failure(error)
    }
    try await listener.close()
    return try result.get()
}

/// Dials a port of the loopback address.
func dial(
    _ port: Int,
    identity: TLSIdentity?,
    expecting: PeerVerification,
    versions: ClosedRange<TLSVersion> = .tls12 ... .tls13,
    handshakeTimeout: TimeAmount? = .seconds(30)
) async throws -> (channel: any Channel, signals: AsyncStream<Signal>) {
    let (signals, continuation) = AsyncStream.makeStream(of: Signal.self)
    let context = try TLSContext(client: identity, versions: versions)
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    TLSHandler(
                        context: context,
                        serverName: "localhost",
                        verification: expecting,
                        handshakeTimeout: handshakeTimeout
                    )
                )
                try channel.pipeline.syncOperations.addHandler(Recorder(continuation, echo: false))
            }
        }
        .connect(host: "127.0.0.1", port: port).get()
    return (channel, signals)
}

extension AsyncStream<Signal> {
    /// Everything until the channel ended, data joined.
    func all() async -> (data: [UInt8], others: [Signal]) {
        var data: [UInt8] = []
        var others: [Signal] = []
        for await signal in self {
            if case .data(let bytes) = signal { data += bytes } else { others.append(signal) }
        }
        return (data, others)
    }

    /// The next data up to `count` bytes, skipping everything else.
    func data(count: Int) async -> [UInt8] {
        var data: [UInt8] = []
        for await case .data(let bytes) in self {
            data += bytes
            if data.count >= count { break }
        }
        return data
    }
}
