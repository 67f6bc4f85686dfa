internal import CLinux
internal import Glibc

/// Unpacks packages into a directory (spec deployment-steps.md, extraction rules).
///
/// Nothing is ever written outside of the directory: names are checked, and every file is opened beneath it without
/// following links, so that not even a link that lies there already leads out. Links in archives are not made.
package struct PackageExtractor: Sendable {
    /// More is an attack: no package has as many files.
    private static let maximumEntries = 5_000_000

    /// Receives what an operator should know and is no error.
    private let warn: @Sendable (String) -> Void

    package init(warn: @escaping @Sendable (String) -> Void) {
        self.warn = warn
    }

    /// Unpacks a NuGet package's payload, or all of another zip file, over what is there.
    ///
    /// - Parameters:
    ///   - package: A zip file; one that ends in `.nupkg` is a NuGet package.
    ///   - directory: Absolute; it is there.
    /// - Returns: The number of files written.
    /// - Throws: `PackageError`; files that were written by then stay.
    package func extract(_ package: String, to directory: String) throws(PackageError) -> Int {
        try ArchiveReader.withUTF8 { () throws(PackageError) in try self.extractAll(package, to: directory) }
    }

    private func extractAll(_ package: String, to directory: String) throws(PackageError) -> Int {
        let isNuGet = package.lowercased().hasSuffix(".nupkg")
        let root = unsafe Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { throw Self.systemFailure("Could not open '\(directory)'", errno) }
        defer { close(root) }
        let reader = try ArchiveReader(package)
        let now = time(nil)
        var entries = 0
        var files = 0
        while let entry = try reader.next() {
            entries += 1
            guard entries <= Self.maximumEntries else {
                throw PackageError(.malicious, "The package has more than \(Self.maximumEntries) entries.")
            }
            if isNuGet, EntryName.isPackagingOfNuGet(entry.name) { continue }
            let name = isNuGet ? EntryName.percentDecoded(entry.name) : entry.name
            let parts = try EntryName.parts(of: name, extractingTo: directory)
            guard let last = parts.last else { continue }
            switch entry.kind {
            case .directory: close(try Self.openDirectory(parts[...], beneath: root, of: directory))
            case .other: self.warn("Cannot create symbolic link: \(name), links in packages are not extracted")
            case .file:
                let folder = try Self.openDirectory(parts.dropLast(), beneath: root, of: directory)
                defer { close(folder) }
                let path = "\(directory)/\(parts.joined(separator: "/"))"
                let file = try Self.create(last, entry.permissions, in: folder, path)
                defer { close(file) }
                try Self.write(reader, to: file, path)
                if !isNuGet || entry.modified.map({ $0 <= now }) ?? false { Self.setTime(entry.modified, of: file) }
                files += 1
            }
        }
        return files
    }

    /// Made with those above it when it is not there; to be closed.
    private static func openDirectory(
        _ parts: ArraySlice<String>,
        beneath root: Int32,
        of directory: String
    ) throws(PackageError) -> Int32 {
        let path = parts.isEmpty ? "." : parts.joined(separator: "/")
        var descriptor = unsafe clinux_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0)
        if descriptor == -ENOENT, let last = parts.last {
            let parent = try Self.openDirectory(parts.dropLast(), beneath: root, of: directory)
            defer { close(parent) }
            guard unsafe mkdirat(parent, last, 0o777) == 0 || errno == EEXIST else {
                throw Self.systemFailure("Could not create '\(directory)/\(path)'", errno)
            }
            descriptor = unsafe clinux_open_beneath(parent, last, O_RDONLY | O_DIRECTORY, 0)
        }
        guard descriptor >= 0 else { throw Self.systemFailure("Could not open '\(directory)/\(path)'", -descriptor) }
        return descriptor
    }

    private static func create(
        _ name: String,
        _ permissions: UInt32,
        in folder: Int32,
        _ path: String
    ) throws(PackageError) -> Int32 {
        // The owner can always read and replace it; set-user-id and its like were left behind.
        let mode = permissions == 0 ? 0o666 : permissions | 0o600
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_NONBLOCK
        let file = unsafe clinux_open_beneath(folder, name, flags, mode)
        guard file >= 0 else { throw Self.systemFailure("Could not write '\(path)'", -file) }
        var information = stat()
        guard unsafe fstat(file, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            close(file)
            throw PackageError(.file, "Could not write '\(path)': it is there already, and is no file.")
        }
        return file
    }

    private static func write(_ reader: ArchiveReader, to file: Int32, _ path: String) throws(PackageError) {
        try unsafe reader.readContent { (block: UnsafeRawBufferPointer, offset: Int64) throws(PackageError) in
            var written = 0
            while written < block.count {
                let start = unsafe block.baseAddress.map { unsafe $0 + written }
                let count = unsafe pwrite(file, start, block.count - written, off_t(offset) + written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw Self.systemFailure("Could not write '\(path)'", errno) }
                written += count
            }
        }
    }

    private static func setTime(_ seconds: Int?, of file: Int32) {
        guard let seconds else { return }
        let times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
        _ = unsafe futimens(file, times)
    }

    private static func systemFailure(_ what: String, _ code: Int32) -> PackageError {
        if code == EXDEV || code == ELOOP {
            return PackageError(.malicious, "\(what): a link on the way leads elsewhere.")
        }
        return PackageError(.file, "\(what): \(unsafe String(cString: strerror(code))).")
    }
}
