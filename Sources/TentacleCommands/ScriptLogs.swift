import AgentConfiguration
import Glibc
import LauncherProtocol

/// The logs of all scripts below one work directory, printed as they are and as they grow.
///
/// Each script's log stands under a line `==> ticket (state) <==`, as `tail` does it; the records are shown as they are
/// in the file. A log stays open, so its end is shown even when the agent removes the workspace meanwhile.
final class ScriptLogs {
    private let directory: String
    private let ticket: String?
    private let write: (String) -> Void
    private var logs: [String: ScriptLog] = [:]
    /// The script whose lines were printed last.
    private var current: String?

    init(directory: String, ticket: String?, write: @escaping (String) -> Void) {
        self.directory = directory
        self.ticket = ticket
        self.write = write
    }

    private static let whereLogsGo =
        "they are removed once the server has fetched them. Use --follow to see scripts while they run."

    /// What is there now.
    func printAll() throws(CommandError) {
        try self.discover { _ in }
        guard !self.logs.isEmpty else {
            guard let ticket else {
                return self.write("No script logs in '\(self.directory)': \(Self.whereLogsGo)\n")
            }
            throw CommandError("No script with the ticket '\(ticket)' in '\(self.directory)': \(Self.whereLogsGo)")
        }
        for log in self.ordered { self.advance(log) }
    }

    /// What is there and what comes, until the descriptor becomes readable or the wanted script ends.
    func follow(until interruption: CInt) throws(CommandError) {
        let watcher = try DirectoryWatcher()
        while true {
            // The first script makes the directory: until then its parent tells.
            if !watcher.watch(self.directory, for: .entries) { watcher.watch(self.parent, for: .entries) }
            try self.discover { watcher.watch($0.path, for: .changes) }
            for log in self.ordered where !log.isOver {
                self.advance(log)
                if log.isOver { watcher.forget(log.path) }
            }
            if self.ticket != nil, !self.logs.isEmpty, self.logs.values.allSatisfy(\.isOver) { return }
            guard watcher.wait(until: interruption) else { return }
        }
    }

    private var parent: String { FilePathText.directory(of: self.directory) }

    private var ordered: [ScriptLog] {
        self.logs.values.sorted { ($0.created, $0.ticket) < ($1.created, $1.ticket) }
    }

    /// Opens the workspaces that were not known yet.
    private func discover(_ onNew: (ScriptLog) -> Void) throws(CommandError) {
        guard let handle = opendir(self.directory) else {
            let code = errno
            guard code != ENOENT else { return }
            throw CommandError(
                .failure,
                "Could not read '\(self.directory)': \(systemErrorText(code)). "
                    + "Run the command as root or as the user of the agent."
            )
        }
        defer { closedir(handle) }
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard !name.hasPrefix("."), self.logs[name] == nil, self.isWanted(name),
                let log = ScriptLog(ticket: name, path: self.directory + "/" + name)
            else { continue }
            self.logs[name] = log
            onNew(log)
        }
    }

    private func isWanted(_ name: String) -> Bool {
        guard let ticket else { return true }
        return name.lowercased() == ticket.lowercased()
    }

    /// Prints what a script has written since the last time, and its end.
    private func advance(_ log: ScriptLog) {
        // State first: what was written before the end is all there when the end has been seen.
        let outcome = log.outcome()
        log.readLines { lines in
            self.printHeader(log, outcome == nil ? "running" : nil)
            self.write(lines)
        }
        guard let outcome else { return }
        log.isOver = true
        self.write("==> \(log.ticket) (\(outcome)) <==\n")
        self.current = nil
    }

    private func printHeader(_ log: ScriptLog, _ state: String?) {
        guard self.current != log.ticket else { return }
        self.current = log.ticket
        self.write("==> \(log.ticket)\(state.map { " (\($0))" } ?? "") <==\n")
    }
}

/// One script's workspace, held open.
private final class ScriptLog {
    let ticket: String
    let path: String
    let created: UTCMicroseconds
    var isOver = false

    private let workspace: WorkspaceDirectory
    private var descriptor: CInt = -1
    /// A record whose end is not written yet.
    private var pending: [UInt8] = []

    private static let chunkBytes = 65536
    /// Far above any record of the launcher; more than this without a line end is shown as it is.
    private static let longestRecordBytes = 1024 * 1024

    /// Nil for what is not a workspace.
    init?(ticket: String, path: String) {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        guard directory >= 0 else { return nil }
        self.ticket = ticket
        self.path = path
        let workspace = WorkspaceDirectory(takingOver: directory)
        var information = stat()
        fstat(directory, &information)
        let changed = UTCMicroseconds(sinceEpoch: Int64(information.st_ctim.tv_sec) * 1_000_000)
        self.created = (try? workspace.readState())?.created ?? changed
        self.workspace = workspace
    }

    deinit {
        if self.descriptor >= 0 { close(self.descriptor) }
    }

    /// How the script ended, nil while it runs or waits for its start.
    func outcome() -> String? {
        // The lock before the state: whoever gives the lock back has written the state.
        let holder = (try? self.workspace.lockHolder()) ?? .nobody
        guard let state = try? self.workspace.readState() else {
            return self.isRemoved ? "removed" : nil
        }
        switch state.phase {
        case .complete:
            let detail = state.detail.map { ", \($0)" } ?? ""
            return "finished, exit code \(state.exitCode.map { "\($0)" } ?? "unknown")\(detail)"
        case .running where holder == .nobody: return "outcome unknown, its launcher is gone"
        case .running, .pending: return nil
        }
    }

    private var isRemoved: Bool {
        var information = stat()
        return fstat(self.workspace.descriptor, &information) != 0 || information.st_nlink == 0
    }

    /// Hands over the whole lines written since the last call, in pieces of bounded size.
    func readLines(_ body: (String) -> Void) {
        if self.descriptor < 0 {
            self.descriptor = openat(
                self.workspace.descriptor,
                ScriptSpecification.logFileName,
                O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
            )
        }
        guard self.descriptor >= 0 else { return }
        var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
        while true {
            let count = read(self.descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            self.pending += chunk[..<count]
            let isTooLong = self.pending.count > Self.longestRecordBytes
            let lineEnd = self.pending.lastIndex(of: UInt8(ascii: "\n"))
            guard let end = lineEnd ?? (isTooLong ? self.pending.count - 1 : nil) else { continue }
            body(String(decoding: self.pending[...end], as: UTF8.self))
            self.pending.removeFirst(end + 1)
        }
    }
}
