internal import CLinux
internal import Foundation

/// posix_spawn with three descriptors and nothing else inherited, all signals at their defaults.
enum Spawn {
    struct Spawned: Sendable {
        var process: pid_t
        /// Read ends of the program's standard output and standard error.
        var output: Int32
        var errors: Int32
    }

    static func start(
        _ arguments: [String],
        environment: [String: String],
        folder: String?,
        input: RunningProgram.Input
    ) throws -> Spawned {
        // `env` changes the folder and becomes the program.
        let arguments = (folder.map { ["/usr/bin/env", "-C", $0] } ?? []) + arguments
        let output = try makePipe()
        let errors = try makePipe()
        let (standardInput, inputIsOurs) = try descriptor(for: input)
        defer {
            close(output.write)
            close(errors.write)
            if inputIsOurs { close(standardInput) }
        }
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        for (number, descriptor) in [standardInput, output.write, errors.write].enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
        }
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var process: pid_t = 0
        var argumentPointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var environmentPointers = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            for index in unsafe argumentPointers.indices { unsafe free(argumentPointers[index]) }
            for index in unsafe environmentPointers.indices { unsafe free(environmentPointers[index]) }
        }
        let failure = unsafe posix_spawnp(
            &process,
            arguments[0],
            &actions,
            &attributes,
            &argumentPointers,
            &environmentPointers
        )
        guard failure == 0 else {
            close(output.read)
            close(errors.read)
            throw SpawnFailure(program: arguments[0], reason: unsafe String(cString: strerror(failure)))
        }
        return Spawned(process: process, output: output.read, errors: errors.read)
    }

    private static func descriptor(for input: RunningProgram.Input) throws -> (Int32, isOurs: Bool) {
        switch input {
        case .none: return (unsafe open("/dev/null", O_RDONLY | O_CLOEXEC), true)
        case .descriptor(let descriptor): return (descriptor, false)
        case .text(let text):
            // A nameless file: a pipe might be too small for it, and its reader gone.
            let path = FileManager.default.temporaryDirectory.appending(path: "input-\(UUID().uuidString)").path
            let file = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            unsafe unlink(path)
            let bytes = Array(text.utf8)
            guard file >= 0, unsafe pwrite(file, bytes, bytes.count, 0) == bytes.count else {
                throw SpawnFailure(program: path, reason: unsafe String(cString: strerror(errno)))
            }
            return (file, true)
        }
    }

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = unsafe clinux_pipe(&ends)
        guard result == 0 else {
            throw SpawnFailure(program: "pipe", reason: unsafe String(cString: strerror(-result)))
        }
        return (ends[0], ends[1])
    }
}

/// The program could not be started.
struct SpawnFailure: Error {
    var program: String
    var reason: String
}
