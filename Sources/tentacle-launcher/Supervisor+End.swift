internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// How a script's outcome gets to the disk: log first, then the record.
extension Supervisor {
    mutating func finish(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        guard let outcome else { return }
        // Before the group goes.
        let (memoryText, processesText) = (groupLimits?.memoryText, groupLimits?.processesText)
        endLeftOvers()
        var entries: [(OutputLogRecord.Source, String)] = []
        var detail: String?
        let code: Int32
        switch outcome {
        case .exited(let status): code = status
        case .keeperLost:
            code = 137
            detail = "The process that kept the script was killed, and the script with it."
            drain(log)
        case .cancelled:
            code = -1
            detail = "The script was cancelled."
            drain(log)
        case .stopped(let why):
            code = -1
            detail = "\(why) It was ended with everything it had started."
            drain(log)
        case .logFailed(let reason):
            code = -41
            detail = "\(reason); the script was stopped and its output from here on is lost"
        case .notStarted(let reason):
            code = -42
            let text = "Error when attempting to execute \(Self.shell): \(reason)"
            detail = text
            entries = [
                (.standardError, "An exception was thrown when invoking \(Self.shell): \(text)"),
                (.standardError, text),
            ]
        }
        switch outcome {
        case .logFailed, .keeperLost, .stopped:
            if let detail { entries.append((.standardError, detail)) }
        case .exited, .cancelled, .notStarted: break
        }
        if let text = memoryText {
            entries.append((.standardError, text))
            detail = detail ?? text
        }
        if let text = processesText { entries.append((.standardError, text)) }
        if !survivors.isEmpty {
            entries.append((.standardError, Self.survivorText(survivors)))
            detail = (detail.map { $0 + " " } ?? "") + Self.survivorText(survivors)
        }
        if code != -42 {
            entries.append((.debug, "Process \(Self.shell) in \(directoryPath) exited with code \(code)"))
        }
        LastResort.release(directory)
        removePrivateDirectories(directory)
        do {
            try log.append(quota.finish(at: .now))
            try log.append(entries)
        } catch {
            detail = detail ?? error.description
        }
        // The log before the record: who reads that a script is complete has all of its output, also after a power cut.
        log.sync()
        write(code, ranToCompletion: outcome == .exited(code), detail, directory)
        Journal.scriptEnded(specification, exitCode: code, detail: detail)
    }

    private mutating func write(
        _ code: Int32,
        ranToCompletion: Bool,
        _ detail: String?,
        _ directory: borrowing WorkspaceDirectory
    ) {
        state.complete(at: .now, exitCode: code, ranToCompletion: ranToCompletion, detail: detail)
        do {
            try directory.writeState(state, durable: true)
        } catch {
            Launcher.complain("\(ticket): \(error)")
            // Not safe from a power cut is better than unknown.
            try? directory.writeState(state, durable: false)
        }
    }

    /// Where the script left nothing in them; what it did leave goes with the workspace.
    private func removePrivateDirectories(_ directory: borrowing WorkspaceDirectory) {
        for name in [SandboxPlan.privateTmp, SandboxPlan.privateVarTmp] {
            unsafe unlinkat(directory.descriptor, name, AT_REMOVEDIR)
        }
    }

    /// After a script that ended by itself: what it left behind ends with it, or lives on, as the policy says.
    private mutating func endLeftOvers() {
        guard process != nil else {
            _ = group?.remove()
            return
        }
        if case .exited = outcome, policy.processes.background { return releaseTree() }
        if survivors.isEmpty { killTree() }
        _ = group?.remove()
    }

    /// What was in the pipes already; somebody who still holds them is not waited for.
    private mutating func drain(_ log: borrowing OutputLogWriter) {
        for stream in [Supervision.Stream.output, .error] {
            for _ in 0..<64 {
                guard (stream == .output ? output : error).descriptor >= 0, takeOutput(stream, log) != nil else {
                    break
                }
            }
        }
        let now = UTCMicroseconds.now
        batch.begin(at: now)
        for stream in [Supervision.Stream.output, .error] where (stream == .output ? output : error).descriptor >= 0 {
            endStream(stream)
        }
        try? log.append(quota.admit(batch, at: now) { log.freeBytes })
    }
}
