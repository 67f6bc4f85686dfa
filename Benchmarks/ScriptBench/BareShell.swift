import BenchmarkSupport
import Foundation

/// What scripts are measured against: a shell that is started with one call and nothing else.
enum BareShell {
    /// Starts `/bin/bash` with a script's file, its output where it says.
    static func start(_ script: String, output: Int32 = -1) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if output >= 0 { posix_spawn_file_actions_adddup2(&actions, output, 1) }
        let words: [String] = ["/bin/bash", script]
        let variables: [String] = ScriptStage.environment.map { "\($0.key)=\($0.value)" }
        var arguments = words.map { strdup($0) } + [nil]
        var environment = variables.map { strdup($0) } + [nil]
        defer { for pointer in arguments + environment { free(pointer) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, "/bin/bash", &actions, nil, &arguments, &environment)
        guard result == 0 else { throw Tool.Failure(description: "cannot start bash: \(result)") }
        return child
    }

    static func end(_ child: pid_t) throws {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw Tool.Failure(description: "cannot wait for bash: \(errno)") }
        }
        guard status == 0 else { throw Tool.Failure(description: "bash ended with status \(status)") }
    }

    static func run(_ script: String) throws { try end(start(script)) }
}

/// A FIFO into which a script says when it was there.
///
/// The script's own clock, so that the time in which we wake up is not the script's.
final class Signpost: Sendable {
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        guard mkfifo(path, 0o600) == 0 else { throw Tool.Failure(description: "cannot make \(path)") }
        // For both: it has a reader before the script opens it, and never an end.
        descriptor = open(path, O_RDWR | O_CLOEXEC)
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    /// A script whose first instruction looks at the clock.
    var script: String { "echo $EPOCHREALTIME >'\(path)'\n" }

    /// The same into its log.
    static let loggingScript = "echo $EPOCHREALTIME\n"

    /// When a script was there, by its log.
    static func logged(_ log: String) -> Duration? {
        guard let time = log.firstMatch(of: #/(\d{10})\.(\d{6})/#), let seconds = Int64(time.output.1),
            let microseconds = Int64(time.output.2)
        else { return nil }
        return .seconds(seconds) + .microseconds(microseconds)
    }

    /// What lets a script wait here until ``release()``.
    var waiting: String { "read -r _ <'\(path)'\n" }

    func release() { _ = write(descriptor, "go\n", 3) }

    /// When the script was there.
    func passed() async throws -> Duration {
        let descriptor = descriptor
        return try await blocking {
            var buffer = [UInt8](repeating: 0, count: 64)
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 10_000) == 1, case let count = read(descriptor, &buffer, buffer.count), count > 0
            else { throw Tool.Failure(description: "the script did not begin") }
            let digits = buffer[..<count].filter { (0x30...0x39).contains($0) }
            return .microseconds(Int64(String(decoding: digits, as: UTF8.self)) ?? 0)
        }
    }

    /// The clock that scripts look at.
    static var now: Duration {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
