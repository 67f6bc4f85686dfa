import FoundationEssentials
import HalibutTesting
import NIOCore
import NIOPosix
import SecureTransport

/// A dialler that says exactly what a test wants to say.
final class RawConnection: Sendable {
    private let channel: any Channel
    private let received = Watched<[UInt8]>([])

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let collect: @Sendable ([UInt8]) -> Void
        let established: EventLoopPromise<Void>
        init(_ established: EventLoopPromise<Void>, _ collect: @escaping @Sendable ([UInt8]) -> Void) {
            self.established = established
            self.collect = collect
        }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is TLSEvent { established.succeed() }
        }
        func channelInactive(context: ChannelHandlerContext) { established.succeed() }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            collect(Array(unwrapInboundIn(data).readableBytesView))
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private init(channel: any Channel) { self.channel = channel }

    /// Connects over TLS with or without a certificate, or without TLS.
    static func open(
        port: Int,
        identity: TLSIdentity?,
        tls: Bool = true,
        versions: ClosedRange<TLSVersion> = .tls12 ... .tls13
    ) async throws -> RawConnection {
        let context = try TLSContext(client: identity, versions: versions)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard tls else { return }
                    let handler = try TLSHandler(context: context, verification: .any)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let connection = RawConnection(channel: channel)
        let established = channel.eventLoop.makePromise(of: Void.self)
        try await channel.eventLoop.submit {
            let collector = Collector(established) { bytes in connection.received.change { $0 += bytes } }
            do {
                try channel.pipeline.syncOperations.addHandler(collector)
            } catch {
                // The listener was quicker and has hung up already.
                return established.succeed()
            }
            if !tls || !channel.isActive { established.succeed() }
        }.get()
        try? await channel.setOption(.autoRead, value: true).get()
        try await established.futureResult.get()
        return connection
    }

    func send(_ text: String) { self.send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        self.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    /// Says that nothing more comes, and reads on.
    func closeOutput() {
        self.channel.close(mode: .output, promise: nil)
    }

    /// Everything that came until the listener hung up.
    func untilClosed() async -> String {
        try? await self.channel.closeFuture.get()
        return String(decoding: self.received.value, as: UTF8.self)
    }

    /// Waits until this has come, after what came before.
    func until(_ text: String) async throws { try await self.until(Array(text.utf8)) }

    func until(_ bytes: [UInt8]) async throws {
        try await self.received.until { $0.ends(with: bytes) }
    }

    /// Ends the connection as .NET peers do: without TLS saying so.
    func hangUp() async throws {
        let channel = self.channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.context(handlerType: TLSHandler.self).close(promise: nil)
        }.get()
    }

    /// Waits until something has come after this.
    func untilMore(than text: String) async throws {
        let count = text.utf8.count
        try await self.received.until { $0.count > count }
    }

    func close() async {
        try? await self.channel.close()
    }
}

extension Array where Element: Equatable {
    fileprivate func ends(with suffix: [Element]) -> Bool {
        self.count >= suffix.count && Array(self.suffix(suffix.count)) == suffix
    }
}
