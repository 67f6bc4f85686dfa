import Glibc

/// How a program that a command asked something ended, and what it said.
package struct ProgramEnd: Hashable, Sendable {
    /// The exit status; 128 and the number of the signal that killed it.
    package var status: Int32
    package var errors: String
    package var output: String

    package init(status: Int32, errors: String = "", output: String = "") {
        self.status = status
        self.errors = errors
        self.output = output
    }

    /// More of each of its outputs is read and forgotten.
    private static let maximumBytes = 65_536

    /// Runs it with nothing on its standard input; nil when it cannot be started.
    package static func run(_ path: String, _ arguments: [String]) -> ProgramEnd? {
        guard let errors = Channel() else { return nil }
        guard let output = Channel() else {
            errors.close()
            Glibc.close(errors.theirs)
            return nil
        }
        defer {
            errors.close()
            output.close()
        }
        let started = Self.spawn(path, arguments, output: output.theirs, errors: errors.theirs)
        Glibc.close(errors.theirs)
        Glibc.close(output.theirs)
        guard let child = started else { return nil }
        let texts = Self.read([errors.ours, output.ours])
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return nil }
        }
        let signal = status & 0x7F
        return ProgramEnd(
            status: signal == 0 ? status >> 8 & 0xFF : 128 + signal,
            errors: texts[0],
            output: texts[1]
        )
    }

    /// A pair of ends; the child writes to theirs, which is to be closed here once it has been started.
    private struct Channel {
        var ours: Int32
        var theirs: Int32

        init?() {
            var ends: [Int32] = [-1, -1]
            // Not a pipe: `pipe2` is not to be had in Swift, and another thread may start a program, too.
            let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { return nil }
            (self.ours, self.theirs) = (ends[0], ends[1])
        }

        func close() { Glibc.close(self.ours) }
    }

    /// What comes from each of them, both to their ends and in whatever order.
    private static func read(_ descriptors: [Int32]) -> [String] {
        var bytes: [[UInt8]] = descriptors.map { _ in [] }
        var waiting = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        while waiting.contains(where: { $0.fd >= 0 }) {
            guard poll(&waiting, nfds_t(waiting.count), -1) >= 0 else {
                if errno == EINTR { continue }
                break
            }
            for index in waiting.indices where waiting[index].fd >= 0 && waiting[index].revents != 0 {
                let count = Glibc.read(waiting[index].fd, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 {
                    // A negative descriptor is left out.
                    waiting[index].fd = -1
                } else {
                    bytes[index] += buffer[..<min(count, Self.maximumBytes - bytes[index].count)]
                }
            }
        }
        return bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func spawn(_ path: String, _ arguments: [String], output: Int32, errors: Int32) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
        // Ignored here, see `StandardStreams`.
        var signals = sigset_t()
        sigaddset(&signals, SIGPIPE)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var words = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        return posix_spawn(&child, path, &actions, &attributes, &words, environ) == 0 ? child : nil
    }
}
