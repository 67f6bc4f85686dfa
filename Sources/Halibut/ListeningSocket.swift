import CLinux
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// A bound TCP port and the thread that accepts connections on it (halibut.md 2.1).
///
/// NIO's own server channel accepts without `SOCK_CLOEXEC`, so that a program started at that moment inherits the
/// connection; and it closes the port for good on errors that accept(2) tells to try again after.
package final class ListeningSocket: Sendable {
    /// Connections the kernel keeps for us; it caps the number itself.
    private static let backlog: CInt = 512
    /// Milliseconds until the next look for a free place.
    private static let fullPause = 5

    private enum State {
        case open
        /// The thread is to end.
        case stopping
        case closed
    }

    /// The port in use.
    package let port: Int
    private let descriptor: CInt
    private let state = Mutex(State.open)

    /// Takes the port; without a host all addresses, IPv6 and IPv4.
    package init(host: String?, port: Int) throws(HalibutError) {
        if let host {
            self.descriptor = try Self.bound(host: host, port: port)
        } else {
            // IPv6 with IPv4 mapped into it where the kernel has it, else IPv4 alone.
            do {
                self.descriptor = try Self.bound(host: "::", port: port)
            } catch  where error.code == .addressFamilyMissing {
                self.descriptor = try Self.bound(host: "0.0.0.0", port: port)
            }
        }
        self.port = Self.localPort(self.descriptor)
    }

    deinit { self.release() }

    private static func bound(host: String, port: Int) throws(HalibutError) -> CInt {
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        } catch {
            throw .cannotListen(host: host, port: port, "\(error)")
        }
        let descriptor = socket(
            CInt(address.protocol.rawValue),
            CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue),
            0
        )
        guard descriptor >= 0 else { throw .cannotListen(host: host, port: port, errno: errno) }
        var (on, off): (CInt, CInt) = (1, 0)
        let size = socklen_t(MemoryLayout<CInt>.size)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if address.protocol == .inet6 { _ = setsockopt(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &off, size) }
        let status = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        guard status == 0, listen(descriptor, Self.backlog) == 0 else {
            let number = errno
            _ = close(descriptor)
            throw .cannotListen(host: host, port: port, errno: number)
        }
        return descriptor
    }

    private static func localPort(_ descriptor: CInt) -> Int {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard status == 0 else { return 0 }
        // Bytes 2 and 3 in both families, the high one first.
        return withUnsafeBytes(of: address) { Int($0[2]) << 8 | Int($0[3]) }
    }

    // MARK: Accepting

    /// Accepts connections until the task is cancelled; their sockets are close-on-exec and do not block.
    ///
    /// While there is no room, connections wait in the kernel. `accept` is the system call, or a test's: a descriptor, or
    /// the negative error number.
    package func run(
        hasRoom: @escaping @Sendable () -> Bool = { true },
        accept: @escaping @Sendable (CInt) -> CInt = { clinux_accept($0) },
        failed: @escaping @Sendable (_ errno: CInt, _ consecutive: Int) -> Void,
        accepted: @escaping @Sendable (CInt) -> Void
    ) async {
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        await withTaskCancellationHandler {
            try? await thread.runIfActive { self.acceptUntilStopped(hasRoom, accept, failed, accepted) }
        } onCancel: {
            self.stop()
        }
        self.release()
        try? await thread.shutdownGracefully()
    }

    private func acceptUntilStopped(
        _ hasRoom: () -> Bool,
        _ accept: (CInt) -> CInt,
        _ failed: (CInt, Int) -> Void,
        _ accepted: (CInt) -> Void
    ) {
        var backoff = AcceptBackoff()
        while true {
            while !hasRoom(), self.state.withLock({ $0 == .open }) { self.wait(milliseconds: Self.fullPause) }
            let result = accept(self.descriptor)
            guard self.state.withLock({ $0 == .open }) else {
                if result >= 0 { _ = close(result) }
                return
            }
            guard result < 0 else {
                backoff.succeeded()
                accepted(result)
                continue
            }
            if result == -EINTR { continue }
            let pause = backoff.failed()
            failed(-result, backoff.failures)
            if pause > 0 { self.wait(milliseconds: pause) }
        }
    }

    /// Pauses the thread; being stopped ends the pause.
    private func wait(milliseconds: Int) {
        var polled = pollfd(fd: self.descriptor, events: 0, revents: 0)
        _ = poll(&polled, 1, CInt(milliseconds))
    }

    private func stop() {
        self.state.withLock { state in
            guard state == .open else { return }
            state = .stopping
            // Wakes the thread, whether it accepts or pauses.
            _ = shutdown(self.descriptor, CInt(SHUT_RDWR))
        }
    }

    private func release() {
        self.state.withLock { state in
            guard state != .closed else { return }
            state = .closed
            _ = close(self.descriptor)
        }
    }
}

/// How long to pause after accepting failed (halibut.md 2.1).
package struct AcceptBackoff {
    /// Failures since the last connection.
    package private(set) var failures = 0

    package init() {}

    package mutating func succeeded() { self.failures = 0 }

    /// Milliseconds: none for the first three failures in a row, then 10 more each time, up to a second.
    package mutating func failed() -> Int {
        self.failures += 1
        return min(max(self.failures - 3, 0), 100) * 10
    }
}

extension HalibutError.Code {
    /// The kernel has no IPv6.
    static let addressFamilyMissing = HalibutError.Code(name: "addressFamilyMissing")
}

extension HalibutError {
    @inline(never)
    static func cannotListen(host: String, port: Int, _ cause: String) -> HalibutError {
        HalibutError(.local, "Could not listen on \(host) port \(port): \(cause).")
    }

    @inline(never)
    static func cannotListen(host: String, port: Int, errno number: CInt) -> HalibutError {
        if number == EADDRINUSE {
            return HalibutError(
                .portInUse,
                "Port \(port) on \(host) is in use: stop the program that listens there, or choose another port."
            )
        }
        var error = Self.cannotListen(host: host, port: port, ErrorNumber.text(number))
        if number == EAFNOSUPPORT || number == EADDRNOTAVAIL, host == "::" { error.code = .addressFamilyMissing }
        return error
    }
}
