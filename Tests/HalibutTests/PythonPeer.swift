import FoundationEssentials
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// The independent reference peer, a Python program outside this repository.
///
/// Found at `$HALIBUT_PEER` or beside the shared specification; it needs `pip install pymongo cryptography`.
struct PythonPeer: Sendable {
    static let path: String? = {
        let path = getenv("HALIBUT_PEER").map { String(cString: $0) } ?? "/work/shared/peers/halibut_peer.py"
        return access(path, R_OK) == 0 ? path : nil
    }()

    /// Whether the peer and its Python packages are here.
    static let isAvailable: Bool = {
        guard path != nil, let process = try? Process(["-c", "import bson, cryptography"]) else { return false }
        return (try? process.finishBlocking().status) == 0
    }()

    /// A key and certificate of the peer's making, in a scratch directory.
    let directory: String
    let thumbprint: String
    var certificate: String { "\(directory)/peer.pem" }

    init() async throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/halibut-peer-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("no scratch directory") }
        self.directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        self.thumbprint = try await Process([Self.path ?? "", "gen-cert", "\(self.directory)/peer.pem"])
            .finish().output.trimmed
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    /// Starts one of the peer's roles.
    func start(_ command: String, _ arguments: [String]) throws -> Process {
        try Process([Self.path ?? "", command, "--cert", self.certificate] + arguments)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// A Python process with its output; ended at the latest by ``stop()``.
    final class Process: Sendable {
        private let pid: pid_t
        private let output: CInt

        init(_ arguments: [String]) throws {
            (self.pid, self.output) = try Self.spawning.withLock { _ in try Self.spawn(arguments) }
        }

        /// One at a time: a pipe's ends must not be inherited by another process that starts meanwhile.
        private static let spawning = Mutex(())

        private static func spawn(_ arguments: [String]) throws -> (pid_t, CInt) {
            var ends: [CInt] = [0, 0]
            guard pipe(&ends) == 0 else { throw Failure("no pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
            posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
            var pid: pid_t = 0
            var argv = (["python3"] + arguments).map { strdup($0) } + [nil]
            defer { for argument in argv { free(argument) } }
            let status = posix_spawnp(&pid, "python3", &actions, nil, &argv, environ)
            close(ends[1])
            guard status == 0 else {
                close(ends[0])
                throw Failure("python3 does not start")
            }
            return (pid, ends[0])
        }

        /// The first line of output that begins like this; the rest of it.
        func line(beginning prefix: String) async throws -> String {
            try await NIOThreadPool.singleton.runIfActive {
                var line: [UInt8] = []
                var byte: UInt8 = 0
                while read(self.output, &byte, 1) == 1 {
                    if byte != 0x0a {
                        line.append(byte)
                        continue
                    }
                    let text = String(decoding: line, as: UTF8.self)
                    if text.hasPrefix(prefix) { return String(text.dropFirst(prefix.count)) }
                    line = []
                }
                throw Failure("no line '\(prefix)'")
            }
        }

        /// Waits for the end.
        func finish() async throws -> (status: CInt, output: String) {
            try await NIOThreadPool.singleton.runIfActive { try self.finishBlocking() }
        }

        func finishBlocking() throws -> (status: CInt, output: String) {
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(self.output, &chunk, chunk.count)
                if count <= 0 { break }
                bytes += chunk[..<count]
            }
            close(self.output)
            var status: CInt = 0
            waitpid(self.pid, &status, 0)
            return (status, String(decoding: bytes, as: UTF8.self))
        }

        func stop() async {
            kill(self.pid, SIGKILL)
            _ = try? await self.finish()
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        String(self.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
