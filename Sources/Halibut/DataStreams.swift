public import BSON
public import FoundationEssentials
import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Bytes that go out after a message.
///
/// The length is fixed when the stream is made.
public struct OutgoingDataStream: Sendable {
    /// Where the bytes are.
    public enum Source: Sendable {
        case bytes([UInt8])
        /// A file that keeps its first `length` bytes until the call ends; what it grows by is ignored.
        case file(path: String)
    }

    /// Unique per message.
    public let id: UUID
    /// How many bytes go out.
    public let length: Int64
    /// Where they are.
    public let source: Source

    /// A stream of bytes held in memory.
    public init(bytes: [UInt8], id: UUID = UUID()) {
        self.id = id
        self.length = Int64(bytes.count)
        self.source = .bytes(bytes)
    }

    /// A stream of a file's present content.
    public init(file path: String, id: UUID = UUID()) throws(HalibutError) {
        let length = FileSize.ofFile(at: path)
        guard let length else { throw .file("read", path, errno) }
        self.init(file: path, length: length, id: id)
    }

    /// A stream of the first `length` bytes of a file.
    public init(file path: String, length: Int64, id: UUID = UUID()) {
        self.id = id
        self.length = length
        self.source = .file(path: path)
    }

    /// The value that announces the stream: in `params` and as a result it is typed, inside contract objects it is not.
    public func reference(typed: Bool) -> BSONValue {
        BSONDataStream(id: self.id, length: self.length).value(typed: typed)
    }
}

/// Bytes that came after a message, spooled to a private file (mode 0600).
///
/// The file is deleted when the call ends (service) or nobody holds the stream any longer (client), whichever is first.
public struct ReceivedDataStream: Sendable {
    /// The id under which the message announces it.
    public let id: UUID
    /// How many bytes came.
    public let length: Int64
    let file: SpoolFile

    /// Where the bytes are for now.
    public var path: String { self.file.path }

    /// All bytes, if there are at most `limit`.
    public func readAll(limit: Int = 64 * 1024 * 1024) throws(HalibutError) -> [UInt8] {
        guard self.length <= Int64(limit) else {
            throw .streamTooLargeToRead(id: self.id, length: self.length, limit: limit)
        }
        return try self.file.readAll(count: Int(self.length))
    }

    /// Takes the file over: renames it to `path` on the same file system, else copies it.
    public func move(to path: String) throws(HalibutError) {
        try self.file.move(to: path)
    }
}
