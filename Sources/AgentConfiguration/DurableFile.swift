import Glibc

/// Whole-file reads and crash-safe whole-file writes.
package enum DurableFile {
    /// No configuration, index or key file is larger; more is refused before it is read into memory.
    package static let maximumBytes = 16 * 1024 * 1024

    package static func exists(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG
    }

    package static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("Could not read '\(path)'", errno) }
        defer { close(descriptor) }
        return try self.read(descriptor, "'\(path)'")
    }

    /// Everything that comes on standard input, as bounded as a file.
    package static func readStandardInput() throws(ConfigurationError) -> [UInt8] {
        try self.read(STDIN_FILENO, "standard input")
    }

    private static func read(_ descriptor: CInt, _ name: String) throws(ConfigurationError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("Could not read \(name)", errno) }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= self.maximumBytes else {
                throw ConfigurationError(.format, "The file \(name) is larger than \(self.maximumBytes) bytes.")
            }
        }
    }

    /// Creates a directory and its parents.
    package static func makeDirectory(_ path: String, mode: UInt32 = 0o755) throws(ConfigurationError) {
        if self.makeOneDirectory(path, mode: mode) { return }
        switch errno {
        case EEXIST: return
        case ENOENT where path != "/" && path.contains("/"):
            try self.makeDirectory(FilePathText.directory(of: path), mode: mode)
            guard self.makeOneDirectory(path, mode: mode) || errno == EEXIST else {
                throw .system("Could not create the directory '\(path)'", errno)
            }
        default: throw .system("Could not create the directory '\(path)'", errno)
        }
    }

    /// Says in `errno` why not.
    private static func makeOneDirectory(_ path: String, mode: UInt32) -> Bool {
        guard mkdir(path, mode) == 0 else { return false }
        guard geteuid() == 0 else { return true }
        // By descriptor and without following links: the folder's owner can exchange the new directory at any time.
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        self.giveToOwnerOfFolder(of: path, descriptor)
        return true
    }

    /// What root makes in somebody's folder is theirs: root sets up instances that the user `tentacle` runs.
    fileprivate static func giveToOwnerOfFolder(of path: String, _ descriptor: CInt) {
        var folder = stat()
        guard geteuid() == 0, stat(FilePathText.directory(of: path), &folder) == 0, folder.st_uid != 0 else { return }
        _ = fchown(descriptor, folder.st_uid, folder.st_gid)
    }

    /// Replaces the file at once: after a crash either the old content or the new one is there.
    package static func write(_ bytes: [UInt8], to path: String, mode: UInt32) throws(ConfigurationError) {
        try StagedFile(bytes, for: path, mode: mode).commit()
    }

    /// Runs `body` while no other `tentacle` process changes files of the same directory.
    ///
    /// The lock is taken on the directory itself: the files are replaced by rename, so a lock on one of them would stay
    /// with the old inode, and a lock file of its own would be left behind.
    package static func withLock<Result>(onDirectoryOf path: String, _ body: () throws -> Result) throws -> Result {
        let directory = FilePathText.directory(of: path)
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ConfigurationError.system("Could not open '\(directory)'", errno) }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw ConfigurationError.system("Could not lock '\(directory)'", errno) }
        }
        return try body()
    }
}

/// New content of a file, already safe on disk beside it, put in its place by `commit`.
///
/// Registration stages the configuration *before* the server is told of this agent, so that a full disk or a missing
/// permission is found out while nothing has happened yet. Dropped without `commit`, it leaves nothing behind.
///
/// A file of one's own in a directory that is somebody else's, and one that is a mount point (as containers have it), can
/// only be written over, as the stock agent writes every file: a power cut in between can then leave half of it.
package struct StagedFile: ~Copyable {
    private let bytes: [UInt8]
    /// Beside the target; nil where nothing may be put there.
    private let temporary: String?
    private let target: String
    private var isCommitted = false

    package init(_ bytes: [UInt8], for path: String, mode: UInt32) throws(ConfigurationError) {
        // A symbolic link stays one: what it points to is replaced.
        let target = Self.resolvingLinks(path)
        self.bytes = bytes
        self.target = target
        let temporary = "\(target).\(getpid()).\(UInt32.random(in: 0 ... .max)).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            let failure = ConfigurationError.system("Could not write '\(path)'", errno)
            guard failure.code == .permission, access(target, W_OK) == 0 else { throw failure }
            self.temporary = nil
            return
        }
        defer { close(descriptor) }
        do throws(ConfigurationError) {
            try Self.applyOwnerAndMode(of: target, otherwise: mode, to: descriptor)
            try Self.writeAll(bytes, to: descriptor, path: path)
        } catch {
            unlink(temporary)
            throw error
        }
        self.temporary = temporary
    }

    package consuming func commit() throws(ConfigurationError) {
        guard let temporary = self.temporary else { return try self.overwrite() }
        guard rename(temporary, self.target) == 0 else {
            guard errno == EBUSY else { throw .system("Could not write '\(self.target)'", errno) }
            return try self.overwrite()
        }
        self.isCommitted = true
        let directory = open(FilePathText.directory(of: self.target), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }

    private func overwrite() throws(ConfigurationError) {
        let descriptor = open(self.target, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw .system("Could not write '\(self.target)'", errno) }
        defer { close(descriptor) }
        try Self.writeAll(self.bytes, to: descriptor, path: self.target)
        guard ftruncate(descriptor, self.bytes.count) == 0, fsync(descriptor) == 0 else {
            throw .system("Could not write '\(self.target)'", errno)
        }
    }

    deinit {
        if !self.isCommitted, let temporary = self.temporary { unlink(temporary) }
    }

    static func resolvingLinks(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// An existing file keeps its owner and mode, without the bits that are wider than asked for.
    private static func applyOwnerAndMode(
        of target: String,
        otherwise mode: UInt32,
        to descriptor: CInt
    ) throws(ConfigurationError) {
        var existing = stat()
        var wanted = mode
        if stat(target, &existing) == 0 {
            wanted = existing.st_mode & mode
            // Only root can give files away; for anybody else the owner is the caller already, or stays so.
            _ = fchown(descriptor, existing.st_uid, existing.st_gid)
        } else {
            DurableFile.giveToOwnerOfFolder(of: target, descriptor)
        }
        guard fchmod(descriptor, wanted) == 0 else { throw .system("Could not set the mode of '\(target)'", errno) }
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: CInt, path: String) throws(ConfigurationError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .system("Could not write '\(path)'", errno) }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw .system("Could not write '\(path)'", errno) }
    }
}

extension ConfigurationError {
    /// An operating system error as one line.
    static func system(_ what: String, _ code: CInt) -> ConfigurationError {
        let reason = String(cString: strerror(code))
        switch code {
        case EACCES, EPERM, EROFS: return ConfigurationError(.permission, "\(what): \(reason).")
        case ENOSPC, EDQUOT: return ConfigurationError(.file, "\(what): \(reason). Free some space and try again.")
        default: return ConfigurationError(.file, "\(what): \(reason).")
        }
    }
}
