import BSON
import FoundationEssentials
import HalibutProtocol
import NIOCore
import Testing

/// All codecs in a row on one buffer, as a connection uses them.
private struct ConversationReader: ~Copyable {
    /// What is expected next.
    enum Kind { case opening, identity, line, message }

    /// What was read.
    enum Part: Equatable {
        case opening(Opening)
        case identity(RemoteIdentity)
        case line(ControlLine)
        case message(MessageContent)
        case stream(BSONDataStream, [UInt8])
    }

    private var plan: ArraySlice<Kind>
    private(set) var parts: [Part] = []
    var buffer = ByteBuffer()
    private var opening = OpeningReader(maximumBytes: 1000)
    private var identity = IdentityReader(maximumBytes: 1000)
    private var lines = LineReader(maximumBytes: 1000)
    private var decoder = MessageDecoder(limits: HalibutLimits())
    private var streams: DataStreamReader?

    init(_ plan: [Kind]) { self.plan = plan[...] }

    var isDone: Bool { self.plan.isEmpty && self.streams == nil }

    mutating func receive(_ bytes: ArraySlice<UInt8>) throws {
        self.buffer.writeBytes(bytes)
        while !self.isDone, try self.step() {}
    }

    /// False when more bytes are needed.
    private mutating func step() throws -> Bool {
        if self.streams != nil { return try self.readStream() }
        let part: Part?
        switch self.plan.first {
        case .opening: part = self.opening.read(from: &self.buffer).map(Part.opening)
        case .identity: part = try self.identity.read(from: &self.buffer).map(Part.identity)
        case .line: part = try self.lines.readControlLine(from: &self.buffer).map(Part.line)
        case .message: part = try self.decoder.decode(&self.buffer).map(Part.message)
        case nil: part = nil
        }
        guard let part else { return false }
        self.plan.removeFirst()
        self.parts.append(part)
        if case .message(.document(let document)) = part, !document.dataStreams.isEmpty {
            self.streams = try DataStreamReader(
                messageID: "m",
                streams: document.dataStreams,
                limits: HalibutLimits()
            )
        }
        return true
    }

    private mutating func readStream() throws -> Bool {
        switch try self.streams?.read(from: &self.buffer) {
        case .begin(let stream): self.parts.append(.stream(stream, []))
        case .content(let bytes):
            guard case .stream(let stream, let content)? = self.parts.popLast() else { return false }
            self.parts.append(.stream(stream, content + bytes.rest))
        case .end: break
        case .needMoreBytes, nil: return false
        case .complete: self.streams = nil
        }
        return true
    }
}

/// One direction of a connection: its bytes, and what they say.
private struct Conversation: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let plan: [ConversationReader.Kind]
    let parts: [ConversationReader.Part]

    init(_ name: String, _ pieces: [(ConversationReader.Kind?, [UInt8], ConversationReader.Part?)]) {
        self.testDescription = name
        self.bytes = pieces.flatMap { $0.1 }
        self.plan = pieces.compactMap { $0.0 }
        self.parts = pieces.compactMap { $0.2 }
    }

    typealias Piece = (ConversationReader.Kind?, [UInt8], ConversationReader.Part?)

    static func opening(_ text: String, _ opening: Opening) -> Piece { (.opening, Array(text.utf8), .opening(opening)) }

    static func identity(_ identity: RemoteIdentity) -> Piece {
        var buffer = ByteBuffer()
        identity.write(to: &buffer)
        return (.identity, buffer.rest, .identity(identity))
    }

    static func line(_ text: String, _ line: ControlLine) -> Piece { (.line, Array(text.utf8), .line(line)) }

    static func message(_ vector: String, _ document: BSONDocument) throws -> Piece {
        (.message, try WireVector.load("\(vector).deflated"), .message(.document(document)))
    }

    static func message(_ document: BSONDocument) throws -> Piece {
        var buffer = ByteBuffer()
        try MessageEncoder().encode(.document(document), into: &buffer)
        return (.message, buffer.rest, .message(.document(document)))
    }

    static let null: Piece = (.message, MessageEncoder.nullMessage, .message(.null))

    static func stream(_ stream: BSONDataStream, _ content: [UInt8]) -> Piece {
        var buffer = ByteBuffer()
        DataStreamFraming.writeHead(stream, to: &buffer)
        buffer.writeBytes(content)
        DataStreamFraming.writeTrailer(stream, to: &buffer)
        return (nil, buffer.rest, .stream(stream, content))
    }

    static func all() throws -> [Conversation] {
        let request = MessageCodecTests.uploadRequest.document
        let uploaded = ResponseMessage(
            id: MessageCodecTests.uploadRequest.id,
            outcome: .result([
                "$type": "Octopus.Shared.Contracts.UploadResult, Octopus.Shared", "FullPath": "/tmp/x",
                "Hash": "aaf4c61d", "Length": .int64(5),
            ])
        ).document
        let hello = Self.stream(MessageCodecTests.stream, Array("hello".utf8))
        let subscription = EndPointURI(scheme: "poll", host: "abc", port: nil)
        let streams = (0..<3).map { BSONDataStream(id: UUID(), length: [0, 1, 300][$0]) }
        let nested: BSONDocument = [
            "id": "1", "service": "s", "method": "m",
            "params": [
                ["$type": "T, A", "Files": [["Contents": streams[0].value(typed: false)]]],
                ["$type": "T, A", "Deep": ["er": [[streams[1].value(typed: false)]]]],
                streams[2].value(typed: true),
            ],
        ]
        return [
            Conversation(
                "a client dials a listening service",
                [
                    Self.opening("MX\n\n", .messageExchange), Self.identity(.client),
                    try Self.message("request-upload-file", request), hello, Self.line("\r\nNEXT\r\n", .next),
                    try Self.message("request-upload-file", request), hello, Self.line("\r\n\r\nEND\r\n", .end),
                ]
            ),
            Conversation(
                "a polling service dials",
                [
                    Self.opening("MX\r\n\r\n", .messageExchange), Self.identity(.subscriber(subscription)),
                    try Self.message("response-upload-file", uploaded), Self.line("NEXT\r\n", .next),
                    Self.line("NEXT\r\n", .next),
                    try Self.message("response-service-not-found", MessageCodecTests.notFound.document),
                    Self.line("END\r\n", .end),
                ]
            ),
            Conversation(
                "a polling client sends requests and NULs",
                [
                    Self.identity(.server), try Self.message("request-upload-file", request), hello,
                    Self.line("PROCEED\r\n", .proceed), Self.null, Self.line("PROCEED\r\n", .proceed), Self.null,
                    Self.line("PROCEED\r\n", .proceed), try Self.message("request-upload-file", request), hello,
                ]
            ),
            Conversation(
                "three nested streams, in reverse order",
                [
                    try Self.message(nested), Self.stream(streams[2], [UInt8](repeating: 0x0d, count: 300)),
                    Self.stream(streams[1], [0x0a]), Self.stream(streams[0], []), Self.line("NEXT\r\n", .next),
                ]
            ),
        ]
    }
}

@Suite("Conversations, however their bytes arrive")
struct ConversationTests {
    private func check(_ conversation: Conversation, _ delivery: [ArraySlice<UInt8>], rest: [UInt8]) throws {
        var reader = ConversationReader(conversation.plan)
        for bytes in delivery { try reader.receive(bytes) }
        let (isDone, parts, left) = (reader.isDone, reader.parts, reader.buffer.rest)
        #expect(isDone)
        #expect(parts == conversation.parts)
        #expect(left == rest)
    }

    @Test("in two deliveries cut anywhere, and byte by byte; what follows stays", arguments: try Conversation.all())
    fileprivate func everyCut(_ conversation: Conversation) throws {
        let rest = Array("the next".utf8)
        let bytes = conversation.bytes + rest
        for cut in 0...bytes.count { try self.check(conversation, [bytes[..<cut], bytes[cut...]], rest: rest) }
        try self.check(conversation, bytes.indices.map { bytes[$0...$0] }, rest: rest)
    }

    @Test("cut short anywhere: never finished, and never an error", arguments: try Conversation.all())
    fileprivate func truncated(_ conversation: Conversation) throws {
        for count in stride(from: 0, to: conversation.bytes.count, by: 7) {
            var reader = ConversationReader(conversation.plan)
            try reader.receive(conversation.bytes[..<count])
            let (isDone, parts) = (reader.isDone, reader.parts)
            #expect(!isDone)
            #expect(conversation.parts.starts(with: parts.dropLast()))
        }
    }

    @Test(
        "every document of the golden vectors as a message, cut anywhere",
        arguments: [
            "request-nul", "request-upload-file", "response-service-not-found", "response-status-v2",
            "response-upload-file", "start-script-v1", "start-script-v2",
        ]
    )
    func vectors(_ name: String) throws {
        let document = try BSONDocument(bytes: WireVector.load(name))
        let message = document["Message"]?.document ?? document
        let streams = message.dataStreams.map { Conversation.stream($0, [UInt8](repeating: 7, count: Int($0.length))) }
        let piece = name == "request-nul" ? Conversation.null : try Conversation.message(message)
        let conversation = Conversation(name, [piece] + streams)
        for cut in 0...conversation.bytes.count {
            try self.check(conversation, [conversation.bytes[..<cut], conversation.bytes[cut...]], rest: [])
        }
    }

    @Test(
        "300 KB that deflate cannot shrink, in pieces of every awkward size, followed by NEXT",
        arguments: [1, 8191, 8192, 8193]
    )
    func largeMessage(_ size: Int) throws {
        let text = String(decoding: (0..<300_000).map { _ in UInt8.random(in: 33...126) }, as: UTF8.self)
        let conversation = Conversation(
            "",
            [try Conversation.message(["text": .string(text)]), Conversation.line("NEXT\r\n", .next)]
        )
        let bytes = conversation.bytes + [0x7f]
        let pieces = stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
        try self.check(conversation, pieces, rest: [0x7f])
    }

    @Test("a stream of 10 MB in pieces of 8 KiB, followed by PROCEED")
    func largeStream() throws {
        let stream = BSONDataStream(id: UUID(), length: 10_000_000)
        var buffer = ByteBuffer()
        DataStreamFraming.writeHead(stream, to: &buffer)
        buffer.writeRepeatingByte(0x0d, count: 10_000_000)
        DataStreamFraming.writeTrailer(stream, to: &buffer)
        buffer.writeString("PROCEED\r\n")
        var reader = try DataStreamReader(messageID: "m", streams: [stream], limits: HalibutLimits())
        var (arrived, received, complete) = (ByteBuffer(), 0, false)
        while var piece = buffer.readSlice(length: min(8192, max(buffer.readableBytes, 1))) {
            arrived.writeBuffer(&piece)
            reading: while !complete {
                switch try reader.read(from: &arrived) {
                case .content(let bytes): received += bytes.readableBytes
                case .begin, .end: break
                case .complete: complete = true
                case .needMoreBytes: break reading
                }
            }
            if !complete { arrived.discardReadBytes() }
        }
        #expect(complete)
        #expect(received == 10_000_000)
        #expect(arrived.rest == Array("PROCEED\r\n".utf8))
    }
}

@Suite("Deflate streams")
struct DeflateStreamTests {
    private func decode(_ bytes: some Sequence<UInt8>) throws -> (MessageContent?, [UInt8]) {
        var buffer = ByteBuffer(bytes: bytes)
        var decoder = MessageDecoder(limits: HalibutLimits())
        return (try decoder.decode(&buffer), buffer.rest)
    }

    @Test(
        "a document around and over 64 KiB is one stream that its last byte ends, without a flush in the middle",
        arguments: [65_000, 65_536, 66_000, 300_000]
    )
    func oneStream(_ size: Int) throws {
        let lines = String((0..<size / 15).map { "line \($0 * 7919 % 100_003) of a log\n" }.joined().prefix(size))
        let content = MessageContent.document(["text": .string(lines)])
        var buffer = ByteBuffer()
        try MessageEncoder().encode(content, into: &buffer)
        let bytes = buffer.rest
        #expect(try content.bsonBytes().count > size)
        #expect(try self.decode(bytes).0 == content)
        #expect(try self.decode(bytes).1.isEmpty)
        // The final block ends in the last byte: without it the message is not complete.
        #expect(try self.decode(bytes.dropLast()).0 == nil)
        // What Z_SYNC_FLUSH and Z_FULL_FLUSH leave behind: an empty stored block.
        let flush: [UInt8] = [0x00, 0x00, 0xff, 0xff]
        #expect(!bytes.indices.dropLast(3).contains { bytes[$0..<$0 + 4].elementsEqual(flush) })
    }

    @Test("a peer that flushes in the middle and before the end is read to the end of its stream, cut anywhere")
    func flushed() throws {
        let document = try MessageContent.document(["a": "b"]).bsonBytes()
        func stored(_ bytes: some Collection<UInt8>) -> [UInt8] {
            let count = UInt8(bytes.count)
            return [0, count, 0, ~count, 0xff] + bytes
        }
        let stream =
            stored(document.prefix(9)) + stored([]) + stored(document.dropFirst(9)) + stored([]) + [0x03, 0x00]
        for delivery in deliveries(of: stream + Array("NEXT\r\n".utf8)) {
            var buffer = ByteBuffer()
            var decoder = MessageDecoder(limits: HalibutLimits())
            var content: MessageContent?
            for part in delivery {
                buffer.writeBytes(part)
                if content == nil { content = try decoder.decode(&buffer) }
            }
            #expect(content == .document(["a": "b"]))
            #expect(buffer.rest == Array("NEXT\r\n".utf8))
        }
    }
}
