import FoundationEssentials
import NIOCore
import Synchronization

#if canImport(Glibc)
package import Glibc
#else
package import Musl
#endif

/// A private directory (mode 0700) for the data streams of calls under way.
///
/// It is made when the first stream comes and removed with this object. What a killed process leaves behind lies under
/// one name, `halibut-*`, in the parent directory.
public final class SpoolDirectory: Sendable {
    private let parent: String
    private let path = Mutex<String?>(nil)
    private let counter = Atomic<UInt64>(0)
    /// The system call writev(2), or a test's: how many bytes were written, or the negative error number.
    fileprivate let writeVectors: @Sendable (CInt, UnsafeBufferPointer<iovec>) -> Int
    fileprivate let reservedBytes = Atomic<Int64>(0)

    /// What the data streams of calls under way take here, or are about to.
    public var bytesInUse: Int64 { self.reservedBytes.load(ordering: .relaxed) }

    /// Spools below `parent`; by default the directory for temporary files.
    public convenience init(parent: String? = nil) {
        self.init(parent: parent) { descriptor, vectors in
            let count = writev(descriptor, vectors.baseAddress, CInt(vectors.count))
            return count < 0 ? -Int(errno) : count
        }
    }

    package init(parent: String?, writeVectors: @escaping @Sendable (CInt, UnsafeBufferPointer<iovec>) -> Int) {
        self.parent = parent ?? FileManager.default.temporaryDirectory.path
        self.writeVectors = writeVectors
    }

    deinit {
        self.path.withLock { path in
            if let path { rmdir(path) }
        }
    }

    /// Creates an empty file for a stream of `length` bytes.
    func makeFile(id: UUID, length: Int64) async throws(HalibutError) -> SpoolFile {
        try await offLoop { () throws(HalibutError) in try self.openFile(id: id, length: length) }
    }

    private func openFile(id: UUID, length: Int64) throws(HalibutError) -> SpoolFile {
        let directory = try self.directory()
        try Self.checkSpace(in: directory, for: length)
        let number = self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let path = "\(directory)/\(id.uuidString.lowercased())_\(number)"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .file("create", path, errno) }
        return SpoolFile(path: path, descriptor: descriptor, length: length, directory: self)
    }

    private func directory() throws(HalibutError) -> String {
        var failure: CInt = 0
        let made: String? = self.path.withLock { path in
            if let path { return path }
            var template = Array("\(self.parent)/halibut-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else {
                failure = errno
                return nil
            }
            path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            return path
        }
        guard let made else { throw .file("create a directory in", self.parent, failure) }
        return made
    }

    private static func checkSpace(in directory: String, for length: Int64) throws(HalibutError) {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return }
        let (free, overflow) = Int64(clamping: status.f_bavail).multipliedReportingOverflow(by: Int64(status.f_frsize))
        guard overflow || length <= free else {
            throw HalibutError(
                .local,
                "A data stream of \(length) bytes does not fit on the disk of '\(directory)' (\(free) free)."
            )
        }
    }
}

/// One spooled stream; the file goes with the object.
final class SpoolFile: Sendable {
    /// Buffers per system call.
    private static let vectorsPerWrite = 16

    private enum Fate {
        case kept
        /// Moved to where a receiver wanted it, or on its way there.
        case taken
        case deleted
    }

    let path: String
    private let descriptor: Mutex<CInt?>
    private let fate = Mutex(Fate.kept)
    private let length: Int64
    /// Keeps the directory until its last file is gone.
    private let directory: SpoolDirectory

    fileprivate init(path: String, descriptor: CInt, length: Int64, directory: SpoolDirectory) {
        self.path = path
        self.descriptor = Mutex(descriptor)
        self.length = length
        self.directory = directory
        directory.reservedBytes.wrappingAdd(length, ordering: .relaxed)
    }

    deinit {
        self.finishWriting()
        self.remove()
    }

    /// Appends bytes, by few system calls; blocks, so it is called off the event loop.
    func append(_ buffers: [ByteBuffer]) throws {
        guard let descriptor = self.descriptor.withLock({ $0 }) else {
            throw HalibutError.file("write", self.path, EBADF)
        }
        for start in stride(from: 0, to: buffers.count, by: Self.vectorsPerWrite) {
            try Self.withVectors(buffers[start...].prefix(Self.vectorsPerWrite)) { vectors in
                try self.write(vectors, to: descriptor)
            }
        }
    }

    private static func withVectors(
        _ buffers: ArraySlice<ByteBuffer>,
        behind vectors: [iovec] = [],
        _ body: ([iovec]) throws -> Void
    ) throws {
        guard let buffer = buffers.first else { return try body(vectors) }
        try buffer.withUnsafeReadableBytes { bytes in
            let vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            try Self.withVectors(buffers.dropFirst(), behind: vectors + [vector], body)
        }
    }

    private func write(_ vectors: [iovec], to descriptor: CInt) throws(HalibutError) {
        var rest = vectors[...]
        while !rest.isEmpty {
            var count = rest.withUnsafeBufferPointer { self.directory.writeVectors(descriptor, $0) }
            if count == -Int(EINTR) { continue }
            guard count >= 0 else { throw .file("write", self.path, CInt(-count)) }
            while let next = rest.first, count >= next.iov_len {
                count -= next.iov_len
                rest.removeFirst()
            }
            if count > 0 {
                rest[rest.startIndex].iov_base += count
                rest[rest.startIndex].iov_len -= count
            }
        }
    }

    /// Closes the descriptor; the file stays.
    func finishWriting() {
        self.descriptor.withLock { descriptor in
            if let open = descriptor { close(open) }
            descriptor = nil
        }
    }

    /// Deletes the file, unless it has been moved away.
    func remove() {
        guard self.turns(.deleted) else { return }
        unlink(self.path)
        self.directory.reservedBytes.wrappingSubtract(self.length, ordering: .relaxed)
    }

    /// Ends the file's time here; false when that has ended before.
    private func turns(_ fate: Fate) -> Bool {
        self.fate.withLock { current in
            guard current == .kept else { return false }
            current = fate
            return true
        }
    }

    private var gone: HalibutError {
        self.fate.withLock { $0 == .taken } ? .streamWasReceived : .file("read", self.path, ENOENT)
    }

    func readAll(count: Int) throws(HalibutError) -> [UInt8] {
        guard self.fate.withLock({ $0 == .kept }) else { throw self.gone }
        let descriptor = open(self.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .file("read", self.path, errno) }
        defer { close(descriptor) }
        var failure: CInt = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let result = read(
                    descriptor,
                    UnsafeMutableRawPointer(buffer.baseAddress?.advanced(by: filled)),
                    count - filled
                )
                if result < 0, errno == EINTR { continue }
                if result <= 0 {
                    failure = result < 0 ? errno : EIO
                    return
                }
                filled += result
            }
        }
        guard failure == 0 else { throw .file("read", self.path, failure) }
        return bytes
    }

    /// Gives the file to the first who wants it.
    func move(to target: String) throws(HalibutError) {
        guard self.turns(.taken) else { throw self.gone }
        do {
            try self.place(at: target)
        } catch {
            // Another target may do.
            self.fate.withLock { $0 = .kept }
            throw error
        }
        self.directory.reservedBytes.wrappingSubtract(self.length, ordering: .relaxed)
    }

    private func place(at target: String) throws(HalibutError) {
        if rename(self.path, target) == 0 { return }
        guard errno == EXDEV else { throw .file("write", target, errno) }
        do {
            try FileCopy.copy(from: self.path, to: target)
        } catch {
            unlink(target)
            throw error
        }
        unlink(self.path)
    }
}

/// Copies between file systems.
enum FileCopy {
    static func copy(from source: String, to target: String) throws(HalibutError) {
        let input = open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw .file("read", source, errno) }
        defer { close(input) }
        let output = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw .file("write", target, errno) }
        defer { close(output) }
        while true {
            let count = sendfile(output, input, nil, 1 << 20)
            if count == 0 { return }
            if count < 0, errno != EINTR { throw .file("write", target, errno) }
        }
    }
}

/// Sizes of files.
enum FileSize {
    /// The size of a regular file, or `nil` with `errno` set.
    static func ofFile(at path: String) -> Int64? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        guard status.st_mode & S_IFMT == S_IFREG else {
            errno = EISDIR
            return nil
        }
        return Int64(status.st_size)
    }
}
