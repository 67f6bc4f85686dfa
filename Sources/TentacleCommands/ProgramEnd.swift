import Glibc

/// How a program that a command asked something ended, and what it complained of.
package struct ProgramEnd: Hashable, Sendable {
    /// The exit status; 128 and the number of the signal that killed it.
    package var status: Int32
    package var errors: String

    package init(status: Int32, errors: String = "") {
        self.status = status
        self.errors = errors
    }

    /// More of its standard error is read and forgotten.
    private static let maximumBytes = 65_536

    /// Runs it with nothing on its standard input and output; nil when it cannot be started.
    package static func run(_ path: String, _ arguments: [String]) -> ProgramEnd? {
        var ends: [Int32] = [-1, -1]
        // Not a pipe: `pipe2` is not to be had in Swift, and another thread may start a program, too.
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { return nil }
        defer { close(ends[0]) }
        let started = Self.spawn(path, arguments, errors: ends[1])
        close(ends[1])
        guard let child = started else { return nil }
        var errors: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(ends[0], &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            errors += buffer[..<min(count, Self.maximumBytes - errors.count)]
        }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return nil }
        }
        let signal = status & 0x7F
        return ProgramEnd(
            status: signal == 0 ? status >> 8 & 0xFF : 128 + signal,
            errors: String(decoding: errors, as: UTF8.self)
        )
    }

    private static func spawn(_ path: String, _ arguments: [String], errors: Int32) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
        var words = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        return posix_spawn(&child, path, &actions, nil, &words, environ) == 0 ? child : nil
    }
}
