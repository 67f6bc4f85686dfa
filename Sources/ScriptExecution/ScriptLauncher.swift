internal import CLinux
internal import FoundationEssentials
internal import Glibc
package import LauncherProtocol

/// Starts and cancels scripts for the service; a protocol so that tests can refuse.
package protocol ScriptLauncher: Sendable {
    func ask(_ request: LauncherRequest) async throws -> LauncherReply
}

/// Asks `tentacle-launcher`: over its socket when systemd listens there and this user may ask, else by starting it
/// (DESIGN.md 2).
package struct LauncherClient: ScriptLauncher {
    /// That of the installed units.
    package static let defaultSocketPath = LauncherSocket.path
    /// A start is answered before the script begins; a cancel within the 2 s that a kill may take, and some more.
    static let replyTimeoutMilliseconds: Int32 = 10_000

    private let workDirectory: String
    private let socketPath: String
    private let executable: String?
    private let arguments: [String]
    private let reaper = ChildReaper()

    /// - Parameters:
    ///   - workDirectory: `<Home>/Work`, told to a launcher that we start; one behind a socket has its own.
    ///   - socketPath: used when it exists at the time of a request and may be connected to: an agent of an ordinary user's
    ///     shares its host with the package's socket, which is not for it.
    ///   - executable: the launcher program, used otherwise.
    ///   - arguments: more of them for a launcher that we start.
    package init(
        workDirectory: String,
        socketPath: String = defaultSocketPath,
        executable: String?,
        arguments: [String] = []
    ) {
        self.workDirectory = workDirectory
        self.socketPath = socketPath
        self.executable = executable
        self.arguments = arguments
    }

    /// `$TENTACLE_LAUNCHER`, else `tentacle-launcher` beside this program; nil when neither can be executed.
    package static func locate(environment: [String: String]) -> String? {
        if let path = environment["TENTACLE_LAUNCHER"], !path.isEmpty { return path }
        guard let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"),
            let slash = own.lastIndex(of: "/")
        else { return nil }
        let path = own[..<slash] + "/tentacle-launcher"
        return unsafe access(String(path), X_OK) == 0 ? String(path) : nil
    }

    package func ask(_ request: LauncherRequest) async throws -> LauncherReply {
        let client = self
        return try await offThePool {
            guard unsafe access(client.socketPath, W_OK) == 0 else { return try client.askByStarting(request) }
            let connection = unsafe clinux_connect_unix(client.socketPath)
            defer { if connection >= 0 { close(connection) } }
            // The launchers behind the socket serve the directories that the machine's settings name, and a socket may be
            // left by a unit that is stopped. Root's agents, which the stock agent's units and those that people write
            // start, need nobody's leave. Never for others: their scripts would run without what their unit has the
            // launcher for.
            let mayStart = geteuid() == 0 && client.executable != nil
            if connection == -ECONNREFUSED, mayStart { return try client.askByStarting(request) }
            guard connection >= 0 else {
                throw ScriptExecutionError(
                    .launcher,
                    "cannot connect to the launcher at \(client.socketPath): \(systemErrorText(-connection))"
                )
            }
            let reply = try client.exchange(request, over: connection)
            guard case .failed = reply, mayStart else { return reply }
            return try client.askByStarting(request)
        }
    }

    private func askByStarting(_ request: LauncherRequest) throws -> LauncherReply {
        guard let executable else {
            throw ScriptExecutionError(
                .launcher,
                "there is no launcher: nothing that this user may ask listens at \(socketPath), and tentacle-launcher is not "
                    + "beside this program"
            )
        }
        var ends: [Int32] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw ScriptExecutionError(.launcher, "cannot make a socket pair: \(systemErrorText(errno))")
        }
        defer { close(ends[0]) }
        let child: pid_t
        do {
            defer { close(ends[1]) }
            child = try Self.spawn([executable, "--work", workDirectory] + arguments, connection: ends[1])
        } catch {
            throw error
        }
        // A supervisor lives as long as its script; its end is waited for elsewhere.
        defer { reaper.adopt(child) }
        return try exchange(request, over: ends[0])
    }

    private func exchange(_ request: LauncherRequest, over connection: Int32) throws -> LauncherReply {
        let line = request.line
        let sent = unsafe send(connection, line, line.count, Int32(MSG_NOSIGNAL))
        guard sent == line.count else {
            throw ScriptExecutionError(.launcher, "cannot send to the launcher: \(systemErrorText(errno))")
        }
        var reply: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: LauncherReply.maximumBytes)
        while !reply.contains(0x0A) {
            var waiting = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&waiting, 1, Self.replyTimeoutMilliseconds) > 0 else {
                throw ScriptExecutionError(.launcher, "the launcher does not answer")
            }
            let count = unsafe read(connection, &buffer, buffer.count)
            guard count > 0, reply.count + count <= LauncherReply.maximumBytes else {
                throw ScriptExecutionError(.launcher, "the launcher ended without an answer")
            }
            reply += buffer[..<count]
        }
        return try LauncherReply(line: Array(reply.prefix { $0 != 0x0A }))
    }

    /// A session of its own, default signals, and no descriptor but the connection, /dev/null and our stderr.
    private static func spawn(_ arguments: [String], connection: Int32) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, connection, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        let flags = Int32(CLINUX_SPAWN_SETSID) | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var argv = unsafe arguments.map { unsafe strdup($0) }
        defer { while let pointer = unsafe argv.popLast() { unsafe free(pointer) } }
        unsafe argv.append(nil)
        // The script's environment is in script.json; the launcher needs none.
        var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
        var child: pid_t = 0
        let result = unsafe posix_spawn(&child, arguments[0], &actions, &attributes, &argv, &environment)
        guard result == 0 else {
            throw ScriptExecutionError(.launcher, "cannot start \(arguments[0]): \(systemErrorText(result))")
        }
        return child
    }
}

/// Waits for children without a thread for each: a pidfd is readable when its process has ended.
final class ChildReaper: Sendable {
    func adopt(_ child: pid_t) {
        let descriptor = clinux_pidfd_open(child)
        guard descriptor >= 0 else { return }
        let source = ReadableDescriptor()
        source.watch(descriptor) {
            var status: Int32 = 0
            unsafe waitpid(child, &status, 0)
            source.cancel()
        }
    }
}
