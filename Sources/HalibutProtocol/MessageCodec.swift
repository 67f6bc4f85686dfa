package import BSON
package import NIOCore

/// What a message carries (halibut.md 5.4).
package enum MessageContent: Hashable, Sendable {
    /// `{"Message": null}`: the NUL request, or "close".
    case null
    case document(BSONDocument)
}

/// Takes messages off a connection's buffer (halibut.md 5.3).
///
///     message := deflate( bson( { "Message": <document or null> } ) )
///
/// There is no length in front: the deflate stream ends itself, and what follows it stays in the buffer.
package struct MessageDecoder: ~Copyable {
    package let limits: HalibutLimits
    /// Held while a message passes.
    private var inflater: RawInflater?
    private var inflated = ByteBuffer()
    private var compressedBytes = 0

    package init(limits: HalibutLimits) {
        self.limits = limits
    }

    /// Whether a message has begun and not ended.
    package var isInsideMessage: Bool { self.inflater != nil }

    /// Bytes of the message that has begun, decompressed so far.
    package var inflatedBytes: Int { self.inflated.readableBytes }

    /// The next message, or `nil` when all of the input is used and the message goes on.
    ///
    /// Also `nil`, with ``inflatedBytes`` at `bound`, when the message is larger than that: call again with a higher one.
    package mutating func decode(
        _ input: inout ByteBuffer,
        bound: Int = .max
    ) throws(WireError) -> MessageContent? {
        guard input.readableBytes > 0 || self.isInsideMessage else { return nil }
        if !self.isInsideMessage, bound >= StoredBlock.maximumBytes, let block = StoredBlock.read(from: &input) {
            self.compressedBytes = StoredBlock.headBytes + block.readableBytes
            self.inflated = block
            try self.checkSize()
            return try self.finish()
        }
        let inflater: RawInflater
        if let started = self.inflater { inflater = started } else { inflater = try Self.startInflater() }
        self.inflater = inflater
        while true {
            let before = (input: input.readableBytes, output: self.inflated.readableBytes)
            guard before.output < bound else { return nil }
            let room = min(self.limits.maximumMessageBytes + 1, bound) - before.output
            let complete = try inflater.inflate(&input, into: &self.inflated, limit: room)
            self.compressedBytes += before.input - input.readableBytes
            try self.checkSize()
            if complete { return try self.finish() }
            let progress = before.input != input.readableBytes || before.output != self.inflated.readableBytes
            guard progress else { return nil }
        }
    }

    private static func startInflater() throws(WireError) -> RawInflater {
        let inflater = IdleZlib.takeInflater()
        try inflater.reset()
        return inflater
    }

    private func checkSize() throws(WireError) {
        let size = self.inflated.readableBytes
        guard size <= self.limits.maximumMessageBytes else {
            throw .limit("A message is larger than \(self.limits.maximumMessageBytes) bytes.")
        }
        let ratio = self.limits.maximumInflateRatio
        guard size <= self.limits.inflateRatioFloorBytes || size / ratio <= self.compressedBytes else {
            throw .limit("A message inflates to more than \(ratio) times its size.")
        }
        // The document's own size comes first: nothing may follow the document inside the deflate stream.
        if let declared = self.inflated.getInteger(at: self.inflated.readerIndex, endianness: .little, as: Int32.self) {
            guard declared >= 5, Int(declared) <= self.limits.maximumMessageBytes else {
                throw .limit(
                    "A message declares \(declared) bytes; 5 to \(self.limits.maximumMessageBytes) are allowed."
                )
            }
            guard size <= Int(declared) else { throw .invalidMessage("Bytes follow the document of a message.") }
        }
    }

    private mutating func finish() throws(WireError) -> MessageContent {
        defer {
            // An idle connection keeps no memory for messages.
            self.inflated = ByteBuffer()
            self.compressedBytes = 0
            self.inflater.map(IdleZlib.giveBack)
            self.inflater = nil
        }
        return try MessageContent(bson: self.inflated, limits: self.limits)
    }
}

extension MessageContent {
    /// Reads the envelope document.
    package init(bson: ByteBuffer, limits: HalibutLimits = HalibutLimits()) throws(WireError) {
        let envelope: BSONDocument
        do {
            let limits = BSONLimits(
                maximumDocumentBytes: limits.maximumMessageBytes,
                maximumMemoryBytes: limits.maximumMessageMemoryBytes
            )
            envelope = try BSONDocument(bytes: bson.readableBytesView, limits: limits)
        } catch {
            let text = "The message is not valid BSON: \(error)"
            throw error.code == .limitExceeded ? .limit(text) : .invalidMessage(text)
        }
        switch envelope["Message"] {
        // An empty document decodes as null, too (halibut.md 5.4).
        case nil, .null: self = .null
        case .document(let document): self = .document(document)
        case .some: throw .invalidMessage("The message's content is not a document.")
        }
    }

    /// The envelope document, not compressed.
    package func bsonBytes() throws(WireError) -> [UInt8] {
        do {
            return try self.envelope.encoded()
        } catch {
            throw .notWritable(error)
        }
    }

    fileprivate var envelope: BSONDocument {
        switch self {
        case .null: BSONDocument(elements: [.init(key: "Message", value: .null)])
        case .document(let document): BSONDocument(elements: [.init(key: "Message", value: .document(document))])
        }
    }
}

extension WireError {
    fileprivate static func notWritable(_ error: BSONError) -> WireError {
        .invalidMessage("The message cannot be written: \(error)")
    }
}

/// Writes messages.
package struct MessageEncoder: Sendable {
    package init() {}

    /// Appends a whole message; it must go out before anything waits for an answer.
    package func encode(_ content: MessageContent, into buffer: inout ByteBuffer) throws(WireError) {
        let envelope = content.envelope
        let count: Int
        do {
            count = try envelope.encodedByteCount()
        } catch {
            throw .notWritable(error)
        }
        guard count > StoredBlock.maximumBytes else {
            return unsafe StoredBlock.write(byteCount: count, to: &buffer) { unsafe envelope.encode(into: $0) }
        }
        let bytes = try content.bsonBytes()
        let deflater = IdleZlib.takeDeflater()
        try deflater.deflate(bytes, into: &buffer)
        IdleZlib.giveBack(deflater)
    }

    /// A message by itself.
    package func encoded(_ document: BSONDocument) throws(WireError) -> ByteBuffer {
        var buffer = ByteBuffer()
        try self.encode(.document(document), into: &buffer)
        return buffer
    }

    /// The NUL request, compressed once and for all (halibut.md 18.2).
    package static let nullMessage: [UInt8] = [
        0xe3, 0x63, 0x60, 0x60, 0xe0, 0xf2, 0x4d, 0x2d, 0x2e, 0x4e, 0x4c, 0x4f, 0x65, 0x60, 0x00, 0x00,
    ]
}
