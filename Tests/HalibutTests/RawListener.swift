import HalibutTesting
import NIOCore
import NIOPosix
import SecureTransport

/// A listener that says exactly what a test wants to say, and falls silent after that.
enum RawListener {
    /// What to say when the dialler's last words were these.
    struct Line: Sendable {
        var after: [UInt8]
        /// What to say, from all that was heard on this connection.
        var say: @Sendable (_ heard: [UInt8]) -> [UInt8]
        /// Hang up then, as .NET peers do: without TLS saying so.
        var hangsUp = false

        init(after: String, say: [UInt8], hangsUp: Bool = false) {
            self.init(after: after, hangsUp: hangsUp) { _ in say }
        }

        init(after: String, hangsUp: Bool = false, say: @escaping @Sendable (_ heard: [UInt8]) -> [UInt8]) {
            (self.after, self.say, self.hangsUp) = (Array(after.utf8), say, hangsUp)
        }
    }

    private final class Actor: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var script: ArraySlice<Line>
        private var heard: [UInt8] = []
        private let pieces: AsyncStream<ByteBuffer>.Continuation?

        init(_ script: [Line], _ pieces: AsyncStream<ByteBuffer>.Continuation?) {
            self.script = script[...]
            self.pieces = pieces
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = self.unwrapInboundIn(data)
            self.pieces?.yield(bytes)
            self.heard += bytes.readableBytesView
            guard let line = self.script.first, self.heard.suffix(line.after.count).elementsEqual(line.after) else {
                return
            }
            self.script.removeFirst()
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: line.say(self.heard))), promise: nil)
            if line.hangsUp {
                try? context.pipeline.syncOperations.context(handlerType: TLSHandler.self).close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    /// Every connection gets the whole script; `pieces` gets what the diallers say.
    static func with<Result>(
        identity: TLSIdentity,
        versions: ClosedRange<TLSVersion> = .tls12 ... .tls13,
        _ script: [Line],
        heard pieces: AsyncStream<ByteBuffer>.Continuation? = nil,
        _ body: (_ port: Int) async throws -> Result
    ) async throws -> Result {
        let context = try TLSContext(server: identity, versions: versions)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try TLSHandler(context: context, verification: .any)
                    try channel.pipeline.syncOperations.addHandlers([tls, Actor(script, pieces)])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let result = try await body(server.localAddress?.port ?? 0)
            try await server.close()
            return result
        } catch {
            try? await server.close()
            throw error
        }
    }
}
