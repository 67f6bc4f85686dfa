package import NIOCore
import NIOPosix
package import SecureTransport

/// The limit of everything on the wire: the same bytes over the same TLS code, and nothing else.
package enum BareTLS {
    /// Bytes per write of a transfer, and per read.
    fileprivate static let chunkBytes = 256 * 1024

    /// A listener on the loopback interface that does what a ``Connection`` asks.
    package static func listen(identity: TLSIdentity, group: any EventLoopGroup) async throws -> any Channel {
        let context = try TLSContext(server: identity)
        return try await ServerBootstrap(group: group)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.recvAllocator, value: allocator)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: context, verification: .any),
                        Server()
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    private static var allocator: AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 4096, maximum: chunkBytes)
    }

    /// A connection to the listener; one measurement at a time.
    package struct Connection: Sendable {
        private let channel: any Channel

        /// Connects; what follows waits for the handshake.
        package init(port: Int, context: TLSContext, group: any EventLoopGroup) async throws {
            channel = try await ClientBootstrap(group: group)
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelOption(.recvAllocator, value: BareTLS.allocator)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers(
                            TLSHandler(context: context, verification: .any),
                            Client()
                        )
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
        }

        /// The times of `count` exchanges of `bytes` bytes each way, `roundTrips` of them at a time.
        package func exchanges(count: Int, bytes: Int, roundTrips: Int = 1) async throws -> [Duration] {
            try await perform(
                Job(kind: .echo, total: count * roundTrips * bytes, bytes: bytes, perTime: roundTrips)
            )
        }

        /// The time until the other side has `bytes` bytes.
        package func upload(bytes: Int) async throws -> Duration {
            try await perform(Job(kind: .upload, total: bytes)).reduce(.zero, +)
        }

        /// The time until `bytes` bytes have come from the other side.
        package func download(bytes: Int) async throws -> Duration {
            try await perform(Job(kind: .download, total: bytes)).reduce(.zero, +)
        }

        package func close() async throws {
            try await channel.close().get()
        }

        private func perform(_ job: Job) async throws -> [Duration] {
            let promise = channel.eventLoop.makePromise(of: [Duration].self)
            channel.eventLoop.execute {
                do {
                    try channel.pipeline.syncOperations.handler(type: Client.self).begin(job, channel, promise)
                } catch {
                    promise.fail(error)
                }
            }
            return try await promise.futureResult.get()
        }
    }

    /// What a client asks the server for: one byte, and how many bytes follow in one direction or both.
    private struct Job {
        enum Kind: UInt8 {
            case echo, upload, download
        }

        static let headBytes = 9

        var kind: Kind
        var total: Int
        var bytes = 0
        var perTime = 1

        var head: ByteBuffer {
            var buffer = ByteBuffer()
            buffer.writeInteger(kind.rawValue)
            buffer.writeInteger(UInt64(total))
            return buffer
        }
    }

    /// Sends many bytes, some chunks ahead of the socket.
    private final class Source {
        private static let chunksUnderWay = 4

        private let chunk = ByteBuffer(repeating: 0x2a, count: BareTLS.chunkBytes)
        private var remaining = 0

        func send(_ total: Int, to channel: any Channel) {
            remaining = total
            for _ in 0..<Self.chunksUnderWay { next(channel) }
        }

        private func next(_ channel: any Channel) {
            let count = min(remaining, BareTLS.chunkBytes)
            guard count > 0 else { return }
            remaining -= count
            channel.writeAndFlush(chunk.getSlice(at: 0, length: count) ?? chunk).assumeIsolated().whenSuccess {
                self.next(channel)
            }
        }
    }

    private final class Server: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var head = ByteBuffer()
        private var kind = Job.Kind.echo
        private var remaining = 0
        private let source = Source()

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var buffer = unwrapInboundIn(data)
            if remaining == 0 {
                head.writeBuffer(&buffer)
                guard head.readableBytes >= Job.headBytes else { return }
                kind = head.readInteger(as: UInt8.self).flatMap(Job.Kind.init) ?? .echo
                remaining = Int(head.readInteger(as: UInt64.self) ?? 0)
                buffer = head
                head = ByteBuffer()
                if kind == .download {
                    source.send(remaining, to: context.channel)
                    remaining = 0
                }
            }
            guard remaining > 0, buffer.readableBytes > 0 else { return }
            remaining -= buffer.readableBytes
            switch kind {
            case .echo: context.writeAndFlush(NIOAny(buffer), promise: nil)
            case .upload: if remaining == 0 { context.writeAndFlush(NIOAny(ByteBuffer(bytes: [1])), promise: nil) }
            case .download: break
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private final class Client: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private var job = Job(kind: .echo, total: 0)
        private var message = ByteBuffer()
        private var result: EventLoopPromise<[Duration]>?
        private var times: [Duration] = []
        private var sentAt = ContinuousClock.now
        /// Bytes until the present exchange or transfer is over, exchanges until the present time is, bytes until the job is.
        private var outstanding = 0
        private var roundTrips = 0
        private var remaining = 0
        private let source = Source()

        func begin(_ job: Job, _ channel: any Channel, _ result: EventLoopPromise<[Duration]>) {
            self.job = job
            self.result = result
            times = []
            sentAt = .now
            channel.writeAndFlush(job.head, promise: nil)
            switch job.kind {
            case .echo:
                message = ByteBuffer(repeating: 0x2a, count: job.bytes)
                remaining = job.total
                roundTrips = job.perTime
                ping(channel)
            case .upload:
                outstanding = 1
                source.send(job.total, to: channel)
            case .download: outstanding = job.total
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            outstanding -= unwrapInboundIn(data).readableBytes
            guard outstanding == 0 else { return }
            if job.kind == .echo {
                remaining -= job.bytes
                roundTrips -= 1
                guard roundTrips == 0 else { return ping(context.channel) }
            }
            times.append(ContinuousClock.now - sentAt)
            guard job.kind == .echo, remaining > 0 else {
                result?.succeed(times)
                result = nil
                return
            }
            roundTrips = job.perTime
            sentAt = .now
            ping(context.channel)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            result?.fail(error)
            result = nil
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            result?.fail(ChannelError.eof)
            result = nil
        }

        private func ping(_ channel: any Channel) {
            outstanding = message.readableBytes
            channel.writeAndFlush(message, promise: nil)
        }
    }
}
