internal import CLinux
internal import Glibc

/// A script's first process as the supervisor sees it.
package struct SandboxedProcess: Sendable {
    /// The script's own process, or the first process of its namespace.
    package var processID: Int32
    package var ownNamespaces: Bool
    /// Readable when that process has ended.
    package var pidDescriptor: Int32
    /// Empty at its end: the script runs.
    ///
    /// Else eight bytes: stage and errno of the step that failed.
    package var failures: Int32
    /// With namespaces: four bytes, the wait status of the script, when it has ended.
    ///
    /// Else -1.
    package var statuses: Int32
}

/// Applies a plan: the only code between clone and execve, single-threaded like the whole launcher.
package enum SandboxExecutor {
    /// Starts the plan's command; `standardOutput` and `standardError` are the write ends of the pipes, still open
    /// in the caller afterwards.
    package static func start(
        _ plan: SandboxPlan,
        directory: Int32,
        standardOutput: Int32,
        standardError: Int32
    ) throws(SandboxFailure) -> SandboxedProcess {
        let failures = try makePipe()
        let statuses = plan.ownNamespaces ? try makePipe() : (read: -1, write: -1)
        var pidDescriptor: Int32 = -1
        let supervisor = getpid()
        let flags: UInt64 = plan.ownNamespaces ? UInt64(CLONE_NEWPID | CLONE_NEWNS) : 0
        let child = unsafe clinux_clone(flags, &pidDescriptor)
        if child == 0 {
            let streams = Streams(
                output: standardOutput,
                error: standardError,
                failures: failures.write,
                statuses: statuses.write,
                directory: directory,
                supervisor: supervisor
            )
            if plan.ownNamespaces { runInit(plan, streams) } else { runScript(plan, streams) }
        }
        close(failures.write)
        if statuses.write >= 0 { close(statuses.write) }
        guard child > 0 else {
            close(failures.read)
            if statuses.read >= 0 { close(statuses.read) }
            throw SandboxFailure(stage: -1, number: -child)
        }
        if plan.ownNamespaces, let failure = initFailure(failures.read) {
            _ = waitpid(child, nil, 0)
            for descriptor in [failures.read, statuses.read, pidDescriptor] { close(descriptor) }
            throw failure
        }
        return SandboxedProcess(
            processID: child,
            ownNamespaces: plan.ownNamespaces,
            pidDescriptor: pidDescriptor,
            failures: failures.read,
            statuses: statuses.read
        )
    }

    /// What kept the first process of the namespace from getting as far as the script, if anything did.
    private static func initFailure(_ failures: Int32) -> SandboxFailure? {
        var message: [Int32] = [0, ECHILD]
        while unsafe read(failures, &message, 8) < 0, errno == EINTR {}
        return message[0] == standing ? nil : SandboxFailure(stage: Int(message[0]), number: message[1])
    }

    private static func makePipe() throws(SandboxFailure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = unsafe clinux_pipe(&ends)
        guard result == 0 else { throw SandboxFailure(stage: -1, number: -result) }
        return (ends[0], ends[1])
    }

    private struct Streams {
        var output: Int32
        var error: Int32
        var failures: Int32
        var statuses: Int32
        var directory: Int32
        /// The launcher's process id as the host knows it.
        var supervisor: Int32

        var all: [Int32] { [output, error, failures, statuses, directory] }
    }

    // MARK: In the child

    /// In place of a stage: every step before the script's own has been taken.
    private static let standing: Int32 = -2

    /// Process 1 of the namespace: starts the script, reports its end, reaps everybody, ends when nobody is left.
    ///
    /// Its end is the end of every process in the namespace; the supervisor kills it for that.
    private static func runInit(_ plan: SandboxPlan, _ streams: Streams) -> Never {
        closeAll(except: [0, 1, 2] + streams.all)
        for (stage, operation) in plan.initOperations.enumerated() {
            let number = apply(operation, plan, streams)
            if number != 0 { fail(stage, number, streams) }
        }
        report(standing, 0, streams)
        var pidDescriptor: Int32 = -1
        let script = unsafe clinux_clone(0, &pidDescriptor)
        if script == 0 { runScript(plan, streams) }
        if script < 0 { fail(-1, -script, streams) }
        closeAll(except: [0, 1, 2, streams.statuses])
        while true {
            var status: Int32 = 0
            let ended = unsafe waitpid(-1, &status, 0)
            if ended < 0, errno == ECHILD { _exit(0) }
            guard ended == script else { continue }
            _ = unsafe write(streams.statuses, &status, MemoryLayout<Int32>.size)
        }
    }

    private static func runScript(_ plan: SandboxPlan, _ streams: Streams) -> Never {
        for (index, operation) in plan.scriptOperations.enumerated() {
            let number = apply(operation, plan, streams)
            if number != 0 { fail(plan.initOperations.count + index, number, streams) }
        }
        // Only reached by a plan without an execution at its end.
        _exit(127)
    }

    private static func fail(_ stage: Int, _ number: Int32, _ streams: Streams) -> Never {
        report(Int32(stage), number, streams)
        _exit(127)
    }

    private static func report(_ stage: Int32, _ number: Int32, _ streams: Streams) {
        var message: [Int32] = [stage, number]
        _ = unsafe write(streams.failures, &message, 8)
    }

    private static func apply(_ operation: SandboxOperation, _ plan: SandboxPlan, _ streams: Streams) -> Int32 {
        switch operation {
        case .dieWithParent: return -clinux_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL))
        case .keepMountsInside: return -clinux_keep_mounts_inside()
        case .mountProc: return -clinux_mount_proc()
        case .numberProcessesFromOurs:
            numberProcesses(from: streams.supervisor)
            return 0
        case .newSession: return setsid() < 0 ? errno : 0
        case .standardStreams: return redirect(streams)
        case .closeOtherDescriptors: return -clinux_close_range(3, .max, 1)
        case .defaultSignals:
            clinux_default_signals()
            return 0
        case .enterDirectory: return fchdir(streams.directory) < 0 ? errno : 0
        case .execute(let path, let arguments): return execute(path, arguments, plan.command.environment)
        }
    }

    private static func numberProcesses(from number: Int32) {
        let file = unsafe clinux_open("/proc/sys/kernel/ns_last_pid", O_WRONLY, 0)
        guard file >= 0 else { return }
        let text = Array(String(number).utf8)
        _ = unsafe write(file, text, text.count)
        close(file)
    }

    private static func redirect(_ streams: Streams) -> Int32 {
        let null = unsafe clinux_open("/dev/null", O_RDONLY, 0)
        guard null >= 0 else { return -null }
        // A copy onto itself would keep close-on-exec: the pipes must not be 0, 1 or 2 themselves.
        guard min(null, streams.output, streams.error) > 2 else { return EBADF }
        guard dup2(null, 0) == 0, dup2(streams.output, 1) == 1, dup2(streams.error, 2) == 2 else { return errno }
        return 0
    }

    private static func execute(_ path: String, _ arguments: [String], _ environment: [String: String]) -> Int32 {
        var argv = unsafe arguments.map { unsafe strdup($0) }
        unsafe argv.append(nil)
        var variables = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") }
        unsafe variables.append(nil)
        unsafe execve(path, &argv, &variables)
        return errno
    }

    private static func closeAll(except kept: [Int32]) {
        var first: UInt32 = 0
        for descriptor in kept.filter({ $0 >= 0 }).sorted() {
            let descriptor = UInt32(descriptor)
            if descriptor > first { _ = clinux_close_range(first, descriptor - 1, 0) }
            first = descriptor + 1
        }
        _ = clinux_close_range(first, .max, 0)
    }
}
