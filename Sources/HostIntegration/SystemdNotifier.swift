internal import Glibc

/// Tells the service manager how the service is: the `sd_notify` protocol, one datagram a message.
///
/// Written out here rather than taken from libsystemd because it is one socket call; only the journal needs the library.
/// The environment is passed in, since no module of ours reads it by itself.
package struct SystemdNotifier: Sendable {
    /// One line of a message.
    package enum State: Hashable, Sendable {
        /// Start-up is complete.
        case ready
        /// Shutdown has begun.
        case stopping
        /// Still alive; see ``watchdogInterval(environment:processID:)``.
        case watchdog
        /// A line for `systemctl status`.
        case status(String)
        /// The process to supervise, when another than the one that was started.
        case mainProcess(Int32)
        /// Start-up or shutdown needs this much longer.
        case extendTimeout(Duration)

        fileprivate var line: String {
            switch self {
            case .ready: "READY=1"
            case .stopping: "STOPPING=1"
            case .watchdog: "WATCHDOG=1"
            // A line break would start another assignment.
            case .status(let text): "STATUS=" + text.replacing(#/[\r\n]+/#, with: " ")
            case .mainProcess(let id): "MAINPID=\(id)"
            case .extendTimeout(let duration): "EXTEND_TIMEOUT_USEC=\(duration.microseconds)"
            }
        }
    }

    /// The name of the variable that holds the address.
    package static let environmentVariable = "NOTIFY_SOCKET"

    /// A path, or an abstract name behind `@`.
    private let address: String

    /// The manager that started this process, or `nil` when none wants to be told.
    package init?(environment: [String: String]) {
        guard let address = environment[Self.environmentVariable], let first = address.utf8.first,
            first == UInt8(ascii: "/") || first == UInt8(ascii: "@"), address.utf8.count > 1
        else { return nil }
        self.address = address
    }

    /// Sends the states in one datagram.
    ///
    /// - Throws: When the datagram cannot be sent; a caller logs that and goes on.
    package func notify(_ states: State...) throws {
        let message = states.map(\.line).joined(separator: "\n")
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw HostError(errno: errno, "Could not open a socket for \(self.address)") }
        defer { close(socket) }
        let sent = try unsafe self.withSocketAddress { address, length in
            unsafe Array(message.utf8).withUnsafeBytes { bytes in
                unsafe sendto(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), address, length)
            }
        }
        guard sent >= 0 else {
            throw HostError(errno: errno, "Could not notify the service manager at \(self.address)")
        }
    }

    private func withSocketAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) throws -> R {
        var bytes = Array(self.address.utf8)
        // An abstract name starts with NUL and has no NUL at its end.
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw HostError(errno: ENAMETOOLONG, "The socket name \(self.address) is too long")
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let isPath = bytes[0] != 0
        let length = MemoryLayout<sa_family_t>.size + bytes.count + (isPath ? 1 : 0)
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, socklen_t(length)) }
        }
    }
}

extension SystemdNotifier {
    /// How long the manager waits for a ``State/watchdog`` before it kills the service.
    ///
    /// Ping at half of it. `nil` when there is no watchdog, or when it watches another process.
    package static func watchdogInterval(environment: [String: String], processID: Int32) -> Duration? {
        guard let microseconds = environment["WATCHDOG_USEC"].flatMap(Int64.init), microseconds > 0 else { return nil }
        if let watched = environment["WATCHDOG_PID"] {
            guard Int32(watched) == processID else { return nil }
        }
        return .microseconds(microseconds)
    }
}

/// Keeps the manager's watchdog quiet for as long as it runs.
///
/// Put it into the service group: when the group is stuck, the pings stop and the manager restarts the service.
package struct WatchdogPinger<C: Clock>: Sendable where C.Duration == Duration {
    private let notifier: SystemdNotifier
    private let interval: Duration
    private let clock: C

    package init(notifier: SystemdNotifier, interval: Duration, clock: C = ContinuousClock()) {
        self.notifier = notifier
        self.interval = interval
        self.clock = clock
    }

    /// Pings at half of the interval until the task is cancelled.
    ///
    /// A ping that cannot be sent is left out: the next may pass, and if none does the manager acts.
    package func run() async throws {
        while !Task.isCancelled {
            try? self.notifier.notify(.watchdog)
            do {
                try await self.clock.sleep(for: self.interval / 2)
            } catch is CancellationError {
                return
            }
        }
    }
}

extension Duration {
    fileprivate var microseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
