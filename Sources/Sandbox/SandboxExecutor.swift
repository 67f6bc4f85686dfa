internal import CLinux
internal import Glibc

/// A script's keeper as the supervisor sees it.
package struct SandboxedProcess: Sendable {
    /// The keeper; the first process of the namespace where there is one.
    package var processID: Int32
    package var namespaces: NamespaceSet
    /// Readable when the keeper has ended.
    package var pidDescriptor: Int32
    /// Empty at its end: the script runs.
    ///
    /// Else eight bytes: stage and errno of the step that failed.
    package var failures: Int32
    /// Eight bytes, the second half the wait status of the script, when it has ended.
    package var statuses: Int32
    /// The keeper takes the end of this pipe for the supervisor's.
    package var life: Int32
    /// Why the script is not in its control group; 0 when it is, or when there is none.
    package var groupRefusal: Int32

    /// Lets the keeper go without what the script left behind.
    package func release() {
        var byte: UInt8 = 1
        _ = unsafe write(life, &byte, 1)
    }
}

/// What a keeper gets from the supervisor; all of it stays open in the caller.
package struct SandboxStreams: Sendable {
    /// What the script reads; -1: nothing.
    package var input: Int32
    /// Write ends of the script's pipes.
    package var output: Int32
    package var error: Int32
    package var directory: Int32
    /// The file whose lock says that the script is alive; -1: none.
    package var claim: Int32
    /// From `clinux_signal_descriptor`.
    package var signals: Int32

    package init(input: Int32 = -1, output: Int32, error: Int32, directory: Int32, claim: Int32, signals: Int32) {
        self.input = input
        self.output = output
        self.error = error
        self.directory = directory
        self.claim = claim
        self.signals = signals
    }
}

/// Applies a plan: the only code between clone and execve, single-threaded like the whole launcher.
package enum SandboxExecutor {
    /// The byte of the claim's file that keepers lock; supervisors lock the one before.
    static let keeperLockByte: off_t = 1

    /// Starts the plan's command behind a keeper.
    ///
    /// All signals are blocked, SIGPIPE among them.
    ///
    /// `orphaned` is called in the keeper when the supervisor ended before the script: everybody has been killed by then
    /// but those given.
    package static func start(
        _ plan: SandboxPlan,
        _ streams: SandboxStreams,
        group: ControlGroup?,
        orphaned: ([ProcessTable.Row]) -> Void
    ) throws(SandboxFailure) -> SandboxedProcess {
        let failures = try makePipe()
        let statuses = try makePipe()
        let life = try makePipe()
        let filters = try makePipe()
        var pidDescriptor: Int32 = -1
        let supervisor = getpid()
        let namespaces = plan.namespaces.subtracting(Keeper.lateNamespaces)
        let child = unsafe clinux_clone(UInt64(namespaces.rawValue), &pidDescriptor)
        if child == 0 {
            let keeper = Keeper(
                plan: plan,
                streams: streams,
                failures: failures.write,
                statuses: statuses.write,
                life: life.read,
                filters: filters.read,
                supervisor: supervisor,
                group: group
            )
            keeper.run(orphaned: orphaned)
        }
        for descriptor in [failures.write, statuses.write, life.read, filters.read] { close(descriptor) }
        guard child > 0 else {
            for descriptor in [failures.read, statuses.read, life.write, filters.write] { close(descriptor) }
            throw SandboxFailure(stage: -1, number: -child)
        }
        // Now, while the keeper mounts: it takes as long as that.
        for operation in plan.scriptOperations {
            if case .filterSystemCalls(let filter) = operation { filter.send(to: filters.write) }
        }
        close(filters.write)
        let standing = readMessage(statuses.read)
        // A keeper that was killed says nothing. Its script may have begun: that is for the supervisor, who finds the
        // statuses at their end, and not a script that could not be started.
        if standing == nil, let failure = readMessage(failures.read) {
            _ = waitpid(child, nil, 0)
            for descriptor in [failures.read, statuses.read, life.write, pidDescriptor] { close(descriptor) }
            throw SandboxFailure(stage: Int(failure.0), number: failure.1)
        }
        return SandboxedProcess(
            processID: child,
            namespaces: plan.namespaces,
            pidDescriptor: pidDescriptor,
            failures: failures.read,
            statuses: statuses.read,
            life: life.write,
            groupRefusal: standing?.1 ?? 0
        )
    }

    /// As `start`, and waits until the program itself runs: a step of the script's own process that fails is thrown, too.
    package static func startCompletely(
        _ plan: SandboxPlan,
        _ streams: SandboxStreams,
        group: ControlGroup?,
        orphaned: ([ProcessTable.Row]) -> Void
    ) throws(SandboxFailure) -> SandboxedProcess {
        var started = try start(plan, streams, group: group, orphaned: orphaned)
        let failure = readMessage(started.failures)
        close(started.failures)
        started.failures = -1
        guard let failure else { return started }
        // A keeper whose script could not begin has nobody to keep.
        close(started.life)
        close(started.statuses)
        _ = waitpid(started.processID, nil, Int32(CLINUX_WAIT_ALL))
        close(started.pidDescriptor)
        throw SandboxFailure(stage: Int(failure.0), number: failure.1)
    }

    /// Scripts of this user neither trace this process nor read its memory from now on, and it leaves no core dump.
    package static func closeToOthers() { _ = clinux_prctl(PR_SET_DUMPABLE, 0) }

    static func openToOthers() { _ = clinux_prctl(PR_SET_DUMPABLE, 1) }

    /// Eight bytes from a pipe of ours; nil at its end.
    package static func readMessage(_ pipe: Int32) -> (Int32, Int32)? {
        var message: [Int32] = [0, 0]
        while true {
            let count = unsafe read(pipe, &message, 8)
            if count < 0, errno == EINTR { continue }
            return count == 8 ? (message[0], message[1]) : nil
        }
    }

    private static func makePipe() throws(SandboxFailure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        let result = unsafe clinux_pipe(&ends)
        guard result == 0 else { throw SandboxFailure(stage: -1, number: -result) }
        return (ends[0], ends[1])
    }
}
