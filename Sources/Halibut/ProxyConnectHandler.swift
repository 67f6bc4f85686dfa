import HalibutProtocol
import NIOCore

/// Asks an HTTP proxy for a tunnel, and then takes itself out of the pipeline.
///
/// The handlers behind it see the channel become active when the tunnel stands; what the proxy sent with its last byte
/// is the endpoint's and goes to them.
final class ProxyConnectHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var machine: ProxyConnect
    private let proxy: HTTPProxy
    private let limits: HalibutLimits
    /// The whole reply must have come by then, however the proxy spreads it.
    private var deadline = NIODeadline.distantFuture
    private var timer: Scheduled<Void>?

    init(to destination: EndPointURI, through proxy: HTTPProxy, limits: HalibutLimits) {
        self.machine = ProxyConnect(to: destination, through: proxy, limits: limits)
        self.proxy = proxy
        self.limits = limits
    }

    func channelActive(context: ChannelHandlerContext) {
        self.deadline = .now() + TimeAmount(self.limits.receiveTimeout)
        self.waitForProxy(context)
        context.writeAndFlush(self.wrapOutboundOut(self.machine.request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = self.unwrapInboundIn(data)
        switch self.machine.received(&buffer, from: Self.peer(context)) {
        case .needMoreBytes: self.waitForProxy(context)
        case .fail(let error): self.fail(context, error)
        case .established:
            self.timer?.cancel()
            context.fireChannelActive()
            if buffer.readableBytes > 0 {
                context.fireChannelRead(self.wrapInboundOut(buffer))
                context.fireChannelReadComplete()
            }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.fail(context, .unreachable(self.proxy, error.wireCause))
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail(context, self.machine.ended(Self.peer(context)))
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.timer?.cancel() }

    private func waitForProxy(_ context: ChannelHandlerContext) {
        self.timer?.cancel()
        let until = min(.now() + TimeAmount(self.limits.proxyReadTimeout), self.deadline)
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: until) {
            self.fail(context, self.machine.timedOut(Self.peer(context)))
        }
    }

    private func fail(_ context: ChannelHandlerContext, _ error: ProxyError) {
        self.timer?.cancel()
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private static func peer(_ context: ChannelHandlerContext) -> ProxyPeer {
        ProxyPeer(
            address: context.remoteAddress?.ipAddress ?? "unknown",
            port: context.remoteAddress?.port ?? 0
        )
    }
}
