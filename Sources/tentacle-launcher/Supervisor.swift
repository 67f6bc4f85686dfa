internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Runs one script and writes down what becomes of it.
///
/// Single-threaded: one `poll` loop.
struct Supervisor: ~Copyable {
    static let shell = "/bin/bash"
    /// A kill ends, or is reported as failed, within this time; the services promise 2 s.
    static let killMilliseconds: Int64 = 1500
    static let readBytes = 65_536
    private static let serviceManager: Int32 = 1

    let settings: LauncherSettings
    let ticket: ScriptTicketName
    let directoryPath: String
    let specification: ScriptSpecification
    let policy: SandboxPolicy
    var state: ScriptStateRecord
    let signals: Int32
    /// The locked file.
    let claim: Int32

    var machine = Supervision()
    var output = Pipe()
    var error = Pipe()
    var process: SandboxedProcess?
    var group: ControlGroup?
    var groupLimits: ControlGroupLimits?
    var batch: OutputLogBatch
    var outcome: Supervision.Outcome?
    private var buffer = [UInt8](repeating: 0, count: readBytes)
    var quota: OutputLogQuota
    private var clock: LimitClock
    /// What cannot be in the log when the log itself failed; goes into the record.
    var survivors: [String] = []

    struct Pipe {
        var descriptor: Int32 = -1
        var lines = OutputLineSplitter()
    }

    init(
        settings: LauncherSettings,
        policy: SandboxPolicy,
        ticket: ScriptTicketName,
        directoryPath: String,
        specification: ScriptSpecification,
        state: ScriptStateRecord,
        signals: Int32,
        claim: Int32,
        logLength: Int64
    ) {
        self.settings = settings
        quota = OutputLogQuota(limits: settings.limits.log, written: logLength)
        let password = specification.environment["TentacleProxyPassword"]
        let mask = SecretMask(password.map { [$0] } ?? [])
        batch = OutputLogBatch(mask: mask)
        output.lines = OutputLineSplitter(mask: mask)
        error.lines = OutputLineSplitter(mask: mask)
        clock = LimitClock(settings.limits, policy.limits)
        self.ticket = ticket
        self.directoryPath = directoryPath
        self.specification = specification
        self.policy = policy
        self.state = state
        self.signals = signals
        self.claim = claim
    }

    mutating func run(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        _ = clinux_prctl(PR_SET_CHILD_SUBREAPER, 1)
        do {
            try log.append([
                (.debug, "Executable directory is /bin"),
                (.debug, "Executable name or full path: \(Self.shell)"),
                (
                    .debug,
                    "Starting \(Self.shell) in working directory '\(directoryPath)' using 'Unicode (UTF-8)' encoding "
                        + "running as '\(UserName.current)'"
                ),
            ])
            // Files that came with the script may be too many already.
            if let limit = clock.reached(directory.descriptor) {
                outcome = .stopped(limit)
                return finish(directory, log)
            }
            SandboxExecutor.closeToOthers()
            start(directory, log)
            // Behind the start, which need not wait for this.
            LastResort.reserve(directory)
            group?.removeForgotten(now: UTCMicroseconds.now.sinceEpoch)
        } catch {
            perform(machine.logFailed(error.description), directory, log)
        }
        while outcome == nil { step(directory, log) }
        // The script's own end may have been read before the signal that caused it.
        if case .exited = outcome, let stop = readStop() { outcome = stop.outcome }
        finish(directory, log)
    }

    // MARK: Events

    private mutating func step(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        func input(_ descriptor: Int32) -> pollfd { pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0) }
        var waiting: InlineArray<4, pollfd> = [
            input(signals), input(output.descriptor), input(error.descriptor), input(process?.statuses ?? -1),
        ]
        let milliseconds = clock.pollMilliseconds
        var span = waiting.mutableSpan
        let ready = unsafe span.withUnsafeMutableBufferPointer { waiting in
            unsafe poll(waiting.baseAddress, nfds_t(waiting.count), milliseconds)
        }
        // Most of the code is for the start: a script that goes on for days keeps only what the waiting needs.
        if clock.startHasEnded() { clinux_forget_start() }
        if let limit = clock.reached(directory.descriptor) { perform(machine.machineStops(limit), directory, log) }
        guard ready > 0, outcome == nil else { return }
        // First: a stop of the whole unit reaches the script, too, whose end must not pass for its own.
        if waiting[0].revents != 0 { readSignals(directory, log) }
        if waiting[1].revents != 0 { readOutput(.output, directory, log) }
        if waiting[2].revents != 0 { readOutput(.error, directory, log) }
        if waiting[3].revents != 0 { readStatus(directory, log) }
    }

    private mutating func readOutput(
        _ stream: Supervision.Stream,
        _ directory: borrowing WorkspaceDirectory,
        _ log: borrowing OutputLogWriter
    ) {
        guard outcome == nil, let event = takeOutput(stream, log) else { return }
        perform(event, directory, log)
    }

    /// One read, one batch, one write; nil when there was nothing to read.
    mutating func takeOutput(
        _ stream: Supervision.Stream,
        _ log: borrowing OutputLogWriter
    ) -> Supervision.OnEvent? {
        let descriptor = stream == .output ? output.descriptor : error.descriptor
        guard descriptor >= 0 else { return nil }
        let count = unsafe read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return nil }
        let now = UTCMicroseconds.now
        batch.begin(at: now)
        if count > 0 { feed(stream, Array(buffer[..<count])) } else { endStream(stream) }
        do {
            try log.append(quota.admit(batch, at: now) { log.freeBytes })
        } catch {
            return machine.logFailed(error.description)
        }
        // Behind the log: a script that is over has no log any more that could fail.
        return count > 0 ? .goOn : machine.streamEnded(stream)
    }

    private mutating func feed(_ stream: Supervision.Stream, _ bytes: [UInt8]) {
        switch stream {
        case .output: output.lines.feed(bytes) { batch.append(.standardOutput, $0, endsLine: $1) }
        case .error: error.lines.feed(bytes) { batch.append(.standardError, $0, endsLine: $1) }
        }
    }

    mutating func endStream(_ stream: Supervision.Stream) {
        switch stream {
        case .output:
            output.lines.finish { batch.append(.standardOutput, $0, endsLine: $1) }
            close(output.descriptor)
            output.descriptor = -1
        case .error:
            error.lines.finish { batch.append(.standardError, $0, endsLine: $1) }
            close(error.descriptor)
            error.descriptor = -1
        }
    }

    private mutating func readStatus(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        guard let started = process else { return }
        if let (_, status) = SandboxExecutor.readMessage(started.statuses) {
            perform(machine.scriptExited(clinux_exit_status(status)), directory, log)
        } else {
            close(started.statuses)
            process?.statuses = -1
            perform(machine.keeperEnded(), directory, log)
        }
    }

    private enum Stop {
        case cancelled, unitStopped

        var outcome: Supervision.Outcome { self == .cancelled ? .cancelled : .stopped(Self.unitText) }

        static let unitText = "The service manager stopped the script's unit."
    }

    private mutating func readSignals(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        switch readStop() {
        case .none: break
        case .cancelled: perform(machine.cancelRequested(), directory, log)
        case .unitStopped: perform(machine.machineStops(Stop.unitText), directory, log)
        }
    }

    /// Collects the dead; whether somebody wants the script to end.
    private mutating func readStop() -> Stop? {
        var stop: Stop?
        var sender: Int32 = 0
        while case let signal = unsafe clinux_next_signal_from(signals, &sender), signal != 0 {
            if signal == SIGCHLD {
                _ = reap()
            } else {
                stop = sender == Self.serviceManager ? .unitStopped : .cancelled
            }
        }
        return stop
    }

    /// Collects the dead; false when there are no children any more.
    private mutating func reap() -> Bool {
        while case let ended = waitpid(-1, nil, WNOHANG | Int32(CLINUX_WAIT_ALL)), ended != 0 {
            if ended < 0 { return errno != ECHILD }
            if ended == process?.processID { process?.processID = -1 }
        }
        return true
    }

    // MARK: Actions

    mutating func perform(
        _ event: Supervision.OnEvent,
        _ directory: borrowing WorkspaceDirectory,
        _ log: borrowing OutputLogWriter
    ) {
        switch event {
        case .goOn: break
        case .finish(let outcome): self.outcome = outcome
        case .stopTree:
            killTree()
            perform(machine.treeGone(), directory, log)
        }
    }

    /// Ends every process of the script, or names those that would not die.
    mutating func killTree() {
        guard reap() || group?.isPopulated == true else { return }
        let keeper = process?.namespaces.contains(.processes) == true ? process?.pidDescriptor : nil
        let living = TreeEnd.run(
            group: group,
            milliseconds: Self.killMilliseconds,
            signals: signals,
            kill: {
                // The namespace goes with its first process.
                if let keeper { _ = clinux_pidfd_send_signal(keeper, SIGKILL) }
                if keeper == nil { ProcessTable.killDescendants(of: getpid()) }
            },
            reap: { reap() }
        )
        // Who waits only for the others is not the one that would not die.
        let others = living.filter { $0.processID != process?.processID }
        survivors = (others.isEmpty ? living : others).map(\.description)
    }

    /// Lets whoever is left live on, without keeper and control group.
    mutating func releaseTree() {
        guard let started = process else { return }
        started.release()
        var waiting = pollfd(fd: started.pidDescriptor, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&waiting, 1, Int32(Self.killMilliseconds))
        group?.release()
    }

    /// In the keeper, when this launcher was killed: the agent ends the record, the log says why.
    static func orphaned(_ workspace: Int32, _ living: [ProcessTable.Row]) {
        let own = dup(workspace)
        guard own >= 0 else { return }
        var entries: [(OutputLogRecord.Source, String)] = [
            (.standardError, "The launcher of this script was killed; the script was ended with it.")
        ]
        if !living.isEmpty { entries.append((.standardError, Self.survivorText(living.map(\.description)))) }
        try? OutputLogWriter(WorkspaceDirectory(takingOver: own)).append(entries)
    }

    static let survivorPrefix = "Failed to kill the launched process and its children: "

    static func survivorText(_ survivors: [String]) -> String {
        survivorPrefix + survivors.joined(separator: "; ")
    }
}
