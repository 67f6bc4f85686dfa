internal import CLinux
internal import FoundationEssentials
internal import Glibc
internal import LauncherProtocol

/// Files to and from the server (tentacle-services.md 12).
package struct FileTransfer: Sendable {
    package struct Uploaded: Sendable, Equatable {
        package var fullPath: String
        /// SHA-1 of the stored file, 40 lower-case digits; nil when nothing was sent.
        package var hash: String?
        package var length: Int64
    }

    /// A file that can be read, and how long it is now.
    package struct Download: Sendable, Equatable {
        package var path: String
        package var length: Int64
    }

    /// Makes the SHA-1 of one upload; handed in, so that this module needs no crypto library.
    package typealias MakeDigest = @Sendable () -> any UploadDigest

    private let homeDirectory: String?
    private let disk: DiskSpaceCheck
    private let makeDigest: MakeDigest

    package init(
        homeDirectory: String?,
        disk: DiskSpaceCheck = DiskSpaceCheck(),
        makeDigest: @escaping MakeDigest
    ) {
        self.homeDirectory = homeDirectory
        self.disk = disk
        self.makeDigest = makeDigest
    }

    /// Stores what was received: a sibling temporary file, then rename, so that nobody sees half a file.
    package func upload(to path: String, _ contents: StagedStream?) async throws -> Uploaded {
        let fullPath = try resolve(path)
        guard let contents else { return Uploaded(fullPath: fullPath, hash: nil, length: 0) }
        let transfer = self
        return try await offThePool { try transfer.store(contents, at: fullPath) }
    }

    /// What `path` names, or nil when it is no file that exists.
    package func download(_ path: String) async throws -> Download? {
        let fullPath = try resolve(path)
        return try await offThePool {
            let file = unsafe clinux_open(fullPath, O_RDONLY | O_NONBLOCK, 0)
            if file == -ENOENT || file == -ENOTDIR { return nil }
            guard file >= 0 else { throw ScriptWorkspaces.failure("open", fullPath, -file) }
            defer { close(file) }
            var facts = stat()
            guard unsafe fstat(file, &facts) == 0, facts.st_mode & S_IFMT != S_IFDIR else { return nil }
            return Download(path: fullPath, length: Int64(facts.st_size))
        }
    }

    /// `\` is `/`; relative paths are below the home directory; `.` and `..` go by the text alone; no confinement.
    package func resolve(_ path: String) throws -> String {
        var path = path.replacing("\\", with: "/")
        if !path.hasPrefix("/") {
            guard let homeDirectory, !homeDirectory.isEmpty else {
                throw ScriptExecutionError(.noHomeDirectory, "The Tentacle home directory has not been set.")
            }
            path = homeDirectory + "/" + path
        }
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        guard !path.utf8.contains(0) else { throw ScriptExecutionError(.file, "The path contains a NUL byte.") }
        return "/" + parts.joined(separator: "/")
    }

    private func store(_ contents: StagedStream, at path: String) throws -> Uploaded {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let parent = slash == path.startIndex ? "/" : String(path[..<slash])
        do {
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        } catch {
            throw ScriptExecutionError(.file, "cannot create the directory \(parent): \(error)")
        }
        try disk.require(DiskSpaceCheck.uploadBytes(length: contents.length), in: parent)
        let temporary = parent + "/.upload-" + UUID().uuidString
        let digest = makeDigest()
        do {
            let length = try place(contents, at: temporary, digest)
            guard unsafe rename(temporary, path) == 0 else {
                throw ScriptWorkspaces.failure("replace", path, errno)
            }
            return Uploaded(fullPath: path, hash: digest.finish(), length: length)
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }

    /// Makes the bytes a file and digests them; returns how many there are.
    private func place(_ contents: StagedStream, at temporary: String, _ digest: any UploadDigest) throws -> Int64 {
        let file = unsafe clinux_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
        guard file >= 0 else { throw ScriptWorkspaces.failure("create", temporary, -file) }
        defer { close(file) }
        var length: Int64 = 0
        // A spool file on the same file system becomes the upload itself: nothing is copied. It takes over the mode of
        // the file just made, since spool files are private.
        var facts = stat()
        if case .file(let spool, _) = contents, unsafe fstat(file, &facts) == 0, unsafe rename(spool, temporary) == 0 {
            guard unsafe chmod(temporary, facts.st_mode & 0o777) == 0 else {
                throw ScriptWorkspaces.failure("change the mode of", temporary, errno)
            }
            try StagedStream.file(path: temporary, length: contents.length).forEachChunk { chunk in
                digest.update(chunk)
                length += Int64(chunk.count)
            }
            return length
        }
        try contents.forEachChunk { chunk in
            try FileBytes.write(chunk, to: file, name: temporary)
            digest.update(chunk)
            length += Int64(chunk.count)
        }
        return length
    }
}

/// A SHA-1 fed piece by piece.
package protocol UploadDigest: AnyObject {
    func update(_ bytes: ArraySlice<UInt8>)
    /// 40 lower-case hexadecimal digits; called once.
    func finish() -> String
}
