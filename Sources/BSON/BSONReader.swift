import FoundationEssentials

extension BSONDocument {
    /// Reads one document from bytes that hold it exactly.
    ///
    /// - Parameters:
    ///   - bytes: The document, first to last byte; anything after it is an error (halibut.md 5.2).
    ///   - limits: What the document may cost.
    /// - Throws: The first failure, in the wording of Json.NET where it has one.
    package init(bytes: some Collection<UInt8>, limits: BSONLimits = .default) throws(BSONError) {
        let result =
            bytes.withContiguousStorageIfAvailable { BSONReader.read(UnsafeRawBufferPointer($0), limits: limits) }
            ?? Array(bytes).withUnsafeBytes { BSONReader.read($0, limits: limits) }
        self = try result.get()
    }
}

/// Reads documents from contiguous bytes, recursively, never past the end of the innermost container.
///
/// Every access goes through ``advance(_:)``, which is the only place that moves the position and the only bounds check.
private struct BSONReader {
    private let bytes: UnsafeRawBufferPointer
    private let limits: BSONLimits
    private var position = 0
    /// Where the payload of the innermost open container ends: the position of its final 00.
    private var containerEnd: Int
    private var depth = 0
    private var remainingMemory: Int

    private init(bytes: UnsafeRawBufferPointer, limits: BSONLimits) {
        self.bytes = bytes
        self.limits = limits
        self.containerEnd = bytes.count
        self.remainingMemory = limits.maximumMemoryBytes
    }

    static func read(_ bytes: UnsafeRawBufferPointer, limits: BSONLimits) -> Result<BSONDocument, BSONError> {
        Result { () throws(BSONError) in
            guard bytes.count <= limits.maximumDocumentBytes else {
                throw BSONError(
                    .limitExceeded,
                    at: limits.maximumDocumentBytes,
                    "The document is \(bytes.count) bytes; at most \(limits.maximumDocumentBytes) are accepted."
                )
            }
            var reader = BSONReader(bytes: bytes, limits: limits)
            let elements = try reader.readElements()
            guard reader.position == bytes.count else {
                throw reader.error(.malformed, "Bytes follow the end of the document.")
            }
            return BSONDocument(elements: elements)
        }
    }

    // MARK: Containers

    private mutating func readElements() throws(BSONError) -> [BSONDocument.Element] {
        let enclosingEnd = try self.enterContainer()
        var elements: [BSONDocument.Element] = []
        elements.reserveCapacity(try self.chargeElements(MemoryLayout<BSONDocument.Element>.stride))
        while self.position < self.containerEnd {
            let type = try self.readInteger(UInt8.self)
            let key = try self.readTerminatedString()
            elements.append(BSONDocument.Element(key: key, value: try self.readValue(type)))
        }
        try self.leaveContainer(enclosingEnd: enclosingEnd)
        return elements
    }

    private mutating func readArray() throws(BSONError) -> [BSONValue] {
        let enclosingEnd = try self.enterContainer()
        var values: [BSONValue] = []
        values.reserveCapacity(try self.chargeElements(MemoryLayout<BSONValue>.stride))
        while self.position < self.containerEnd {
            let type = try self.readInteger(UInt8.self)
            // The keys of an array carry nothing: Json.NET skips them, too.
            try self.skipTerminated()
            values.append(try self.readValue(type))
        }
        try self.leaveContainer(enclosingEnd: enclosingEnd)
        return values
    }

    /// Reads a container's size and makes its end the bound of all further reads; returns the bound to go back to.
    private mutating func enterContainer() throws(BSONError) -> Int {
        let start = self.position
        let size = Int(try self.readInteger(Int32.self))
        guard size >= 5 else { throw self.error(.malformed, "A document of \(size) bytes is not possible.") }
        guard size <= self.containerEnd - start else { throw self.pastEnd() }
        self.depth += 1
        guard self.depth <= self.limits.maximumDepth else {
            throw self.error(
                .limitExceeded,
                "The reader's MaxDepth of \(self.limits.maximumDepth) has been exceeded."
            )
        }
        let enclosingEnd = self.containerEnd
        self.containerEnd = start + size - 1
        return enclosingEnd
    }

    private mutating func leaveContainer(enclosingEnd: Int) throws(BSONError) {
        self.containerEnd = enclosingEnd
        self.depth -= 1
        guard try self.readInteger(UInt8.self) == 0 else {
            throw self.error(.malformed, "Unexpected end of object byte value.")
        }
    }

    // MARK: Memory

    /// Heap bytes around an array's or a text's own.
    private static let allocationBytes = 32
    /// Longer texts do not fit into the value itself.
    private static let inlineTextBytes = 15

    private mutating func charge(_ bytes: Int) throws(BSONError) {
        self.remainingMemory -= bytes
        guard self.remainingMemory >= 0 else {
            throw self.error(
                .limitExceeded,
                "The document takes more than \(self.limits.maximumMemoryBytes) bytes of memory."
            )
        }
    }

    /// Ill-formed UTF-8 becomes U+FFFD, as in .NET.
    private mutating func text(_ bytes: Slice<UnsafeRawBufferPointer>) throws(BSONError) -> String {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes)
        let text = KnownTexts.text(bytes) ?? String(decoding: bytes, as: UTF8.self)
        let count = text.utf8.count
        if count > Self.inlineTextBytes { try self.charge(Self.allocationBytes + count) }
        return text
    }

    /// Pays for the elements of the container just entered before the first of them is made; returns their number.
    private mutating func chargeElements(_ stride: Int) throws(BSONError) -> Int {
        let count = self.countElements()
        if count > 0 { try self.charge(Self.allocationBytes + count * stride) }
        return count
    }

    /// Skips over the container's elements; the first malformed one counts and ends the count.
    private func countElements() -> Int {
        var count = 0
        var scout = self
        while scout.position < scout.containerEnd {
            count += 1
            do { try scout.skipElement() } catch { break }
        }
        return count
    }

    private mutating func skipElement() throws(BSONError) {
        let type = try self.readInteger(UInt8.self)
        try self.skipTerminated()
        switch type {
        case 0x01, 0x09, 0x11, 0x12: _ = try self.advance(8)
        case 0x02, 0x0d, 0x0e: _ = try self.advance(try self.readLength())
        case 0x03, 0x04: _ = try self.advance(try self.readLength(least: 4, limit: .max) - 4)
        case 0x05: _ = try self.advance(try self.readLength() + 1)
        case 0x06, 0x0a: break
        case 0x07: _ = try self.advance(12)
        case 0x08: _ = try self.advance(1)
        case 0x0b:
            try self.skipTerminated()
            try self.skipTerminated()
        case 0x10: _ = try self.advance(4)
        default: throw self.error(.unsupportedElement, "Unexpected BsonType value: \(type)")
        }
    }

    // MARK: Values

    private mutating func readValue(_ type: UInt8) throws(BSONError) -> BSONValue {
        switch type {
        case 0x01: return .double(Double(bitPattern: try self.readInteger(UInt64.self)))
        case 0x02, 0x0d, 0x0e: return .string(try self.readString())
        case 0x03: return .document(BSONDocument(elements: try self.readElements()))
        case 0x04: return .array(try self.readArray())
        case 0x05: return try self.readBinary()
        case 0x06, 0x0a: return .null
        case 0x07: return .binary(Array(try self.advance(12)), subtype: 0)
        case 0x08: return .bool(try self.readInteger(UInt8.self) != 0)
        case 0x09: return .dateTime(millisecondsSince1970: try self.readInteger(Int64.self))
        case 0x0b:
            let pattern = try self.readTerminatedString()
            let options = try self.readTerminatedString()
            return .string("/\(pattern)/\(options)")
        case 0x10: return .int32(try self.readInteger(Int32.self))
        case 0x11, 0x12: return .int64(try self.readInteger(Int64.self))
        default: throw self.error(.unsupportedElement, "Unexpected BsonType value: \(type)")
        }
    }

    private mutating func readString() throws(BSONError) -> String {
        let length = try self.readLength()
        guard length >= 1 else { throw self.error(.malformed, "A string of \(length) bytes is not possible.") }
        let text = try self.advance(length)
        guard text[text.endIndex - 1] == 0 else { throw self.error(.malformed, "A string does not end with 00.") }
        return try self.text(text.dropLast())
    }

    private mutating func readBinary() throws(BSONError) -> BSONValue {
        var length = try self.readLength()
        let subtype = try self.readInteger(UInt8.self)
        if subtype == 0x02 {
            // The old form repeats the length inside the payload.
            let outer = length
            length = try self.readLength()
            guard length == outer - 4 else { throw self.error(.malformed, "The two lengths of binary 02 differ.") }
        }
        let payload = try self.advance(length)
        if subtype != 0x04, length > 0 { try self.charge(Self.allocationBytes + length) }
        guard subtype == 0x04 else { return .binary(Array(payload), subtype: subtype) }
        guard let uuid = UUID(dotNetBytes: payload) else {
            throw self.error(.malformed, "Byte array for Guid must be exactly 16 bytes long.")
        }
        return .uuid(uuid)
    }

    private mutating func readLength(least: Int = 0, limit: Int? = nil) throws(BSONError) -> Int {
        let length = Int(try self.readInteger(Int32.self))
        guard length >= least else { throw self.error(.malformed, "A length of \(length) bytes is not possible.") }
        let limit = limit ?? self.limits.maximumValueBytes
        guard length <= limit else {
            throw self.error(.limitExceeded, "A value is \(length) bytes; at most \(limit) are accepted.")
        }
        return length
    }

    // MARK: Bytes

    private mutating func readInteger<Integer: FixedWidthInteger>(_: Integer.Type) throws(BSONError) -> Integer {
        let payload = try self.advance(MemoryLayout<Integer>.size)
        return Integer(littleEndian: payload.loadUnaligned(as: Integer.self))
    }

    private mutating func readTerminatedString() throws(BSONError) -> String {
        let text = try self.advance(try self.terminatorDistance() + 1)
        guard text.count <= self.limits.maximumValueBytes else {
            throw self.error(
                .limitExceeded,
                "A name is \(text.count) bytes; at most \(self.limits.maximumValueBytes) are accepted."
            )
        }
        return try self.text(text.dropLast())
    }

    private mutating func skipTerminated() throws(BSONError) {
        _ = try self.advance(try self.terminatorDistance() + 1)
    }

    /// The number of bytes before the next 00 inside the container.
    private func terminatorDistance() throws(BSONError) -> Int {
        var end = self.position
        while end < self.containerEnd {
            if self.bytes[end] == 0 { return end - self.position }
            end += 1
        }
        throw self.pastEnd()
    }

    /// The next bytes; moves behind them.
    private mutating func advance(_ count: Int) throws(BSONError) -> UnsafeRawBufferPointer {
        guard count <= self.containerEnd - self.position else { throw self.pastEnd() }
        defer { self.position += count }
        return UnsafeRawBufferPointer(rebasing: self.bytes[self.position..<self.position + count])
    }

    private func pastEnd() -> BSONError {
        let truncated = self.containerEnd == self.bytes.count
        return self.error(
            truncated ? .truncated : .malformed,
            truncated ? "Unexpected end of the document." : "Read past end of current container context."
        )
    }

    private func error(_ code: BSONError.Code, _ message: String) -> BSONError {
        BSONError(code, at: self.position, message)
    }
}
