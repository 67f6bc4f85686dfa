internal import LauncherProtocol
internal import Sandbox

/// How a script's outcome gets to the disk: log first, then the record.
extension Supervisor {
    mutating func finish(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        guard let outcome else { return }
        endNamespace()
        var entries: [(OutputLogRecord.Source, String)] = []
        var detail: String?
        let code: Int32
        switch outcome {
        case .exited(let status): code = status
        case .cancelled:
            code = -1
            detail = "The script was cancelled."
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
        if !survivors.isEmpty {
            let names = survivors.joined(separator: ", ")
            entries.append((.standardError, "Failed to kill the launched process and its children: \(names)"))
        }
        if code == -41, let detail { entries.append((.standardError, detail)) }
        if code != -42 {
            entries.append((.debug, "Process \(Self.shell) in \(directoryPath) exited with code \(code)"))
        }
        LastResort.release(directory)
        do {
            try log.append(entries)
        } catch {
            detail = detail ?? error.description
        }
        // The log before the record: who reads that a script is complete has all of its output, also after a power cut.
        log.sync()
        write(code, ranToCompletion: outcome == .exited(code), detail, directory)
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
        }
    }

    /// What is left of the script in its namespace ends with it.
    private mutating func endNamespace() {
        guard let started = process, started.ownNamespaces, started.processID > 0 else { return }
        killTree()
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
        batch.begin(at: .now)
        for stream in [Supervision.Stream.output, .error] where (stream == .output ? output : error).descriptor >= 0 {
            endStream(stream)
        }
        try? log.append(batch.bytes)
    }
}
