package import Glibc

/// A system call on a file of the workspace failed.
package struct WorkspaceFileError: Error, Equatable, CustomStringConvertible {
    package var operation: String
    package var file: String
    package var number: Int32

    package init(_ operation: String, _ file: String, number: Int32) {
        self.operation = operation
        self.file = file
        self.number = number
    }

    package var reason: String { systemErrorText(number) }
    package var description: String { "cannot \(operation) \(file): \(reason)" }
}

/// The C library's words for an errno.
package func systemErrorText(_ number: Int32) -> String {
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
}

extension UTCMicroseconds {
    package static var now: UTCMicroseconds {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return UTCMicroseconds(sinceEpoch: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}

/// One script's directory, held open: what agent and launcher both do with its files.
///
/// **The lock.** Whoever may change `state.json` holds a write lock on `state.lock`, a file of its own because
/// `state.json` is replaced by rename and a lock belongs to an inode. The launcher takes a *process* lock (`F_SETLK`):
/// it ends with the process however that ends, no child inherits it, and `F_GETLK` names the holder's process id, so a
/// cancel needs to trust no written number. The agent takes an *open file description* lock (`F_OFD_SETLK`) for the
/// moment in which it ends a script that has no launcher: its threads open and close this file all the time, which
/// would drop a process lock. The two kinds exclude each other. Asking (`F_GETLK`) takes nothing.
/// The launcher locks the first byte; its keeper, which ends the script when the launcher is killed, the second one; the
/// agent all of them. So the script counts as alive until its processes are gone, not only its launcher.
/// When the holder goes, the kernel closes the descriptor: watchers of the file get IN_CLOSE_WRITE.
package struct WorkspaceDirectory: ~Copyable, Sendable {
    package static let lockFileName = "state.lock"
    /// Room for a script's last lines, held by its launcher.
    package static let reserveFileName = ".reserve"

    package let descriptor: Int32

    /// Takes over a directory descriptor; it is closed at the end.
    package init(takingOver descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    package enum LockHolder: Equatable, Sendable {
        case nobody
        /// The agent, for a moment.
        case agent
        case launcher(pid_t)
        /// What a launcher that was killed has left to end its script.
        case keeper(pid_t)
    }

    package func lockHolder() throws(WorkspaceFileError) -> LockHolder {
        try openLock()?.holder() ?? .nobody
    }

    /// The lock to ask again and again, also when somebody has removed the directory meanwhile; nil when there is none.
    package func openLock() throws(WorkspaceFileError) -> WorkspaceLock? {
        let file = unsafe openat(descriptor, Self.lockFileName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw WorkspaceFileError("open", Self.lockFileName, number: errno)
        }
        return WorkspaceLock(descriptor: file)
    }

    /// True when the directory is in no other directory any more.
    package var isRemoved: Bool {
        var facts = stat()
        return unsafe fstat(descriptor, &facts) == 0 && facts.st_nlink == 0
    }

    package enum LockKind: Sendable { case process, openFileDescription }

    /// The lock, or nil when somebody else holds it.
    package func claim(_ kind: LockKind) throws(WorkspaceFileError) -> WorkspaceClaim? {
        let file = unsafe openat(descriptor, Self.lockFileName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw WorkspaceFileError("open", Self.lockFileName, number: errno) }
        let length: off_t = kind == .process ? 1 : 0
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: length, l_pid: 0)
        // F_OFD_SETLK is 37 on every Linux; the C library's header hides it from Swift.
        guard unsafe fcntl(file, kind == .process ? F_SETLK : 37, &lock) == 0 else {
            let number = errno
            close(file)
            if number == EAGAIN || number == EACCES { return nil }
            throw WorkspaceFileError("lock", Self.lockFileName, number: number)
        }
        return WorkspaceClaim(descriptor: file)
    }

    /// The whole file, or nil when it is absent.
    package func read(_ name: String, limit: Int) throws(WorkspaceFileError) -> [UInt8]? {
        let file = unsafe openat(descriptor, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw WorkspaceFileError("open", name, number: errno)
        }
        defer { close(file) }
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw WorkspaceFileError("read", name, number: errno) }
            guard count > 0 else { return contents }
            contents += buffer[..<count]
            guard contents.count <= limit else { throw WorkspaceFileError("read", name, number: EFBIG) }
        }
    }

    /// Replaces the file at once or not at all: temporary file, rename.
    ///
    /// `durable` syncs file and directory before this returns. The temporary file is not truncated first: blocks that
    /// `reserveNext` set aside are overwritten, so that a full disk cannot refuse the last record.
    package func replace(
        _ name: String,
        with contents: [UInt8],
        mode: mode_t = 0o644,
        durable: Bool
    ) throws(WorkspaceFileError) {
        let next = name + ".next"
        let file = try openNext(next, mode: mode)
        defer { close(file) }
        try Self.write(contents, to: file, name: next)
        guard ftruncate(file, off_t(contents.count)) == 0 else {
            throw WorkspaceFileError("write", next, number: errno)
        }
        if durable, fsync(file) != 0 { throw WorkspaceFileError("sync", next, number: errno) }
        guard unsafe renameat(descriptor, next, descriptor, name) == 0 else {
            throw WorkspaceFileError("rename", next, number: errno)
        }
        if durable, fsync(descriptor) != 0 { throw WorkspaceFileError("sync the directory of", name, number: errno) }
    }

    /// Sets blocks aside for the next `replace` of this file, so that the last one works on a full disk.
    package func reserveNext(of name: String, bytes: Int) {
        guard let file = try? openNext(name + ".next", mode: 0o644) else { return }
        defer { close(file) }
        _ = posix_fallocate(file, 0, off_t(bytes))
    }

    /// The temporary file of a replacement, new or left from before.
    ///
    /// One that another user left (a launcher of root that was killed) is removed first; so is one with a second name,
    /// which could be anybody's file.
    private func openNext(_ name: String, mode: mode_t) throws(WorkspaceFileError) -> Int32 {
        for _ in 0..<2 {
            let file = unsafe openat(descriptor, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode)
            if file >= 0 {
                var facts = stat()
                if unsafe fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_nlink == 1 {
                    return file
                }
                close(file)
            } else if errno != EACCES, errno != ELOOP, errno != ENXIO {
                throw WorkspaceFileError("create", name, number: errno)
            }
            remove(name)
        }
        throw WorkspaceFileError("trust", name, number: EPERM)
    }

    package func remove(_ name: String) { _ = unsafe unlinkat(descriptor, name, 0) }

    package func readState() throws -> ScriptStateRecord? {
        guard let bytes = try read(ScriptStateRecord.fileName, limit: ScriptStateRecord.maximumBytes) else {
            return nil
        }
        return try ScriptStateRecord(bytes: bytes)
    }

    /// The record and who holds the lock, of one moment; nil when there is no record.
    ///
    /// Running and held by nobody means lost, and nothing else: a launcher that begins or ends between the two looks does
    /// not pass for that.
    package func readStanding() throws -> (state: ScriptStateRecord, holder: LockHolder)? {
        // The lock before the record: whoever gives the lock back has written the record.
        var holder = try lockHolder()
        while let state = try readState() {
            guard state.phase == .running, holder == .nobody else { return (state, holder) }
            // Whoever writes Running has taken the lock before.
            holder = try lockHolder()
            guard holder == .nobody else { continue }
            return try readState().map { ($0, .nobody) }
        }
        return nil
    }

    package func writeState(_ state: ScriptStateRecord, durable: Bool) throws(WorkspaceFileError) {
        do {
            try replace(ScriptStateRecord.fileName, with: state.encoded(), durable: durable)
        } catch {
            // A script has put a directory in its place.
            guard error.number == EISDIR else { throw error }
            setUnreadableStateAside()
            try replace(ScriptStateRecord.fileName, with: state.encoded(), durable: durable)
        }
    }

    static func write(_ contents: [UInt8], to file: Int32, name: String) throws(WorkspaceFileError) {
        var done = 0
        while done < contents.count {
            let rest = contents[done...]
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw WorkspaceFileError("write", name, number: count == 0 ? ENOSPC : errno) }
            done += count
        }
    }
}

/// The file that is locked, open for asking who holds it.
package struct WorkspaceLock: ~Copyable, Sendable {
    fileprivate let descriptor: Int32

    deinit { close(descriptor) }

    package func holder() throws(WorkspaceFileError) -> WorkspaceDirectory.LockHolder {
        switch try holder(from: 0, length: 1) {
        case .some(let process): return process > 0 ? .launcher(process) : .agent
        case .none: break
        }
        guard let process = try holder(from: 1, length: 0) else { return .nobody }
        return process > 0 ? .keeper(process) : .agent
    }

    private func holder(from: off_t, length: off_t) throws(WorkspaceFileError) -> pid_t? {
        var query = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: from, l_len: length, l_pid: 0)
        guard unsafe fcntl(descriptor, F_GETLK, &query) == 0 else {
            throw WorkspaceFileError("ask for the lock on", WorkspaceDirectory.lockFileName, number: errno)
        }
        return query.l_type == Int16(F_UNLCK) ? nil : query.l_pid
    }
}

/// The lock on a script; given up at the end.
package struct WorkspaceClaim: ~Copyable, Sendable {
    package let descriptor: Int32

    fileprivate init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Gives the lock up here and not at some earlier last use.
    package consuming func release() {}
}

/// The one writer of `Output.log`: whole batches of records, each with one `write`.
package struct OutputLogWriter: ~Copyable, Sendable {
    package let descriptor: Int32
    private let isAlone: Bool

    /// `isAlone` is true for whoever writes by right, as holder of the lock or while no launcher can be there.
    package init(
        _ directory: borrowing WorkspaceDirectory,
        isAlone: Bool = true
    ) throws(WorkspaceFileError) {
        self.isAlone = isAlone
        let name = ScriptSpecification.logFileName
        let flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW
        descriptor = unsafe openat(directory.descriptor, name, flags, 0o666)
        guard descriptor >= 0 else { throw WorkspaceFileError("open", name, number: errno) }
        var facts = stat()
        // Another name for the same file could be anybody's: the launcher writes as root (a planted hard link).
        guard unsafe fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_nlink <= 1 else {
            throw WorkspaceFileError("trust", name, number: EPERM)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// All of the records or, when the disk is full, only whole ones of them and the error.
    package func append(_ records: [UInt8]) throws(WorkspaceFileError) {
        guard !records.isEmpty else { return }
        let cut = isAlone ? try cutTornRecord() : false
        let records = cut ? OutputLogBatch.notice(Self.tornText, at: .now) + records : records
        let start = lseek(descriptor, 0, SEEK_END)
        do {
            try WorkspaceDirectory.write(records, to: descriptor, name: ScriptSpecification.logFileName)
        } catch {
            let written = Int(lseek(descriptor, 0, SEEK_END) - start)
            let whole = records.prefix(max(0, written)).lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
            // When this fails too, the next append cuts it.
            _ = ftruncate(descriptor, start + off_t(whole))
            throw error
        }
    }

    package static let tornText = "A record that was not written whole is left out here."

    /// A writer that died in the middle, or whose disk did, leaves half a record, which no reader is given.
    ///
    /// The next one must not grow onto it. What another process is writing at this moment looks the same.
    ///
    /// - Returns: false when there was none.
    private func cutTornRecord() throws(WorkspaceFileError) -> Bool {
        let end = lseek(descriptor, 0, SEEK_END)
        var last: UInt8 = 0x0A
        _ = unsafe pread(descriptor, &last, 1, max(0, end - 1))
        guard last != 0x0A else { return false }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var whole = end
        while whole > 0 {
            let from = max(0, whole - off_t(buffer.count))
            let count = unsafe pread(descriptor, &buffer, Int(whole - from), from)
            guard count > 0 else { throw WorkspaceFileError("read", ScriptSpecification.logFileName, number: errno) }
            let newline = buffer[..<count].lastIndex(of: 0x0A)
            whole = newline.map { from + off_t($0) + 1 } ?? from
            if newline != nil { break }
        }
        guard ftruncate(descriptor, whole) == 0 else {
            throw WorkspaceFileError("cut", ScriptSpecification.logFileName, number: errno)
        }
        return true
    }

    package func append(_ entries: [(OutputLogRecord.Source, String)]) throws(WorkspaceFileError) {
        var batch = OutputLogBatch()
        batch.begin(at: .now)
        for (source, text) in entries { batch.append(source, text) }
        try append(batch.bytes)
    }

    package func sync() { _ = fdatasync(descriptor) }

    /// Bytes written by whoever wrote it.
    package var length: Int64 { Int64(max(0, lseek(descriptor, 0, SEEK_END))) }

    /// What is left on the log's file system for users without privileges; nil when that cannot be told.
    package var freeBytes: Int64? {
        var facts = statvfs()
        guard unsafe fstatvfs(descriptor, &facts) == 0 else { return nil }
        return Int64(clamping: UInt64(facts.f_bavail) * UInt64(facts.f_frsize))
    }
}

/// The kernel's name for the time since it was started; empty when it gives none.
package func currentBootID() -> String {
    let file = unsafe open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = unsafe Glibc.read(file, &buffer, buffer.count)
    return String(decoding: buffer[..<max(0, count)].prefix { $0 != 0x0A }, as: UTF8.self)
}
