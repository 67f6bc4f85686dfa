import CLinux
import Glibc
import Sandbox

/// What all contenders share: a folder, the program that says when it began, and the pipe into which it says so.
struct SandboxStage {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    static let profiles = ["none", "standard", "strict"]
    /// Of every program that is started.
    static let environment = ["PATH": "/usr/bin:/bin"]
    private static let longestStartMilliseconds: Int32 = 10_000

    let launcher: String
    let probe: String
    let folder: String
    let pipe: (read: Int32, write: Int32)
    /// What programs complain of, which is shown once; not one of the standard streams' numbers.
    let errors: Int32
    private let errorPath: String

    init(launcher: String, probe: String) throws {
        self.launcher = launcher
        // Neither in a /tmp, which sandboxes hide, nor in a /run, where nothing can be executed.
        let parent = access("/var/lib", W_OK) == 0 ? "/var/lib" : "/var/tmp"
        var template = Array("\(parent)/sandbox-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "cannot make a folder in \(parent)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(folder, 0o711)
        self.probe = folder + "/probe"
        try Self.write(Self.read(probe), to: self.probe, mode: 0o755)
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe(&ends) == 0 else { throw Failure(description: "cannot make a pipe") }
        pipe = (ends[0], ends[1])
        errorPath = folder + "/errors"
        errors = clinux_open(errorPath, O_RDWR | O_CREAT | O_APPEND, 0o600)
        guard errors > 2 else { throw Failure(description: "cannot make \(errorPath)") }
    }

    func remove() {
        let text = (try? Self.read(errorPath)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        for line in Set(text.split(separator: "\n")).sorted() { complain(String(line)) }
        try? spawn(["/bin/rm", "-rf", folder]).end()
    }

    /// A new workspace for a user of the script's own or for us.
    func makeWorkspace(_ name: String, for user: ScriptUser?) throws -> String {
        let workspace = "\(folder)/\(name)/Work/script"
        for path in ["\(folder)/\(name)", "\(folder)/\(name)/Work", workspace] { mkdir(path, 0o755) }
        for path in [SandboxPlan.privateTmp, SandboxPlan.privateVarTmp] {
            mkdir("\(workspace)/\(path)", 0o700)
            chmod("\(workspace)/\(path)", 0o1777)
        }
        if let group = user?.groups.last {
            guard chown(workspace, .max, group) == 0, chmod(workspace, 0o1770) == 0 else {
                throw Failure(description: "cannot give away \(workspace)")
            }
        }
        return workspace
    }

    /// Starts a program with one call; its output is our pipe.
    func spawn(_ command: [String], files: [(Int32, String)] = []) throws -> SpawnedProgram {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipe.write, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        for (number, path) in files { posix_spawn_file_actions_addopen(&actions, number, path, O_RDONLY, 0) }
        var words = command.map { strdup($0) } + [nil]
        var variables = Self.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, command[0], &actions, nil, &words, &variables)
        guard result == 0 else { throw Failure(description: "cannot start \(command[0]): \(result)") }
        return SpawnedProgram(process: process)
    }

    /// When the program was there.
    func passed() throws -> Int64 {
        var waiting = pollfd(fd: pipe.read, events: Int16(POLLIN), revents: 0)
        var time: Int64 = 0
        guard poll(&waiting, 1, Self.longestStartMilliseconds) == 1, Glibc.read(pipe.read, &time, 8) == 8 else {
            throw Failure(description: "the program did not begin")
        }
        return time
    }

    /// The clock that the program looks at.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    private static func read(_ path: String) throws -> [UInt8] {
        let file = clinux_open(path, O_RDONLY, 0)
        guard file >= 0 else { throw Failure(description: "cannot open \(path)") }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = Glibc.read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let file = clinux_open(path, O_WRONLY | O_CREAT, mode)
        guard file >= 0 else { throw Failure(description: "cannot make \(path)") }
        defer { close(file) }
        guard Glibc.write(file, bytes, bytes.count) == bytes.count, fchmod(file, mode) == 0 else {
            throw Failure(description: "cannot write \(path)")
        }
    }
}

struct SpawnedProgram {
    let process: pid_t

    func end() throws {
        var status: Int32 = 0
        guard waitpid(process, &status, 0) == process, status == 0 else {
            throw SandboxStage.Failure(description: "a program ended with \(clinux_exit_status(status))")
        }
    }
}

func complain(_ text: String) {
    let line = Array("sandbox-bench: \(text)\n".utf8)
    _ = write(2, line, line.count)
}

func machineLoad() -> String {
    var loads: [Double] = [0, 0, 0]
    getloadavg(&loads, 3)
    return loads.map { "\(($0 * 100).rounded() / 100)" }.joined(separator: " ")
}
