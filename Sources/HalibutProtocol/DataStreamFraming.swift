package import BSON
package import FoundationEssentials
package import NIOCore

/// The bytes around a data stream (halibut.md 9.1).
///
///     offset      size    field
///     0           16      stream id, .NET GUID order
///     16          8       length, int64 little-endian
///     24          length  raw bytes, not compressed
///     24+length   8       length again
package enum DataStreamFraming {
    package static let headBytes = 24

    /// Appends the bytes before a stream's content.
    package static func writeHead(_ stream: BSONDataStream, to buffer: inout ByteBuffer) {
        buffer.writeBytes(stream.id.dotNetBytes)
        buffer.writeInteger(stream.length, endianness: .little)
    }

    /// Appends the bytes after a stream's content.
    package static func writeTrailer(_ stream: BSONDataStream, to buffer: inout ByteBuffer) {
        buffer.writeInteger(stream.length, endianness: .little)
    }
}

/// Takes the data streams that follow one message off a connection's buffer.
///
///     head ──▶ body ──▶ trailer ──▶ head …   until as many streams as the message announced were read
package struct DataStreamReader: ~Copyable {
    /// What the next bytes are.
    package enum OnBytes: Hashable, Sendable {
        /// A stream begins.
        case begin(BSONDataStream)
        /// Some of its content.
        case content(ByteBuffer)
        /// It ends.
        case end(UUID)
        /// Nothing can be said before more bytes come.
        case needMoreBytes
        /// All streams of the message were read; the buffer's next byte belongs to somebody else.
        case complete
    }

    private enum State {
        /// Exits: `body`, `complete`.
        case head
        /// Exits: `trailer`.
        case body(BSONDataStream, remaining: Int64)
        /// Exits: `head`.
        case trailer(BSONDataStream)
        /// Exits: none.
        case failed(WireError)
    }

    private let messageID: String
    /// How often each id may still come: upstream writes a stream that stands twice in a message twice (halibut.md 9.2).
    private var expected: [UUID: Int]
    private var remainingStreams: Int
    private var remainingBytes: Int64
    private var state = State.head

    /// Expects the streams found in a message, in any order.
    package init(messageID: String, streams: [BSONDataStream], limits: HalibutLimits) throws(WireError) {
        guard streams.count <= limits.maximumDataStreams else {
            throw .limit(
                "A message has \(streams.count) data streams; at most \(limits.maximumDataStreams) are allowed."
            )
        }
        self.messageID = messageID
        self.expected = Dictionary(streams.map { ($0.id, 1) }, uniquingKeysWith: +)
        self.remainingStreams = streams.count
        self.remainingBytes = limits.maximumDataStreamBytes
    }

    /// How many bytes of content are still to come in the stream being read.
    package var remainingContentBytes: Int64 {
        if case .body(_, let remaining) = self.state { remaining } else { 0 }
    }

    /// Advances by one step; after an error every further step throws the same.
    package mutating func read(from buffer: inout ByteBuffer) throws(WireError) -> OnBytes {
        do throws(WireError) {
            return try self.step(&buffer)
        } catch {
            self.state = .failed(error)
            throw error
        }
    }

    private mutating func step(_ buffer: inout ByteBuffer) throws(WireError) -> OnBytes {
        switch self.state {
        case .head:
            guard self.remainingStreams > 0 else { return .complete }
            guard let id = buffer.getDataStreamID(), buffer.readableBytes >= DataStreamFraming.headBytes else {
                return .needMoreBytes
            }
            buffer.moveReaderIndex(forwardBy: 16)
            let length = buffer.readInteger(endianness: .little, as: Int64.self) ?? -1
            let stream = BSONDataStream(id: id, length: length)
            try self.accept(stream)
            self.state = length == 0 ? .trailer(stream) : .body(stream, remaining: length)
            return .begin(stream)
        case .body(let stream, let remaining):
            let count = Int(min(remaining, Int64(buffer.readableBytes)))
            guard count > 0, let content = buffer.readSlice(length: count) else {
                self.state = .body(stream, remaining: remaining)
                return .needMoreBytes
            }
            let left = remaining - Int64(count)
            self.state = left == 0 ? .trailer(stream) : .body(stream, remaining: left)
            return .content(content)
        case .trailer(let stream):
            guard let length = buffer.readInteger(endianness: .little, as: Int64.self) else {
                self.state = .trailer(stream)
                return .needMoreBytes
            }
            self.state = .head
            guard length == stream.length else {
                throw .streamSizeMismatch(
                    message: self.messageID,
                    id: stream.id,
                    expected: stream.length,
                    claimed: length
                )
            }
            self.remainingStreams -= 1
            return .end(stream.id)
        case .failed(let error): throw error
        }
    }

    /// The error of a connection that ended here.
    package func connectionClosed() -> WireError {
        switch self.state {
        case .body(let stream, let remaining):
            .streamClosed(
                message: self.messageID,
                id: stream.id,
                length: stream.length,
                read: stream.length - remaining
            )
        case .failed(let error): error
        case .head, .trailer: .connectionClosed
        }
    }

    private mutating func accept(_ stream: BSONDataStream) throws(WireError) {
        guard let count = self.expected[stream.id], count > 0 else { throw .unexpectedStream }
        self.expected[stream.id] = count - 1
        guard stream.length >= 0, stream.length <= self.remainingBytes else {
            throw .limit(
                "Data stream \(stream.id.wireText) has length \(stream.length), which is more than is allowed."
            )
        }
        self.remainingBytes -= stream.length
    }
}

extension ByteBuffer {
    fileprivate func getDataStreamID() -> UUID? {
        guard let bytes = self.getBytes(at: self.readerIndex, length: 16) else { return nil }
        return UUID(dotNetBytes: bytes)
    }
}

extension WireError {
    @inline(never)
    static func streamSizeMismatch(message: String, id: UUID, expected: Int64, claimed: Int64) -> WireError {
        WireError(
            .dataStream,
            "Data stream size mismatch detected. Message Id: \(message), Stream ID: \(id.wireText), Expected length: \(expected), Actual length claimed at end: \(claimed)."
        )
    }

    @inline(never)
    static func streamClosed(message: String, id: UUID, length: Int64, read: Int64) -> WireError {
        WireError(
            .dataStream,
            "Data stream reading failed. Message Id: \(message), Stream ID: \(id.wireText), Expected length: \(length). The stream was closed after only reading \(read) bytes."
        )
    }

    /// The sender's side: the file shrank while it was being sent.
    @inline(never)
    package static func streamShrank(message: String, id: UUID, declared: Int64, written: Int64) -> WireError {
        WireError(
            .dataStream,
            "Data stream size mismatch detected during send. Message Id: \(message), Stream ID: \(id.wireText), Declared length: \(declared), Actual bytes written: \(written)."
        )
    }
}
