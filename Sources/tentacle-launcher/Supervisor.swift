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

    let settings: LauncherSettings
    let ticket: ScriptTicketName
    let specification: ScriptSpecification
    var state: ScriptStateRecord
    let signals: Int32

    var machine = Supervision()
    var output = Pipe()
    var error = Pipe()
    var process: SandboxedProcess?
    var batch = OutputLogBatch()
    var outcome: Supervision.Outcome?
    private var buffer = [UInt8](repeating: 0, count: readBytes)
    /// What cannot be in the log when the log itself failed; goes into the record.
    var survivors: [String] = []

    struct Pipe {
        var descriptor: Int32 = -1
        var lines = OutputLineSplitter()
    }

    init(
        settings: LauncherSettings,
        ticket: ScriptTicketName,
        specification: ScriptSpecification,
        state: ScriptStateRecord,
        signals: Int32
    ) {
        self.settings = settings
        self.ticket = ticket
        self.specification = specification
        self.state = state
        self.signals = signals
    }

    var directoryPath: String { settings.path(of: ticket) }

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
            start(directory, log)
            // Behind the start, which need not wait for the disk.
            LastResort.reserve(directory)
        } catch {
            perform(machine.logFailed(error.description), directory, log)
        }
        while outcome == nil { step(directory, log) }
        finish(directory, log)
    }

    // MARK: Starting

    private mutating func start(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        let command = SandboxedCommand(
            path: Self.shell,
            arguments: [Self.shell, directoryPath + "/" + ScriptSpecification.scriptFileName]
                + specification.arguments,
            environment: specification.environment,
            directory: directoryPath
        )
        let plan = SandboxPlan(policy: settings.policy, privileges: .current, command: command)
        do throws(SandboxFailure) {
            do throws(SandboxFailure) {
                try launch(plan, directory)
            } catch {
                guard plan.ownNamespaces else { throw error }
                // Containers have privileges that do not reach as far as they say.
                let step = plan.operations.indices.contains(error.stage) ? "\(plan.operations[error.stage])" : "clone"
                let reason = "\(step): \(systemErrorText(error.number))"
                try? log.append([(.debug, "Not enforced here: a process tree of the script's own (\(reason))")])
                try launch(SandboxPlan(policy: .none, privileges: .current, command: command), directory)
            }
        } catch {
            perform(machine.startFailed(systemErrorText(error.number)), directory, log)
        }
    }

    private mutating func launch(_ plan: SandboxPlan, _ directory: borrowing WorkspaceDirectory) throws(SandboxFailure)
    {
        var outputs: [Int32] = [-1, -1]
        var errors: [Int32] = [-1, -1]
        guard unsafe clinux_pipe(&outputs) == 0, unsafe clinux_pipe(&errors) == 0 else {
            throw SandboxFailure(stage: -1, number: errno)
        }
        defer {
            close(outputs[1])
            close(errors[1])
        }
        output.descriptor = outputs[0]
        error.descriptor = errors[0]
        for pipe in [outputs[0], errors[0]] { _ = fcntl(pipe, F_SETFL, O_NONBLOCK) }
        do {
            process = try SandboxExecutor.start(
                plan,
                directory: directory.descriptor,
                standardOutput: outputs[1],
                standardError: errors[1]
            )
        } catch {
            close(outputs[0])
            close(errors[0])
            (output.descriptor, self.error.descriptor) = (-1, -1)
            throw error
        }
    }

    // MARK: Events

    private mutating func step(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        var waiting = [signals, output.descriptor, error.descriptor, process?.failures ?? -1, process?.statuses ?? -1]
            .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let ready = unsafe poll(&waiting, nfds_t(waiting.count), -1)
        guard ready > 0 else { return }
        if waiting[1].revents != 0 { readOutput(.output, directory, log) }
        if waiting[2].revents != 0 { readOutput(.error, directory, log) }
        if waiting[3].revents != 0 { readFailure(directory, log) }
        if waiting[4].revents != 0 { readStatus(directory, log) }
        if waiting[0].revents != 0 { readSignals(directory, log) }
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
        batch.begin(at: .now)
        let event: Supervision.OnEvent
        if count > 0 {
            feed(stream, Array(buffer[..<count]))
            event = .goOn
        } else {
            endStream(stream)
            event = machine.streamEnded(stream)
        }
        do {
            try log.append(batch.bytes)
            return event
        } catch {
            return machine.logFailed(error.description)
        }
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

    /// The pipe is empty at its end when the script's program runs.
    private mutating func readFailure(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        guard let started = process else { return }
        var message: [Int32] = [0, 0]
        let count = unsafe read(started.failures, &message, 8)
        close(started.failures)
        process?.failures = -1
        guard count == 8 else { return }
        perform(machine.startFailed(systemErrorText(message[1])), directory, log)
    }

    private mutating func readStatus(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        guard let started = process else { return }
        var status: Int32 = 0
        if unsafe read(started.statuses, &status, 4) == 4 {
            perform(machine.scriptExited(clinux_exit_status(status)), directory, log)
        } else {
            close(started.statuses)
            process?.statuses = -1
        }
    }

    private mutating func readSignals(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        while case let signal = clinux_next_signal(signals), signal != 0 {
            if signal == SIGCHLD {
                if let status = reap() { perform(machine.scriptExited(status), directory, log) }
            } else {
                perform(machine.cancelRequested(), directory, log)
            }
        }
    }

    /// Collects the dead; the status of the script's own process, when it is among them.
    private mutating func reap() -> Int32? {
        var result: Int32?
        var status: Int32 = 0
        while case let ended = unsafe waitpid(-1, &status, WNOHANG), ended > 0 {
            guard ended == process?.processID else { continue }
            process?.processID = -1
            // The first process of a namespace ends after the script, whose status came through the pipe; only when
            // it was killed itself is its own status the answer.
            if process?.ownNamespaces == true, status == 0 { continue }
            result = clinux_exit_status(status)
        }
        return result
    }

    // MARK: Actions

    private mutating func perform(
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
        let deadline = Deadline(milliseconds: Self.killMilliseconds)
        while let started = process, started.processID > 0 || !started.ownNamespaces {
            if started.ownNamespaces {
                // The namespace goes with its first process.
                _ = clinux_pidfd_send_signal(started.pidDescriptor, SIGKILL)
            } else {
                ProcessTable.killDescendants(of: getpid())
            }
            _ = reap()
            let living = ProcessTable.descendants(of: getpid(), in: ProcessTable.rows())
            if living.isEmpty { return }
            guard deadline.wait(for: signals) else {
                survivors = living.map { "\($0.processID) (\($0.name), state \($0.state))" }
                return
            }
        }
    }
}
