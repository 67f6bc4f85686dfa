import FoundationEssentials
import Glibc
import HostIntegration
import Testing

@Suite("SystemdNotifier")
struct SystemdNotifierTests {
    @Test("States go out as one datagram, to a path and to an abstract name", arguments: [false, true])
    func datagram(abstract: Bool) throws {
        try NotifySocket.with(abstract: abstract) { socket in
            let notifier = try #require(SystemdNotifier(environment: ["NOTIFY_SOCKET": socket.address]))
            try notifier.notify(.ready, .status("Listening\non 10933"), .mainProcess(42))
            try notifier.notify(.extendTimeout(.milliseconds(1500)))
            try notifier.notify(.watchdog)
            try notifier.notify(.stopping)
            #expect(socket.receive() == "READY=1\nSTATUS=Listening on 10933\nMAINPID=42")
            #expect(socket.receive() == "EXTEND_TIMEOUT_USEC=1500000")
            #expect(socket.receive() == "WATCHDOG=1")
            #expect(socket.receive() == "STOPPING=1")
        }
    }

    @Test("Nobody is told when no manager asked", arguments: [nil, "", "@", "/", "relative", "vsock:2:1"])
    func noManager(address: String?) {
        #expect(SystemdNotifier(environment: address.map { ["NOTIFY_SOCKET": $0] } ?? [:]) == nil)
    }

    @Test("A manager that is gone is an error of one line")
    func gone() throws {
        let path = "/tmp/no-such-\(UUID().uuidString)"
        let notifier = try #require(SystemdNotifier(environment: ["NOTIFY_SOCKET": path]))
        let error = #expect(throws: HostError.self) { try notifier.notify(.ready) }
        #expect(error?.description == "Could not notify the service manager at \(path): No such file or directory.")
        let long = try #require(
            SystemdNotifier(environment: ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)])
        )
        #expect(throws: HostError.self) { try long.notify(.ready) }
    }

    @Test(
        "The watchdog's interval is for the watched process only",
        arguments: [
            (["WATCHDOG_USEC": "3000000"], .seconds(3)),
            (["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"], .seconds(3)),
            (["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"], nil), (["WATCHDOG_PID": "7"], nil),
            (["WATCHDOG_USEC": "0"], nil), (["WATCHDOG_USEC": "-1"], nil), (["WATCHDOG_USEC": "x"], nil),
        ] as [([String: String], Duration?)]
    )
    func watchdogInterval(environment: [String: String], expected: Duration?) {
        #expect(SystemdNotifier.watchdogInterval(environment: environment, processID: 7) == expected)
    }

    @Test("The watchdog is pinged at half of its interval until cancelled")
    func pinger() async throws {
        let socket = try NotifySocket(abstract: true)
        defer { socket.close() }
        let notifier = try #require(SystemdNotifier(environment: ["NOTIFY_SOCKET": socket.address]))
        let clock = ThreeTurnsClock()
        try await WatchdogPinger(notifier: notifier, interval: .seconds(60), clock: clock).run()
        #expect(clock.now.offset == .seconds(60))
        #expect((0..<3).map { _ in socket.receive() } == ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"])
        #expect(socket.receive() == nil)
    }

    @Test("Descriptors are those meant for this process, by name, and closed on exec")
    func listenDescriptors() throws {
        for environment in [
            [:], ["LISTEN_FDS": "1"], ["LISTEN_FDS": "1", "LISTEN_PID": "8"], ["LISTEN_FDS": "0", "LISTEN_PID": "7"],
            ["LISTEN_FDS": "-1", "LISTEN_PID": "7"], ["LISTEN_FDS": "65", "LISTEN_PID": "7"],
            ["LISTEN_FDS": "99999999999", "LISTEN_PID": "7"],
        ] {
            #expect(InheritedDescriptor.all(environment: environment, processID: 7) == [])
        }
    }

    @Test("A process that was given descriptors finds them")
    func inheritedDescriptors() async {
        // In a process of its own: descriptors 3 and 4 of the test process belong to others.
        await #expect(processExitsWith: .exitCode(0)) {
            guard dup2(0, 3) == 3, dup2(0, 4) == 4 else { exit(1) }
            let environment = ["LISTEN_FDS": "2", "LISTEN_PID": "\(getpid())", "LISTEN_FDNAMES": "https"]
            let found = InheritedDescriptor.all(environment: environment, processID: getpid())
            guard found == [.init(descriptor: 3, name: "https"), .init(descriptor: 4, name: "unknown")] else { exit(2) }
            exit(fcntl(3, F_GETFD) & FD_CLOEXEC == FD_CLOEXEC ? 0 : 3)
        }
    }
}

/// A clock that is instantly at the end of every sleep, and cancels the third.
private final class ThreeTurnsClock: Clock, @unchecked Sendable {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: self.offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - self.offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    // Used by one task at a time.
    private(set) var now = Instant(offset: .zero)
    private var turns = 0
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        self.turns += 1
        if self.turns == 3 { throw CancellationError() }
        self.now = deadline
    }
}

/// The manager's end: a datagram socket under a path or an abstract name.
private struct NotifySocket {
    let address: String
    private let descriptor: Int32
    private let path: String?

    init(abstract: Bool) throws {
        let name = "/tmp/notify-\(UUID().uuidString)"
        self.address = abstract ? "@" + name.dropFirst() : name
        self.path = abstract ? nil : name
        self.descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var bytes = Array(self.address.utf8)
        if abstract { bytes[0] = 0 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(2 + bytes.count + (abstract ? 0 : 1))
        let descriptor = self.descriptor
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(bound == 0)
    }

    static func with(abstract: Bool, _ body: (NotifySocket) throws -> Void) throws {
        let socket = try NotifySocket(abstract: abstract)
        defer { socket.close() }
        try body(socket)
    }

    /// The next datagram, already there or never.
    func receive() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(self.descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    func close() {
        Glibc.close(self.descriptor)
        if let path { unlink(path) }
    }
}
