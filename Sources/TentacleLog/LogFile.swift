import AgentConfiguration
import Glibc
import Synchronization

/// Why a line could not be written into the log file.
struct LogFileError: Error {
    var reason: String

    init(_ reason: String) { self.reason = reason }

    static func system(_ code: CInt) -> LogFileError { LogFileError(String(cString: strerror(code))) }
}

/// `OctopusTentacle.txt` in a log folder: one file for all processes of an instance, a new one each day (spec
/// tentacle-cli.md 9.3).
///
/// Opened for each line, so that several processes can append and anybody can move the file away. Whoever writes the first
/// line of a day moves the file of the day before; a lock on that file sees to it that only one does. The others go on
/// writing into the file that they have open, whatever it is called by now, so no line is lost.
///
/// Root writes here for agents of other users, who own the folder: nothing in it is followed that leads elsewhere.
final class LogFile: Sendable {
    static let name = "OctopusTentacle.txt"
    /// Kept beside the file, `OctopusTentacle.0.txt` being the newest.
    static let archiveCount = 7
    /// Nobody else reads what an agent does.
    private static let mode: mode_t = 0o640
    /// Files that vanish while they are looked at; more often than this it is no coincidence.
    private static let attempts = 5

    let directory: String
    var path: String { "\(self.directory)/\(Self.name)" }

    /// The file of the last line, so that its day need not be read again.
    private let known = Mutex<Known?>(nil)

    private struct Known {
        var device: UInt
        var inode: UInt
        var day: String
    }

    init(directory: String) {
        self.directory = directory
    }

    func append(_ level: LogLevel, _ message: String) throws(LogFileError) {
        let folder = try self.openFolder()
        defer { close(folder) }
        for _ in 0..<Self.attempts {
            let file = try self.open(in: folder)
            defer { close(file) }
            let time = LocalTime.now
            if try self.isOld(file, on: time.day), self.rotate(file, in: folder) { continue }
            // In one piece, so that lines of several processes do not mix.
            let code = TextOutput.write(Self.line(level, message, time), to: file)
            guard code == 0 else { throw .system(code) }
            return
        }
        throw LogFileError("the file is exchanged all the time")
    }

    private static func line(_ level: LogLevel, _ message: String, _ time: LocalTime) -> String {
        let process = Self.padded("\(getpid())")
        let thread = Self.padded("\(pthread_self() % 100_000)")
        let text = Self.withoutFalseStarts(message)
        return "\(time.day) \(time.clock)  \(process)  \(thread) \(Self.padded(level.name))  \(text)\n"
    }

    /// A message may go on over several lines, but none of them may look like another message: parts of it come from peers.
    private static func withoutFalseStarts(_ message: String) -> String {
        guard message.utf8.contains(UInt8(ascii: "\n")) else { return message }
        return message.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map { index, line in
            index > 0 && LocalTime.day(ofLine: Array(line.utf8.prefix(10))) != nil ? "  \(line)" : "\(line)"
        }.joined(separator: "\n")
    }

    private static func padded(_ text: String) -> String {
        String(repeating: " ", count: max(0, 5 - text.utf8.count)) + text
    }

    // MARK: Folder and file

    /// Made when it is not there.
    private func openFolder() throws(LogFileError) -> CInt {
        if let folder = try self.openExistingFolder() { return folder }
        do throws(ConfigurationError) {
            try DurableFile.makeDirectory(self.directory)
        } catch {
            throw LogFileError(error.message)
        }
        guard let folder = try self.openExistingFolder() else { throw .system(ENOENT) }
        return folder
    }

    /// Nil when there is none.
    ///
    /// A link is a way to another disk that an administrator laid, or the agent's own user; nobody else's is followed.
    private func openExistingFolder() throws(LogFileError) -> CInt? {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let folder = Glibc.open(self.directory, flags | O_NOFOLLOW)
        if folder >= 0 { return folder }
        guard errno != ENOENT else { return nil }
        var link = stat()
        guard errno == ELOOP || errno == ENOTDIR, lstat(self.directory, &link) == 0, link.st_mode & S_IFMT == S_IFLNK
        else { throw .system(errno) }
        guard link.st_uid == 0 || link.st_uid == geteuid() else {
            throw LogFileError("the folder is a link that belongs to another user")
        }
        let target = Glibc.open(self.directory, flags)
        guard target >= 0 else { throw .system(errno) }
        return target
    }

    private func open(in folder: CInt) throws(LogFileError) -> CInt {
        // A pipe that somebody put there must not hold us up.
        let flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        for _ in 0..<Self.attempts {
            let existing = openat(folder, Self.name, flags)
            if existing >= 0 {
                do throws(LogFileError) {
                    try Self.check(existing, in: folder)
                    return existing
                } catch {
                    close(existing)
                    throw error
                }
            }
            guard errno == ENOENT else {
                throw errno == ELOOP ? LogFileError("it is a link, which is not followed") : .system(errno)
            }
            let new = openat(folder, Self.name, flags | O_CREAT | O_EXCL, Self.mode)
            if new >= 0 {
                Self.giveToOwner(of: folder, new)
                return new
            }
            guard errno == EEXIST else { throw .system(errno) }
        }
        throw LogFileError("the file is exchanged all the time")
    }

    /// What root makes in somebody's folder is theirs.
    private static func giveToOwner(of folder: CInt, _ file: CInt) {
        var owner = stat()
        guard geteuid() == 0, fstat(folder, &owner) == 0, owner.st_uid != 0 else { return }
        _ = fchown(file, owner.st_uid, owner.st_gid)
    }

    /// A plain file of nobody's but ours, known by no other name.
    private static func check(_ file: CInt, in folder: CInt) throws(LogFileError) {
        var facts = stat()
        var owner = stat()
        guard fstat(file, &facts) == 0, fstat(folder, &owner) == 0 else { throw .system(errno) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw LogFileError("it is not a plain file") }
        guard facts.st_nlink <= 1 else { throw LogFileError("it has a second name elsewhere") }
        guard [0, geteuid(), owner.st_uid].contains(facts.st_uid) else {
            throw LogFileError("it belongs to another user")
        }
    }

    // MARK: A file a day

    private func isOld(_ file: CInt, on today: String) throws(LogFileError) -> Bool {
        var facts = stat()
        guard fstat(file, &facts) == 0 else { throw .system(errno) }
        let (device, inode) = (UInt(facts.st_dev), UInt(facts.st_ino))
        let day = self.known.withLock { known in
            if let known, known.device == device, known.inode == inode { return known.day }
            let day = Self.day(of: file, facts) ?? today
            known = Known(device: device, inode: inode, day: day)
            return day
        }
        return day < today
    }

    /// That of its first line: the time of the last change is the last writer's, who may have been slow.
    private static func day(of file: CInt, _ facts: stat) -> String? {
        guard facts.st_size > 0 else { return nil }
        var start = [UInt8](repeating: 0, count: 10)
        let count = pread(file, &start, start.count, 0)
        return LocalTime.day(ofLine: Array(start.prefix(max(0, count)))) ?? LocalTime(facts.st_mtim).day
    }

    /// False when the file has to serve for this line, too: another process is about to move it, or it cannot be moved.
    private func rotate(_ file: CInt, in folder: CInt) -> Bool {
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { return false }
        defer { flock(file, LOCK_UN) }
        var facts = stat()
        var current = stat()
        guard fstat(file, &facts) == 0 else { return false }
        guard fstatat(folder, Self.name, &current, AT_SYMLINK_NOFOLLOW) == 0, current.st_ino == facts.st_ino,
            current.st_dev == facts.st_dev
        else { return true }
        for number in stride(from: Self.archiveCount - 1, to: 0, by: -1) {
            renameat(folder, Self.archive(number - 1), folder, Self.archive(number))
        }
        return renameat(folder, Self.name, folder, Self.archive(0)) == 0
    }

    private static func archive(_ number: Int) -> String { "OctopusTentacle.\(number).txt" }
}
