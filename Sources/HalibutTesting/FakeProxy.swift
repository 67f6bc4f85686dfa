internal import NIOCore
internal import NIOPosix

/// An HTTP proxy on the loopback interface that does what a test wants.
package final class FakeProxy: Sendable {
    package enum Behaviour: Sendable {
        /// Connects to whoever is asked for, if the credentials (`user:password` in base64) are right.
        case tunnel(credentials: String? = nil, replyInPieces: Bool = false)
        /// Says this, whatever is asked.
        case reply(String)
        /// Says this and hangs up.
        case replyAndClose([UInt8])
    }

    package let port: Int
    private let server: any Channel
    private let heads: Watched<[String]>

    /// What diallers asked for so far.
    package var requests: [String] { self.heads.value }

    private init(server: any Channel, heads: Watched<[String]>) {
        self.server = server
        self.heads = heads
        self.port = server.localAddress?.port ?? 0
    }

    package static func with<Result>(
        _ behaviour: Behaviour,
        _ body: (FakeProxy) async throws -> Result
    ) async throws -> Result {
        let heads = Watched<[String]>([])
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Handler(behaviour) { head in heads.change { $0.append(head) } }
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let proxy = FakeProxy(server: server, heads: heads)
        do {
            let result = try await body(proxy)
            try await server.close()
            return result
        } catch {
            try? await server.close()
            throw error
        }
    }

    /// Waits until somebody asked.
    package func untilAsked() async throws { try await self.heads.until { !$0.isEmpty } }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let behaviour: Behaviour
        private let asked: (String) -> Void
        private var head = ByteBuffer()
        private var target: (any Channel)?

        init(_ behaviour: Behaviour, _ asked: @escaping (String) -> Void) {
            self.behaviour = behaviour
            self.asked = asked
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = self.unwrapInboundIn(data)
            if let target {
                target.writeAndFlush(bytes, promise: nil)
                return
            }
            self.head.writeBuffer(&bytes)
            let text = String(buffer: self.head)
            guard text.hasSuffix("\r\n\r\n") else { return }
            self.asked(text)
            switch self.behaviour {
            case .reply(let reply): context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: reply)), promise: nil)
            case .replyAndClose(let reply):
                context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: reply)), promise: nil)
                context.close(promise: nil)
            case .tunnel(let credentials, let inPieces):
                if let credentials, !text.contains("\r\nProxy-Authorization: Basic \(credentials)\r\n") {
                    let reply = ByteBuffer(string: "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                    context.writeAndFlush(self.wrapOutboundOut(reply), promise: nil)
                    return
                }
                self.connect(context, text, inPieces)
            }
        }

        private func connect(_ context: ChannelHandlerContext, _ text: String, _ inPieces: Bool) {
            let address = text.split(separator: " ")[1].split(separator: ":")
            let channel = context.channel
            let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            ClientBootstrap(group: context.eventLoop)
                .channelInitializer { target in
                    target.eventLoop.makeCompletedFuture {
                        try target.pipeline.syncOperations.addHandler(Back(to: channel))
                    }
                }
                .connect(host: String(address[0]), port: Int(address[1]) ?? 0)
                .whenComplete { result in
                    let (handler, context) = loopBound.value
                    guard case .success(let target) = result else {
                        context.writeAndFlush(
                            handler.wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 502 Bad Gateway\r\n\r\n")),
                            promise: nil
                        )
                        return
                    }
                    handler.target = target
                    let reply = "HTTP/1.1 200 Connection established\r\nVia: fake\r\n\r\n"
                    for piece in inPieces ? reply.map(String.init) : [reply] {
                        context.writeAndFlush(handler.wrapOutboundOut(ByteBuffer(string: piece)), promise: nil)
                    }
                }
        }

        func channelInactive(context: ChannelHandlerContext) { self.target?.close(promise: nil) }
    }

    /// What comes from the endpoint goes to the dialler.
    private final class Back: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let dialler: any Channel
        init(to dialler: any Channel) { self.dialler = dialler }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.dialler.writeAndFlush(self.unwrapInboundIn(data), promise: nil)
        }
        func channelInactive(context: ChannelHandlerContext) { self.dialler.close(promise: nil) }
    }
}
