import AgentConfiguration
import Glibc
import LauncherProtocol

/// Of which scripts the logs are wanted.
struct ScriptFilter {
    var ticket: String?
    var task: String?

    var isEmpty: Bool { self.ticket == nil && self.task == nil }

    func takes(ticket: String) -> Bool { self.ticket.map { $0.lowercased() == ticket.lowercased() } ?? true }

    /// `ServerTasks-12` in any case, or just `12`.
    func takes(taskID: String) -> Bool {
        guard let wanted = self.task?.lowercased() else { return true }
        let taskID = taskID.lowercased()
        return taskID == wanted || (wanted.allSatisfy(\.isNumber) && taskID.hasSuffix("-" + wanted))
    }
}

/// The logs of an agent's scripts, printed as they are and as they grow.
///
/// As text each script's log stands under a line `==> ticket (state) <==`, as `tail` does it; the records are shown as
/// they are in the file. A script is known by its directory, not by its name: that is moved when the server completes
/// the script, and a new script may have the same ticket. The directory stays open, so that the kernel gives its number
/// to no other one, and so that its log's end is shown even when the agent has deleted it meanwhile.
final class ScriptLogs {
    private let work: String
    private let past: String
    private let filter: ScriptFilter
    private let format: OutputFormat
    private let console: Console
    private var logs: [ScriptDirectory.Identity: ScriptLog] = [:]
    /// The script whose lines were printed last.
    private var current: ScriptLog?

    init(homeDirectory: String, filter: ScriptFilter, format: OutputFormat, console: Console) {
        self.work = homeDirectory + "/" + ScriptDirectories.work
        self.past = homeDirectory + "/" + ScriptDirectories.past
        self.filter = filter
        self.format = format
        self.console = console
        Self.allowManyFiles()
    }

    /// What is there now.
    func printAll() throws(CommandError) {
        // In this order: a script that is completed in between is found at one of the two places.
        for directory in [self.work, self.past] { try self.discover(directory) { _ in } }
        let logs = self.ordered.filter { $0.decide(self.filter) }
        guard logs.isEmpty else { return logs.forEach(self.advance) }
        let places = "'\(self.work)' or '\(self.past)'. Use --follow to see scripts while they run."
        switch (self.filter.ticket, self.filter.task) {
        case (let ticket?, nil): throw CommandError("No script with the ticket '\(ticket)' in \(places)")
        case (nil, let task?): throw CommandError("No script of the task '\(task)' in \(places)")
        case (let ticket?, let task?):
            throw CommandError("No script with the ticket '\(ticket)' of the task '\(task)' in \(places)")
        case (nil, nil):
            if self.format == .text { self.console.write("No script logs in \(places)\n") }
        }
    }

    /// What is there and what comes, until the descriptor becomes readable or the wanted script ends.
    ///
    /// Of past scripts only those that were asked for.
    func follow(until interruption: CInt) throws(CommandError) {
        let watcher = try DirectoryWatcher()
        if self.filter.isEmpty { try self.discover(self.past) { $0.isOver = true } }
        while true {
            for directory in [self.work, self.past] { watcher.watchNearest(directory) }
            for directory in [self.work, self.past] {
                try self.discover(directory) {
                    $0.isFollowed = true
                    watcher.watch($0.watchedPath, for: .changes)
                }
            }
            for log in self.ordered where !log.isOver {
                self.advance(log)
                if log.isOver { watcher.forget(log.watchedPath) }
            }
            self.logs = self.logs.filter { !$0.value.isOver || !$0.value.isRemoved }
            let wanted = self.logs.values.filter { $0.isWanted == true }
            self.isSatisfied = self.isSatisfied || !wanted.isEmpty
            if self.filter.ticket != nil, self.isSatisfied, wanted.allSatisfy(\.isOver) { return }
            try self.console.checkResult()
            let hasMore = self.logs.values.contains(where: \.hasMore)
            guard watcher.wait(until: interruption, isPolling: hasMore) else { return }
        }
    }

    /// Something that was asked for has been found.
    private var isSatisfied = false

    /// In the order in which they came.
    private var ordered: [ScriptLog] {
        self.logs.values.filter { !$0.isOver }.sorted { ($0.created, $0.ticket) < ($1.created, $1.ticket) }
    }

    /// Opens the directories that were not known yet.
    private func discover(_ path: String, _ onNew: (ScriptLog) -> Void) throws(CommandError) {
        for entry in try ScriptDirectory.entries(in: path) {
            guard self.logs[entry.identity] == nil, self.filter.takes(ticket: entry.name),
                let log = try ScriptLog(ticket: entry.name, path: path + "/" + entry.name),
                // Another one has the name by now, or the file system gives numbers of its own in listings.
                self.logs[log.identity] == nil
            else { continue }
            self.logs[log.identity] = log
            onNew(log)
        }
    }

    /// Prints what a script has written since the last time, and its end.
    private func advance(_ log: ScriptLog) {
        guard log.decide(self.filter) else { return }
        // State first: what was written before the end is all there when the end has been seen.
        let outcome = log.outcome()
        switch self.format {
        case .text:
            log.readLines { lines in
                self.printHeader(log, outcome == nil && !log.isLost ? "running" : nil)
                self.console.writeForeign(lines)
            }
        case .json:
            log.readEntries(isFinal: outcome != nil) { entries in
                let lines = entries.map { log.json($0.occurred, $0.source.name, $0.text).compact + "\n" }
                self.console.writeForeign(lines.joined())
            }
        }
        guard !log.hasMore else { return }
        guard let outcome else {
            if log.isLost, !log.isCalledLost { self.callLost(log) }
            return
        }
        log.close()
        switch self.format {
        case .text:
            self.console.writeForeign("==> \(log.ticket) (\(outcome)) <==\n")
            self.current = nil
        case .json:
            self.console.writeForeign(log.json(log.completed, "end", outcome).compact + "\n")
        }
    }

    /// The agent writes its end, when it runs: that is waited for.
    private func callLost(_ log: ScriptLog) {
        log.isCalledLost = true
        let text = "outcome unknown, its launcher is gone"
        switch self.format {
        case .text:
            self.console.writeForeign("==> \(log.ticket) (\(text)) <==\n")
            self.current = nil
        case .json: self.console.writeForeign(log.json(nil, "end", text).compact + "\n")
        }
    }

    private func printHeader(_ log: ScriptLog, _ state: String?) {
        guard self.current !== log else { return }
        self.current = log
        self.console.writeForeign("==> \(log.ticket)\(state.map { " (\($0))" } ?? "") <==\n")
    }

    /// One is open for each script that is or was shown: a shell's usual 1024 may be too few.
    private static func allowManyFiles() {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(files, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(files, &limit)
    }
}

extension OutputLogRecord.Source {
    /// As in `Output.log`.
    fileprivate var name: String {
        switch self {
        case .standardOutput: "out"
        case .standardError: "err"
        case .debug: "dbg"
        }
    }
}

/// One script's directory, held open.
private final class ScriptLog {
    let ticket: String
    let identity: ScriptDirectory.Identity
    let created: UTCMicroseconds
    /// Nothing more of it is shown.
    var isOver = false
    /// Nil while its task is not known: a record is the last that the agent writes of a new script.
    private(set) var isWanted: Bool?
    /// More of it is shown than what is there now.
    var isFollowed = false
    /// Its turn was over before its lines were.
    private(set) var hasMore = false
    /// Its launcher is gone, and the agent has not written yet how it ended.
    private(set) var isLost = false
    /// That has been said.
    var isCalledLost = false
    /// When it ended.
    private(set) var completed: UTCMicroseconds?

    private let workspace: WorkspaceDirectory
    private var taskID: String?
    private var log: CInt = -1
    /// A record whose end is not read yet.
    private var pending: [UInt8] = []
    /// Up to where entries have been read.
    private var position: Int64 = 0

    private static let chunkBytes = 65536
    /// A script that prints faster than it is shown must not keep the others from it.
    private static let turnBytes = 4 << 20
    /// Far above any record of the launcher; more than this without a line end is shown as it is.
    private static let longestRecordBytes = 1024 * 1024

    /// Nil for what is no directory.
    init?(ticket: String, path: String) throws(CommandError) {
        guard let workspace = try ScriptDirectory.open(path) else { return nil }
        var information = stat()
        fstat(workspace.descriptor, &information)
        let state = try? workspace.readState()
        let changed = UTCMicroseconds(sinceEpoch: Int64(information.st_ctim.tv_sec) * 1_000_000)
        self.ticket = ticket
        self.identity = .init(device: information.st_dev, inode: information.st_ino)
        self.created = state?.created ?? changed
        self.workspace = workspace
    }

    deinit { self.close() }

    /// A name of the directory that goes with it when it is moved.
    var watchedPath: String { "/proc/self/fd/\(self.workspace.descriptor)" }

    var isRemoved: Bool { self.workspace.isRemoved }

    /// The directory stays open, for its number.
    func close() {
        self.isOver = true
        if self.log >= 0 { Glibc.close(self.log) }
        self.log = -1
    }

    /// Whether it is wanted, as far as that can be told.
    func decide(_ filter: ScriptFilter) -> Bool {
        if self.isWanted == nil {
            self.taskID = (try? self.workspace.readState())?.taskID
            self.isWanted = filter.task == nil ? true : self.taskID.map { filter.takes(taskID: $0) }
        }
        if self.isWanted == false || (self.isWanted == nil && self.isRemoved) { self.close() }
        return self.isWanted == true
    }

    /// How the script ended, nil while it runs or waits for its start.
    func outcome() -> String? {
        guard let (state, holder) = self.standing else { return self.isRemoved ? "removed" : nil }
        self.taskID = state.taskID
        self.completed = state.completed
        switch state.phase {
        case .complete:
            let detail = state.detail.map { ", \($0)" } ?? ""
            return "finished, exit code \(state.exitCode.map { "\($0)" } ?? "unknown")\(detail)"
        case .running where holder == .nobody:
            self.isLost = true
            return nil
        case .running, .pending: return nil
        }
    }

    /// Who may not ask for the lock takes the record's word.
    private var standing: (state: ScriptStateRecord, holder: WorkspaceDirectory.LockHolder)? {
        do {
            return try self.workspace.readStanding()
        } catch let error as WorkspaceFileError where error.number == EACCES {
            return (try? self.workspace.readState()).flatMap { $0.map { ($0, .agent) } }
        } catch {
            return nil
        }
    }

    func json(_ time: UTCMicroseconds?, _ stream: String, _ text: String) -> OrderedJSON {
        .object([
            .init("ticket", .string(self.ticket)),
            .init("task", .string(orNull: self.taskID?.isEmpty == false ? self.taskID : nil)),
            .init("time", .string(orNull: time?.description)), .init("stream", .string(stream)),
            .init("text", .string(text)),
        ])
    }

    // MARK: Reading

    /// Hands over the whole lines written since the last call, in pieces of bounded size.
    func readLines(_ body: (String) -> Void) {
        var turn = Self.turnBytes
        self.hasMore = false
        self.readingEachFile {
            var chunk = [UInt8](repeating: 0, count: Self.chunkBytes)
            while true {
                let count = read(self.log, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    // Read again next time: a record that nobody finishes is cut, and another is written in its place.
                    lseek(self.log, -off_t(self.pending.count), SEEK_CUR)
                    return self.pending.removeAll(keepingCapacity: true)
                }
                turn -= count
                self.pending += chunk[..<count]
                let isTooLong = self.pending.count > Self.longestRecordBytes
                let lineEnd = self.pending.lastIndex(of: UInt8(ascii: "\n"))
                guard let end = lineEnd ?? (isTooLong ? self.pending.count - 1 : nil) else { continue }
                body(String(decoding: self.pending[...end], as: UTF8.self))
                self.pending.removeFirst(end + 1)
                self.hasMore = turn <= 0 && self.isFollowed
                if self.hasMore { return }
            }
        }
    }

    /// Hands over the entries written since the last call, the pieces of long lines joined.
    func readEntries(isFinal: Bool, _ body: ([OutputLogEntry]) -> Void) {
        self.readingEachFile {
            let reader = OutputLogReader(takingOver: fcntl(self.log, F_DUPFD_CLOEXEC, 0))
            while let page = try? reader.read(after: self.position, final: isFinal) {
                self.position = page.next
                if !page.entries.isEmpty { body(page.entries) }
                guard !page.reachedEnd else { return }
            }
        }
    }

    /// Reads the log to its end; then the one that has taken its place, of a start that was tried again.
    private func readingEachFile(_ read: () -> Void) {
        if self.log < 0 { self.log = self.openLog() }
        while self.log >= 0 {
            read()
            var information = stat()
            guard fstat(self.log, &information) == 0, information.st_nlink == 0 else { return }
            let next = self.openLog()
            guard next >= 0 else { return }
            Glibc.close(self.log)
            self.log = next
            self.pending = []
            self.position = 0
        }
    }

    private func openLog() -> CInt {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        return openat(self.workspace.descriptor, ScriptSpecification.logFileName, flags)
    }
}
