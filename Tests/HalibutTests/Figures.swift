import BSON
import FoundationEssentials
import Halibut
import HalibutTesting
import NIOCore
import NIOPosix
import SecureTransport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Measures instead of testing: `HALIBUT_FIGURES=1 swift test -c release --filter Figures`.
///
/// Lines are `figure`, `value`, `unit`, `reference`, `reference value`, `ratio`, separated by tabs.
@Suite(
    "Figures",
    .serialized,
    .enabled(if: getenv("HALIBUT_FIGURES") != nil, "measures only when HALIBUT_FIGURES is set")
)
struct Figures {
    private func report(
        _ figure: String,
        _ value: Double,
        _ unit: String,
        _ reference: String,
        _ referenceValue: Double
    ) {
        func text(_ number: Double) -> String { "\((number * 1000).rounded() / 1000)" }
        print(
            figure,
            text(value),
            unit,
            reference,
            text(referenceValue),
            text(value / referenceValue),
            separator: "\t"
        )
    }

    private func percentiles(_ count: Int, _ body: () async throws -> Void) async rethrows -> (p50: Double, p99: Double)
    {
        for _ in 0..<count / 10 { try await body() }
        var durations: [Duration] = []
        for _ in 0..<count {
            let start = ContinuousClock.now
            try await body()
            durations.append(.now - start)
        }
        durations.sort()
        return (durations[count / 2] / .milliseconds(1), durations[count * 99 / 100] / .milliseconds(1))
    }

    @Test("RPC on a warm connection against a bare TLS ping-pong")
    func roundTrip() async throws {
        let pingPong = try await PingPong.measure(count: 3000)
        report("tls-ping-pong-p50", pingPong, "ms", "limit", 0.5)
        try await ListeningPair.with { pair in
            let result = try await percentiles(3000) {
                _ = try await pair.client.call(
                    pair.endPoint,
                    service: "IEchoService",
                    method: "SayHello",
                    parameters: ["x"]
                )
            }
            report("rpc-listening-p50", result.p50, "ms", "tls-ping-pong-p50", pingPong)
            report("rpc-listening-p99", result.p99, "ms", "limit", 0.5)
        }
        try await PollingPair.with { pair in
            let result = try await percentiles(3000) {
                _ = try await pair.client.call(
                    pair.endPoint,
                    service: "IEchoService",
                    method: "SayHello",
                    parameters: ["x"]
                )
            }
            report("rpc-polling-p50", result.p50, "ms", "tls-ping-pong-p50", pingPong)
        }
    }

    @Test("upload of a large file")
    func upload() async throws {
        let size: Int64 = 1 << 30
        let path = "\(FileManager.default.temporaryDirectory.path)/halibut-figures-\(UUID())"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        let block = [UInt8](repeating: 0x5a, count: 1 << 20)
        for _ in 0..<size >> 20 { _ = write(descriptor, block, block.count) }
        close(descriptor)
        defer { unlink(path) }
        try await ListeningPair.with { pair in
            for _ in 0..<3 {
                let stream = try OutgoingDataStream(file: path)
                let before = (cpuSeconds(), residentMegabytes())
                let start = ContinuousClock.now
                let response = try await pair.client.call(
                    pair.endPoint,
                    service: "IEchoService",
                    method: "CountBytes",
                    parameters: [stream.reference(typed: true)],
                    streams: [stream]
                )
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                #expect(response.value == .int64(size))
                report("upload", Double(size) / 1e6 / seconds, "MB/s", "limit", 500)
                report("upload-cpu", cpuSeconds() - before.0, "s/GB both sides", "wall", seconds)
                report("upload-rss", residentMegabytes(), "MB", "before", before.1)
            }
        }
    }

    private func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(0, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    private func residentMegabytes() -> Double {
        let text = (try? String(decoding: Data(contentsOf: URL(filePath: "/proc/self/statm")), as: UTF8.self)) ?? ""
        return Double(text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096 / 1e6
    }
}

/// 64 bytes there and back over TLS, on event loops alone: what the transport costs at the least.
private enum PingPong {
    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(data, promise: nil)
        }
    }

    private final class Pinger: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private var durations: [Duration] = []
        private var sent = ContinuousClock.now
        private let count: Int
        private let done: EventLoopPromise<[Duration]>

        init(count: Int, done: EventLoopPromise<[Duration]>) {
            self.count = count
            self.done = done
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is TLSEvent { ping(context) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            durations.append(.now - sent)
            if durations.count < count { ping(context) } else { done.succeed(durations) }
        }

        private func ping(_ context: ChannelHandlerContext) {
            sent = .now
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(repeating: 1, count: 64)), promise: nil)
        }
    }

    static func measure(count: Int) async throws -> Double {
        let group = MultiThreadedEventLoopGroup.singleton
        let serverContext = try TLSContext(server: TestIdentities.service)
        let clientContext = try TLSContext(client: TestIdentities.client)
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        TLSHandler(context: serverContext, verification: .any), Echo(),
                    ])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let done = group.next().makePromise(of: [Duration].self)
        let client = try await ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        TLSHandler(context: clientContext, verification: .any), Pinger(count: count, done: done),
                    ])
                }
            }
            .connect(host: "127.0.0.1", port: server.localAddress?.port ?? 0).get()
        let durations = try await done.futureResult.get().sorted()
        try await client.close()
        try await server.close()
        return durations[count / 2] / .milliseconds(1)
    }
}
