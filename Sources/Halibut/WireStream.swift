import BSON
import FoundationEssentials
import HalibutProtocol
import NIOCore
import NIOPosix

/// The protocol's reads and writes on one connection.
///
/// One task owns it; nothing else may read meanwhile.
final class WireStream {
    /// Messages up to this size are decoded where they arrive: quicker than changing threads twice.
    private static let decodedOnLoopBytes = 32 * 1024

    let pipe: WirePipe
    private var limits: HalibutLimits { self.decoder.limits }
    private let spool: SpoolDirectory
    /// What has been received and not been parsed: one buffer for all readers (halibut.md 5.3).
    private var buffer = ByteBuffer()
    private var decoder: MessageDecoder

    init(pipe: WirePipe, limits: HalibutLimits, spool: SpoolDirectory) {
        self.pipe = pipe
        self.spool = spool
        self.decoder = MessageDecoder(limits: limits)
    }

    /// Whether nothing has been received that nobody asked for.
    var isDrained: Bool { self.buffer.readableBytes == 0 && !self.pipe.hasNews }

    // MARK: Reading

    private func fill() async throws {
        var next = try await self.pipe.receive()
        if self.buffer.readableBytes == 0 {
            self.buffer = next
        } else {
            self.buffer.discardReadBytes()
            self.buffer.writeBuffer(&next)
        }
    }

    /// The opening bytes of a dialler.
    func readOpening() async throws -> Opening {
        self.pipe.arm(self.limits.receiveTimeout)
        var reader = OpeningReader(maximumBytes: self.limits.maximumOpeningBytes)
        while true {
            if let opening = reader.read(from: &self.buffer) { return opening }
            do {
                try await self.fill()
            } catch let error as WireError where error.code == .connectionClosed {
                return reader.read(from: &self.buffer, atEnd: true) ?? .empty
            }
        }
    }

    func readIdentity() async throws -> RemoteIdentity {
        self.pipe.arm(self.limits.receiveTimeout)
        var reader = IdentityReader(maximumBytes: self.limits.maximumControlLineBytes)
        while true {
            if let identity = try reader.read(from: &self.buffer) { return identity }
            try await self.fill()
        }
    }

    /// The next control word; the whole line must come in time.
    func readControlLine(timeout: Duration) async throws -> ControlLine {
        self.pipe.arm(timeout)
        var reader = LineReader(maximumBytes: self.limits.maximumControlLineBytes)
        while true {
            if let line = try reader.readControlLine(from: &self.buffer) {
                self.pipe.disarm()
                return line
            }
            try await self.fill()
        }
    }

    /// A message, or `nil` for a null one; and the data streams that it announces.
    private func readMessage<Message: Sendable>(
        firstByteTimeout: Duration,
        _ parse: (BSONDocument) throws -> (Message, [BSONDataStream])
    ) async throws -> (Message, [BSONDataStream])? {
        self.pipe.arm(self.buffer.readableBytes > 0 ? self.limits.receiveTimeout : firstByteTimeout)
        while true {
            switch try await self.decode(parse) {
            case .message(let message):
                self.pipe.disarm()
                return message
            case .needMoreBytes: break
            }
            try await self.fill()
            self.pipe.arm(self.limits.receiveTimeout)
        }
    }

    private enum Decoded<Message: Sendable>: Sendable {
        case message((Message, [BSONDataStream])?)
        case needMoreBytes
    }

    /// A large message is decoded off the loop: it may take seconds, and the loop has other connections.
    private func decode<Message: Sendable>(
        _ parse: (BSONDocument) throws -> (Message, [BSONDataStream])
    ) async throws -> Decoded<Message> {
        let decoded = try self.decode(bound: Self.decodedOnLoopBytes, parse)
        guard case .needMoreBytes = decoded, self.decoder.inflatedBytes >= Self.decodedOnLoopBytes else {
            return decoded
        }
        return try await withTaskExecutorPreference(globalConcurrentExecutor) {
            try self.decode(bound: .max, parse)
        }
    }

    private func decode<Message: Sendable>(
        bound: Int,
        _ parse: (BSONDocument) throws -> (Message, [BSONDataStream])
    ) throws -> Decoded<Message> {
        switch try self.decoder.decode(&self.buffer, bound: bound) {
        case nil: .needMoreBytes
        case .null: .message(nil)
        case .document(let document): .message(try parse(document))
        }
    }

    /// A request with its data streams, or `nil` for a null message.
    func readRequest(firstByteTimeout: Duration) async throws -> (RequestMessage, [UUID: ReceivedDataStream])? {
        let message = try await self.readMessage(firstByteTimeout: firstByteTimeout) { document in
            let request = try RequestMessage(document)
            return (request, request.dataStreams)
        }
        guard let (request, announced) = message else { return nil }
        return (request, announced.isEmpty ? [:] : try await self.readStreams(messageID: request.id, announced))
    }

    /// A response with its data streams, or `nil` for a null message.
    func readResponse() async throws -> (ResponseMessage, [UUID: ReceivedDataStream])? {
        let message = try await self.readMessage(firstByteTimeout: self.limits.receiveResponseTimeout) { document in
            let response = try ResponseMessage(document)
            return (response, response.dataStreams)
        }
        guard let (response, announced) = message else { return nil }
        return (response, announced.isEmpty ? [:] : try await self.readStreams(messageID: response.id, announced))
    }

    /// Streams are received before anybody looks at the call, so that a bad call does not cost the connection.
    @inline(never)
    private func readStreams(
        messageID: String,
        _ announced: [BSONDataStream]
    ) async throws -> [UUID: ReceivedDataStream] {
        var reader = try DataStreamReader(messageID: messageID, streams: announced, limits: self.limits)
        var streams: [UUID: ReceivedDataStream] = [:]
        var writer: SpoolWriter?
        self.pipe.arm(self.limits.receiveTimeout)
        while true {
            switch try reader.read(from: &self.buffer) {
            case .begin(let stream):
                let file = try await self.spool.makeFile(id: stream.id, length: stream.length)
                streams[stream.id] = ReceivedDataStream(id: stream.id, length: stream.length, file: file)
                writer = SpoolWriter(file: file, eventLoop: self.pipe.channel.eventLoop)
            case .content(let bytes): try await writer?.append(bytes)
            case .end:
                try await writer?.finish()
                writer = nil
            case .complete:
                self.pipe.disarm()
                return streams
            case .needMoreBytes:
                do {
                    try await self.fill()
                } catch let error as WireError where error.code == .connectionClosed {
                    throw reader.connectionClosed()
                }
                self.pipe.arm(self.limits.receiveTimeout)
            }
        }
    }

    // MARK: Writing

    /// Sends bytes that belong together in one write, and so in one TLS record where they fit.
    func send(timeout: Duration? = nil, _ write: (inout ByteBuffer) -> Void) async throws {
        var buffer = ByteBuffer()
        write(&buffer)
        self.pipe.arm(timeout ?? self.limits.sendTimeout)
        try await self.pipe.send(buffer)
        self.pipe.disarm()
    }

    /// Sends a message and its data streams, in document order, and after them `line` if there is one.
    func send(_ message: OutgoingMessage, followedBy line: ControlLine? = nil) async throws {
        var buffer = message.bytes
        self.pipe.arm(self.limits.sendTimeout)
        for announcement in message.announced {
            guard let stream = message.streams.first(where: { $0.id == announcement.id }) else {
                throw HalibutError.unannouncedStream(announcement.id)
            }
            try await self.send(stream, messageID: message.id, prefix: &buffer)
        }
        line?.write(to: &buffer)
        if buffer.readableBytes > 0 { try await self.pipe.send(buffer) }
        self.pipe.disarm()
    }

    /// The NUL request (halibut.md 5.4).
    func sendNullMessage() async throws {
        try await self.send { $0.writeBytes(MessageEncoder.nullMessage) }
    }

    @inline(never)
    private func send(_ stream: OutgoingDataStream, messageID: String, prefix buffer: inout ByteBuffer) async throws {
        let frame = BSONDataStream(id: stream.id, length: stream.length)
        DataStreamFraming.writeHead(frame, to: &buffer)
        switch stream.source {
        case .bytes(let bytes):
            for start in stride(from: 0, to: bytes.count, by: SpoolReader.chunkBytes) {
                buffer.writeBytes(bytes[start..<min(start + SpoolReader.chunkBytes, bytes.count)])
                try await self.sendPart(&buffer)
            }
        case .file(let path):
            try await self.sendPart(&buffer)
            let reader = try SpoolReader(path: path, length: stream.length, eventLoop: self.pipe.channel.eventLoop)
            while let chunk = try await reader.next() {
                var chunk = chunk
                try await self.sendPart(&chunk)
            }
            guard reader.bytesRead == stream.length else {
                throw WireError.streamShrank(
                    message: messageID,
                    id: stream.id,
                    declared: stream.length,
                    written: reader.bytesRead
                )
            }
        }
        DataStreamFraming.writeTrailer(frame, to: &buffer)
    }

    private func sendPart(_ buffer: inout ByteBuffer) async throws {
        try await self.pipe.send(buffer)
        self.pipe.arm(self.limits.sendTimeout)
        buffer = ByteBuffer()
    }
}
