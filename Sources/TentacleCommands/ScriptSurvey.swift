import AgentConfiguration
import Glibc
import LauncherProtocol

/// One script of which there is a record on disk.
struct ObservedScript {
    enum Standing: String {
        /// Not begun: it waits for its mutex, or has it and is being started.
        case pending
        case running
        case over
        /// Nobody supervises it any more and nobody wrote how it ended.
        case lost
        /// Completed by the server; only its log and its record are kept.
        case past
    }

    var standing: Standing
    var state: ScriptStateRecord
    /// Who holds the lock on it.
    var holder = WorkspaceDirectory.LockHolder.nobody
    /// Nil when there is none, or when it may not be known: `script.json` is for the agent's user only.
    var timeoutMilliseconds: Int64?

    var ticket: String { self.state.ticket }

    /// The process that ends when the script does.
    var supervisor: pid_t? {
        switch self.holder {
        case .launcher(let process), .keeper(let process): process
        case .agent, .nobody: nil
        }
    }
}

/// All scripts that are waiting for a mutex of one name or hold it, by the rules of the agent.
struct MutexQueue {
    var name: String
    /// Those that run; then those that have the mutex and are being started.
    var holders: [ObservedScript] = []
    /// In the order in which they came.
    var waiting: [ObservedScript] = []
    /// Indices of `waiting`, in the order in which they will start; those that start together are one turn.
    var turns: [[Int]] = []

    /// `scripts` are those of this mutex that are not over, in the order in which they came.
    init(name: String, scripts: [ObservedScript], agentRuns: Bool) {
        self.name = name
        var lock = IsolationLock()
        let members = scripts.enumerated().map { id, script in
            IsolationLock.Member(id: id, taskID: script.state.taskID, fullIsolation: script.state.fullIsolation)
        }
        let running = members.filter { scripts[$0.id].standing == .running }
        let pending = members.filter { scripts[$0.id].standing == .pending }
        if agentRuns, !running.isEmpty {
            // Those who could enter beside the holders have done so. An order of arrival would not tell: a script may
            // have come to wait for one that has given up since, and wait for a later one now.
            let everybodyWaits = IsolationLock.Member(id: members.count, taskID: "", fullIsolation: true)
            lock.hold(everybodyWaits)
            for member in pending { _ = lock.request(member) }
            for member in running { lock.hold(member) }
            _ = lock.leave(everybodyWaits.id)
        } else {
            // As an agent does it that is started: what runs holds, the others ask in the order in which they came.
            for member in running { lock.hold(member) }
            for member in pending { _ = lock.request(member) }
        }
        self.holders = lock.holders.map { scripts[$0.id] }
        self.waiting = lock.waiting.map { scripts[$0.id] }
        let indices = Dictionary(uniqueKeysWithValues: lock.waiting.enumerated().map { ($1.id, $0) })
        self.turns = lock.turns().map { turn in turn.compactMap { indices[$0] } }
    }

    /// From 1; those that start together have the same one.
    func place(ofWaiting index: Int) -> Int {
        (self.turns.firstIndex { $0.contains(index) } ?? self.turns.count) + 1
    }

    /// Those that start before it, in that order.
    func scriptsBefore(waiting index: Int) -> [ObservedScript] {
        self.turns.prefix { !$0.contains(index) }.joined().map { self.waiting[$0] }
    }
}

/// What scripts there are, read from the agent's home directory alone, so that it can be told while the agent is down.
struct ScriptSurvey {
    /// A directory in the work directory that says of no script how it stands.
    struct Unclear {
        var ticket: String
        var reason: String
    }

    let work: String
    let past: String
    let pulse: AgentPulse
    private(set) var scripts: [ObservedScript] = []
    private(set) var unclear: [Unclear] = []

    init(homeDirectory: String, now: UTCMicroseconds) throws(CommandError) {
        self.work = homeDirectory + "/" + ScriptDirectories.work
        self.past = homeDirectory + "/" + ScriptDirectories.past
        self.pulse = AgentPulse(homeDirectory: homeDirectory, now: now)
        for name in try ScriptDirectory.entries(in: self.work).map(\.name) {
            do {
                if let script = try Self.inspect(self.work + "/" + name) { self.scripts.append(script) }
            } catch let error as CommandError {
                throw error
            } catch let error as WorkspaceFileError where error.number == EACCES {
                throw .notReadable(self.work + "/" + name, error.number)
            } catch {
                self.unclear.append(Unclear(ticket: name, reason: "\(error)"))
            }
        }
        self.scripts.sort { ($0.state.created, $0.ticket) < ($1.state.created, $1.ticket) }
    }

    /// By name of the mutex.
    var queues: [MutexQueue] {
        let concerned = self.scripts.filter { $0.standing == .pending || $0.standing == .running }
        return Dictionary(grouping: concerned) { $0.state.mutexName }
            .map { MutexQueue(name: $0.key, scripts: $0.value, agentRuns: self.pulse.state == .running) }
            .sorted { $0.name < $1.name }
    }

    /// A script that the server has completed, its ticket in any case; nil when none is kept.
    func pastScript(_ ticket: String) throws(CommandError) -> ObservedScript? {
        let names = try ScriptDirectory.entries(in: self.past).map(\.name)
        guard let name = Self.match(ticket, names),
            let directory = try ScriptDirectory.open(self.past + "/" + name)
        else { return nil }
        do {
            guard let state = try directory.readState() else { return nil }
            return ObservedScript(standing: .past, state: state)
        } catch {
            throw CommandError("The record of the past script '\(name)' in '\(self.past)' cannot be read: \(error).")
        }
    }

    /// The spelling that is meant: the exact one, else the first in another case.
    static func match(_ ticket: String, _ names: [String]) -> String? {
        names.contains(ticket) ? ticket : names.first { $0.lowercased() == ticket.lowercased() }
    }

    /// Nil for a directory that has gone meanwhile.
    private static func inspect(_ path: String) throws -> ObservedScript? {
        guard let directory = try ScriptDirectory.open(path) else { return nil }
        guard let (state, holder) = try directory.readStanding() else {
            guard !directory.isRemoved else { return nil }
            throw LauncherProtocolError(
                "there is no \(ScriptStateRecord.fileName): its start is being prepared, or failed, or a stock agent left it"
            )
        }
        let standing: ObservedScript.Standing =
            switch (state.phase, holder) {
            case (.complete, _): .over
            case (.running, .nobody): .lost
            case (.running, _): .running
            // A launcher holds it that has not begun: it has its mutex.
            case (.pending, .launcher), (.pending, .keeper): .running
            // It may have begun: its start is not synced to disk.
            case (.pending, _) where state.boot != currentBootID(): .lost
            case (.pending, _): .pending
            }
        let specification = try? directory.read(
            ScriptSpecification.fileName,
            limit: ScriptSpecification.maximumBytes
        ).flatMap { try ScriptSpecification(bytes: $0) }
        return ObservedScript(
            standing: standing,
            state: state,
            holder: holder,
            timeoutMilliseconds: specification?.mutexTimeoutMilliseconds
        )
    }
}

/// Directories that hold one script each.
enum ScriptDirectory {
    /// A directory, whatever its name is now: a completed script's is moved while it is open.
    struct Identity: Hashable {
        var device: dev_t
        var inode: ino_t
    }

    struct Entry {
        var name: String
        /// As the directory has it; that of another one by now when the name has been used again.
        var identity: Identity
    }

    /// Everything whose name can be a ticket's, by name; nothing when the directory is not there.
    static func entries(in path: String) throws(CommandError) -> [Entry] {
        guard let handle = opendir(path) else {
            let number = errno
            guard number != ENOENT else { return [] }
            throw .notReadable(path, number)
        }
        defer { closedir(handle) }
        var information = stat()
        fstat(dirfd(handle), &information)
        var entries: [Entry] = []
        while let entry = readdir(handle) {
            guard [DT_DIR, DT_UNKNOWN].contains(Int(entry.pointee.d_type)) else { continue }
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard (try? ScriptTicketName(name)) != nil else { continue }
            let identity = Identity(device: information.st_dev, inode: entry.pointee.d_ino)
            entries.append(Entry(name: name, identity: identity))
        }
        return entries.sorted { $0.name < $1.name }
    }

    /// Nil when it is gone, or no directory.
    static func open(_ path: String) throws(CommandError) -> WorkspaceDirectory? {
        let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        if directory >= 0 { return WorkspaceDirectory(takingOver: directory) }
        guard [ENOENT, ENOTDIR, ELOOP].contains(errno) else { throw .notReadable(path, errno) }
        return nil
    }
}

extension CommandError {
    static func notReadable(_ path: String, _ number: CInt) -> CommandError {
        let reason = "Could not read '\(path)': \(systemErrorText(number))."
        guard number == EACCES || number == EPERM else { return CommandError(.failure, reason) }
        return CommandError(.failure, reason + " Run the command as root or as the user of the agent.")
    }
}

/// Whether the agent of an instance runs, as far as its heartbeat tells.
struct AgentPulse {
    enum State: String {
        case running
        /// Stopped, or hung: its last heartbeat is too long ago.
        case silent
        /// It has never run with this home directory, or the file was removed.
        case unknown
    }

    /// It is written every ten seconds; a busy host may be late with it.
    private static let longestPauseSeconds: Int64 = 30

    var state = State.unknown
    var heartbeat: UTCMicroseconds?

    init(homeDirectory: String, now: UTCMicroseconds) {
        var information = stat()
        guard stat(homeDirectory + "/" + AgentHome.heartbeat, &information) == 0 else { return }
        let modified = information.st_mtim
        let beat = UTCMicroseconds(sinceEpoch: Int64(modified.tv_sec) * 1_000_000 + Int64(modified.tv_nsec) / 1000)
        self.heartbeat = beat
        let isRecent = now.sinceEpoch - beat.sinceEpoch <= Self.longestPauseSeconds * 1_000_000
        self.state = isRecent ? .running : .silent
    }
}
