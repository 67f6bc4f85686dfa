import CLinux
import HalibutProtocol
import NIOCore
import NIOPosix
import SecureTransport

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// What every socket of ours gets (halibut.md 2.1), and the pipeline on top of it.
enum SocketSetup {
    static func apply(_ limits: HalibutLimits, to bootstrap: ClientBootstrap) -> ClientBootstrap {
        bootstrap
            .channelOption(.socketOption(.so_keepalive), value: limits.usesKeepAlive ? 1 : 0)
            .channelOption(.tcpOption(.tcp_nodelay), value: limits.usesNoDelay ? 1 : 0)
            .channelOption(Self.keepIdle, value: Int(limits.keepAliveIdleSeconds))
            .channelOption(Self.keepInterval, value: Int(limits.keepAliveIntervalSeconds))
            .channelOption(Self.keepCount, value: Int(limits.keepAliveProbes))
            .channelOption(.recvAllocator, value: ReadBuffers())
            .channelOption(.maxMessagesPerRead, value: 1)
    }

    private static let keepIdle = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_KEEPIDLE))
    private static let keepInterval = ChannelOptions.Types.SocketOption(
        level: .tcp,
        name: .init(rawValue: TCP_KEEPINTVL)
    )
    private static let keepCount = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_KEEPCNT))

    /// Programs that we start must not inherit a dialled socket.
    ///
    /// NIO does not ask the kernel for that itself. It made the socket a moment ago on this thread and connects it later:
    /// what is started in between by a program that closes nothing in its children gets an unconnected socket.
    static func closeOnExec(_ channel: any Channel) {
        try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { handle in
            _ = fcntl(handle, F_SETFD, FD_CLOEXEC)
        }
    }

    /// The address that a connected socket's peer has, without its port; nil when it is gone already.
    static func remoteHost(of socket: CInt) -> String? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(socket, $0, &length) }
        }
        guard status == 0 else { return nil }
        // The same text for the same address is all that is wanted: hexadecimal digits will do.
        let bytes = withUnsafeBytes(of: storage) { bytes in
            switch CInt(storage.ss_family) {
            case AF_INET: Array(bytes[4..<8])
            case AF_INET6: Array(bytes[8..<24])
            default: [UInt8]()
            }
        }
        return bytes.isEmpty ? nil : bytes.map { String($0, radix: 16) }.joined(separator: ":")
    }

    /// TLS, then the pipe.
    ///
    /// Called on the channel's event loop, before anything is read.
    static func addHandlers(
        to channel: any Channel,
        context: TLSContext,
        serverName: String?,
        verification: PeerVerification,
        limits: HalibutLimits
    ) throws -> WirePipe {
        let pipe = WirePipe(channel: channel)
        let tls = try TLSHandler(
            context: context,
            serverName: serverName,
            verification: verification,
            allowsHalfClosure: true,
            handshakeTimeout: TimeAmount(limits.receiveTimeout)
        )
        try channel.pipeline.syncOperations.addHandlers([tls, WireHandler(pipe: pipe)])
        return pipe
    }
}
