internal import CLinux
internal import Glibc
internal import LauncherProtocol

/// Where the one request comes from and its one answer goes.
struct RequestConnection {
    /// A peer that connects and says nothing must not keep a process.
    static let timeoutMilliseconds: Int32 = 10_000

    private let input: Int32
    private let output: Int32

    /// A socket from systemd (`Accept=yes`, descriptor 3), a socket as standard input, or standard input and output.
    static func inherited() -> RequestConnection {
        if variable("LISTEN_PID") == String(getpid()), variable("LISTEN_FDS") == "1" {
            return RequestConnection(input: 3, output: 3)
        }
        return RequestConnection(input: 0, output: clinux_is_socket(0) == 1 ? 0 : 1)
    }

    /// Descriptors 0, 1 and 2 are always taken, so that no pipe of a script ever gets one of those numbers.
    static func fillStandardDescriptors() {
        while case let null = unsafe clinux_open("/dev/null", O_RDWR, 0), null >= 0 {
            guard null <= 2 else {
                Glibc.close(null)
                return
            }
        }
    }

    private static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    /// Whose work directories the request is about; nil when all of them are: root, ourselves, and no socket.
    var peer: uid_t? {
        let user = clinux_peer_user(input)
        return user > 0 && uid_t(user) != geteuid() ? uid_t(user) : nil
    }

    func readRequest() throws(LauncherProtocolError) -> LauncherRequest {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: LauncherRequest.maximumBytes)
        while !line.contains(0x0A) {
            var waiting = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&waiting, 1, Self.timeoutMilliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { throw LauncherProtocolError("no request came in time") }
            let count = unsafe read(input, &buffer, buffer.count)
            guard count > 0 else { throw LauncherProtocolError("the connection ended before the request did") }
            line += buffer[..<count]
            guard line.count <= LauncherRequest.maximumBytes else {
                throw LauncherProtocolError("the request is too long")
            }
        }
        return try LauncherRequest(line: Array(line.prefix { $0 != 0x0A }))
    }

    /// Best effort: an agent that died meanwhile reads the files instead.
    ///
    /// SIGPIPE is blocked.
    func answer(_ reply: LauncherReply) {
        let line = reply.line
        _ = unsafe write(output, line, line.count)
    }

    /// Answers whatever was going to be asked; a person's terminal, pipe or file has nobody who waits for that.
    func refuse(_ why: String) {
        guard clinux_is_socket(input) == 1 else { return }
        // Closing a socket with something unread in it would take the answer away.
        _ = try? readRequest()
        answer(.failed(why))
    }

    /// False when the other end of the socket is closed; a person's pipe or file has nobody who waits.
    var hasPeer: Bool {
        guard clinux_is_socket(input) == 1 else { return true }
        var waiting = pollfd(fd: input, events: 0, revents: 0)
        return unsafe poll(&waiting, 1, 0) == 0
    }

    /// Nothing of the connection may live as long as the script.
    ///
    /// Descriptors 0 and 1 stay taken, by /dev/null.
    func close() {
        let null = unsafe clinux_open("/dev/null", O_RDWR, 0)
        if null >= 0 {
            dup2(null, 0)
            dup2(null, 1)
            if null > 2 { Glibc.close(null) }
        }
        if input > 2 { Glibc.close(input) }
    }
}
