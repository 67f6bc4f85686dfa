import NIOCore
import NIOPosix
import SecureTransport

/// The limit of a remote call: messages of the same size back and forth over the same TLS code, and nothing else.
enum PingPong {
    /// Round-trip times of `count` exchanges of `bytes` bytes each way on one connection.
    static func roundTrips(count: Int, bytes: Int) async throws -> [Duration] {
        // A loop of its own for each side, as the two processes of a remote call have.
        let near = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let far = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let times = try await measure(count: count, bytes: bytes, near: near, far: far)
        try await near.shutdownGracefully()
        try await far.shutdownGracefully()
        return times
    }

    private static func measure(
        count: Int,
        bytes: Int,
        near: MultiThreadedEventLoopGroup,
        far: MultiThreadedEventLoopGroup
    ) async throws -> [Duration] {
        let server = try TLSContext(server: .generate())
        let client = try TLSContext(client: .generate())
        let listener = try await ServerBootstrap(group: far)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: server, verification: .any),
                        Echo()
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let promise = near.any().makePromise(of: [Duration].self)
        let dialler = try await ClientBootstrap(group: near)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: client, verification: .any),
                        Pinger(count: count, bytes: bytes, result: promise)
                    )
                }
            }
            .connect(host: "127.0.0.1", port: listener.localAddress?.port ?? 0).get()
        let times = try await promise.futureResult.get()
        try await dialler.close().get()
        try await listener.close().get()
        return times
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(data, promise: nil)
        }
    }

    private final class Pinger: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let message: ByteBuffer
        private let result: EventLoopPromise<[Duration]>
        private var remaining: Int
        private var outstanding = 0
        private var sentAt = ContinuousClock.now
        private var times: [Duration] = []

        init(count: Int, bytes: Int, result: EventLoopPromise<[Duration]>) {
            message = ByteBuffer(repeating: 0x2a, count: bytes)
            remaining = count
            self.result = result
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is TLSEvent { send(context) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            outstanding -= unwrapInboundIn(data).readableBytes
            guard outstanding == 0 else { return }
            times.append(ContinuousClock.now - sentAt)
            remaining -= 1
            if remaining == 0 { result.succeed(times) } else { send(context) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            result.fail(error)
            context.close(promise: nil)
        }

        private func send(_ context: ChannelHandlerContext) {
            outstanding = message.readableBytes
            sentAt = ContinuousClock.now
            context.writeAndFlush(wrapOutboundOut(message), promise: nil)
        }
    }
}
