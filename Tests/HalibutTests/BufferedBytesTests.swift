import HalibutProtocol
import HalibutTesting
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Halibut

/// Streams of any size take a bounded amount of memory, however slow the other side or the disk is.
@Suite("Bytes held in memory", .timeLimit(.minutes(4)))
struct BufferedBytesTests {
    private static let streamBytes = 32 * 1024 * 1024

    @Test("a sender holds a megabyte or so of a stream that its peer does not read")
    func sender() async throws {
        let meter = Meter()
        let (near, far) = try await connect(meter)
        let pipe = near.pipe
        let bytes = [UInt8](repeating: 7, count: Self.streamBytes)
        try await withThrowingTaskGroup { group in
            group.addTask {
                await LoopExecutor.run(on: near.channel.eventLoop) {
                    let stream = OutgoingDataStream(bytes: bytes)
                    let wire = WireStream(pipe: pipe, limits: HalibutLimits(), spool: SpoolDirectory())
                    await #expect(throws: Never.self) {
                        let announced = stream.reference(typed: true).dataStreams
                        try await wire.send(
                            OutgoingMessage(id: "1", bytes: ByteBuffer(), streams: [stream], announced: announced)
                        )
                    }
                }
            }
            try await meter.outbound.until { $0.held >= WirePipe.outboundHighWatermark }
            try await far.channel.setOption(.autoRead, value: true).get()
            try await group.waitForAll()
        }
        let most = meter.outbound.value.mostHeld
        #expect(most <= WirePipe.outboundHighWatermark + SpoolReader.chunkBytes + 1024)
        try await near.channel.close()
    }

    @Test("a receiver holds a megabyte or so of what is taken slowly")
    func receiver() async throws {
        let meter = Meter()
        let (near, far) = try await connect(meter)
        try await near.channel.setOption(.autoRead, value: true).get()
        far.channel.writeAndFlush(ByteBuffer(repeating: 7, count: Self.streamBytes), promise: nil)
        try await meter.inbound.until { $0.held >= WirePipe.inboundHighWatermark }
        var received = 0
        while received < Self.streamBytes {
            let count = try await near.pipe.receive().readableBytes
            received += count
            meter.inbound.change { $0.held -= count }
        }
        // What is read at a time comes on top; and what the pipe takes in while we count what it gave us.
        #expect(meter.inbound.value.mostHeld <= 2 * (WirePipe.inboundHighWatermark + ReadBuffers.largestBytes))
        try await near.channel.close()
    }

    private struct End {
        let channel: any Channel
        let pipe: WirePipe
    }

    /// A connection without TLS whose ends read nothing yet; the meter counts what passes the near one.
    private func connect(_ meter: Meter) async throws -> (near: End, far: End) {
        let (pipes, accepted) = AsyncStream.makeStream(of: WirePipe.self)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // What comes here is dropped at the end of the pipeline.
                    accepted.yield(WirePipe(channel: channel))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let near = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            // As SocketSetup has it; NIO would read four times before the pipe can say that it has enough.
            .channelOption(.recvAllocator, value: ReadBuffers())
            .channelOption(.maxMessagesPerRead, value: 1)
            .connect(host: "127.0.0.1", port: listener.localAddress?.port ?? 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipe = WirePipe(channel: channel)
                    let handlers: [any ChannelHandler] = [MeterHandler(meter), WireHandler(pipe: pipe)]
                    try channel.pipeline.syncOperations.addHandlers(handlers)
                    return pipe
                }
            }
        var ends = pipes.makeAsyncIterator()
        let far = try #require(await ends.next())
        try await listener.close()
        return (End(channel: near.channel, pipe: near), End(channel: far.channel, pipe: far))
    }
}

/// Bytes on their way through one end of a connection.
private final class Meter: Sendable {
    struct Count {
        var held = 0 { didSet { self.mostHeld = max(self.mostHeld, self.held) } }
        private(set) var mostHeld = 0
    }

    let inbound = Watched(Count())
    let outbound = Watched(Count())
}

private final class MeterHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let meter: Meter

    init(_ meter: Meter) { self.meter = meter }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let count = self.unwrapInboundIn(data).readableBytes
        self.meter.inbound.change { $0.held += count }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let (meter, count) = (self.meter, self.unwrapOutboundIn(data).readableBytes)
        meter.outbound.change { $0.held += count }
        let written = promise ?? context.eventLoop.makePromise()
        written.futureResult.whenComplete { _ in meter.outbound.change { $0.held -= count } }
        context.write(data, promise: written)
    }
}
