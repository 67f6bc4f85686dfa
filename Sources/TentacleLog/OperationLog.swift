import Synchronization

/// The log file of one run of a program: nowhere, in the start-up folder, then in the instance's (spec tentacle-cli.md 9.2).
///
/// A folder that cannot be written stops nobody: whoever is at the console is told once.
package final class OperationLog: Sendable {
    package let threshold: LogLevel
    package let masker: LogMasker

    private let warn: @Sendable (String) -> Void
    private let state: Mutex<State>

    private struct State {
        var file: LogFile?
        /// Where something was written.
        var used: Set<String> = []
        /// Said when this folder turns out to be the one of the run.
        var warning: String?
        var isSettled = false
        var hasWarned = false

        mutating func takeWarning() -> String? {
            guard self.isSettled, !self.hasWarned, let warning = self.warning else { return nil }
            self.hasWarned = true
            return warning
        }
    }

    /// `warn` is given the one line about a folder that cannot be written.
    package init(
        directory: String? = nil,
        threshold: LogLevel = .info,
        masker: LogMasker = LogMasker(),
        warn: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.threshold = threshold
        self.masker = masker
        self.warn = warn
        self.state = Mutex(State(file: directory.map(LogFile.init)))
    }

    /// The folders with lines of this run in them, sorted.
    package var directories: [String] { self.state.withLock { $0.used.sorted() } }

    /// Writes into the file only, without the secrets.
    package func write(_ level: LogLevel, _ message: String) {
        guard level >= self.threshold, level != .off else { return }
        let text = self.masker.masked(message)
        let warning: String? = self.state.withLock { state in
            guard let file = state.file else { return nil }
            do throws(LogFileError) {
                try file.append(level, text)
                state.used.insert(file.directory)
            } catch {
                let reason = error.reason.hasSuffix(".") ? error.reason : "\(error.reason)."
                let warning = "The log file '\(file.path)' cannot be written: \(reason) Going on without it."
                state.warning = state.warning ?? warning
            }
            return state.takeWarning()
        }
        if let warning { self.warn(warning) }
    }

    /// Goes on in another folder, and says so in both.
    package func move(to directory: String) {
        let old = self.state.withLock { $0.file?.directory }
        guard old != directory else { return }
        if let old { self.write(.info, "Changing log folder from \(old) to \(directory)") }
        self.state.withLock { state in
            state.file = LogFile(directory: directory)
            state.warning = nil
        }
        self.write(.info, String(repeating: "=", count: 80))
        self.write(.info, "Changed log folder from \(old ?? "none") to \(directory)")
    }

    /// The folder is the last one: what is wrong with it can be said.
    package func settle() {
        let warning: String? = self.state.withLock { state in
            state.isSettled = true
            return state.takeWarning()
        }
        if let warning { self.warn(warning) }
    }
}
