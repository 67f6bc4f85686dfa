import FoundationEssentials

extension BSONDocument {
    /// The bytes of the document, as Json.NET's `BsonDataWriter` writes them (halibut.md 6).
    ///
    /// - Throws: For a NUL in a member's name and for a document over 2 GiB, which have no BSON form.
    package func encoded() throws(BSONError) -> [UInt8] {
        let count = try self.encodedByteCount()
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            self.encode(into: UnsafeMutableRawBufferPointer(buffer))
            initializedCount = count
        }
    }

    /// How many bytes ``encoded()`` returns.
    ///
    /// - Throws: As ``encoded()``.
    package func encodedByteCount() throws(BSONError) -> Int {
        let count = try BSONWriter.size(of: self)
        guard count <= Int(Int32.max) else {
            throw BSONError(
                .notEncodable,
                at: 0,
                "The document would be \(count) bytes; at most \(Int32.max) are possible."
            )
        }
        return count
    }

    /// Writes the bytes of ``encoded()`` to memory of at least ``encodedByteCount()`` bytes.
    package func encode(into buffer: UnsafeMutableRawBufferPointer) {
        var writer = BSONWriter(buffer: buffer)
        writer.write(self)
    }
}

/// Writes documents into a buffer of exactly the size that ``size(of:)`` computed; sizes of containers are put in place
/// when their end is known, so that the whole costs two passes.
private struct BSONWriter {
    private let buffer: UnsafeMutableRawBufferPointer
    private(set) var position = 0

    init(buffer: UnsafeMutableRawBufferPointer) {
        self.buffer = buffer
    }

    // MARK: First pass

    static func size(of document: BSONDocument) throws(BSONError) -> Int {
        var size = 5
        for element in document.elements {
            guard !Self.containsNUL(element.key) else {
                throw BSONError(.notEncodable, at: 0, "A member's name contains NUL.")
            }
            size += 2 + element.key.utf8.count
            size += try Self.size(of: element.value)
        }
        return size
    }

    private static func size(of value: BSONValue) throws(BSONError) -> Int {
        switch value {
        case .double, .dateTime, .int64: return 8
        case .string(let text): return 5 + text.utf8.count
        case .document(let document): return try Self.size(of: document)
        case .array(let values):
            var size = 5
            for (index, value) in values.enumerated() {
                size += 2 + Self.digits(of: index)
                size += try Self.size(of: value)
            }
            return size
        case .binary(let bytes, subtype: 2): return 9 + bytes.count
        case .binary(let bytes, _): return 5 + bytes.count
        case .uuid: return 21
        case .bool: return 1
        case .null: return 0
        case .int32: return 4
        }
    }

    private static func containsNUL(_ key: String) -> Bool {
        key.utf8.withContiguousStorageIfAvailable { $0.contains(0) } ?? key.utf8.contains(0)
    }

    private static func digits(of index: Int) -> Int {
        var count = 1
        var rest = index / 10
        while rest > 0 {
            count += 1
            rest /= 10
        }
        return count
    }

    // MARK: Second pass

    mutating func write(_ document: BSONDocument) {
        let start = self.openContainer()
        for element in document.elements {
            self.writeHead(of: element.value)
            self.write(utf8: element.key)
            self.writePayload(element.value)
        }
        self.closeContainer(at: start)
    }

    private mutating func write(_ values: [BSONValue]) {
        let start = self.openContainer()
        for (index, value) in values.enumerated() {
            self.writeHead(of: value)
            self.writeDigits(of: index)
            self.writePayload(value)
        }
        self.closeContainer(at: start)
    }

    private mutating func openContainer() -> Int {
        defer { self.position += 4 }
        return self.position
    }

    private mutating func closeContainer(at start: Int) {
        self.write(integer: UInt8(0))
        let end = self.position
        self.position = start
        self.write(integer: Int32(end - start))
        self.position = end
    }

    private mutating func writeHead(of value: BSONValue) {
        let type: UInt8 =
            switch value {
            case .double: 0x01
            case .string: 0x02
            case .document: 0x03
            case .array: 0x04
            case .binary, .uuid: 0x05
            case .bool: 0x08
            case .dateTime: 0x09
            case .null: 0x0a
            case .int32: 0x10
            case .int64: 0x12
            }
        self.write(integer: type)
    }

    private mutating func writePayload(_ value: BSONValue) {
        switch value {
        case .double(let number): self.write(integer: number.bitPattern)
        case .string(let text):
            self.write(integer: Int32(text.utf8.count + 1))
            self.write(utf8: text)
        case .document(let document): self.write(document)
        case .array(let values): self.write(values)
        case .binary(let bytes, let subtype): self.write(bytes, subtype: subtype)
        case .uuid(let uuid): self.write(uuid)
        case .bool(let flag): self.write(integer: UInt8(flag ? 1 : 0))
        case .dateTime(let milliseconds): self.write(integer: milliseconds)
        case .null: break
        case .int32(let number): self.write(integer: number)
        case .int64(let number): self.write(integer: number)
        }
    }

    // MARK: Bytes

    private mutating func write<Integer: FixedWidthInteger>(integer: Integer) {
        self.buffer.storeBytes(of: integer.littleEndian, toByteOffset: self.position, as: Integer.self)
        self.position += MemoryLayout<Integer>.size
    }

    /// Writes text and its final 00.
    private mutating func write(utf8 text: String) {
        var text = text
        text.withUTF8 { self.write(raw: UnsafeRawBufferPointer($0)) }
        self.write(integer: UInt8(0))
    }

    private mutating func writeDigits(of index: Int) {
        let end = self.position + Self.digits(of: index)
        var rest = index
        for place in stride(from: end - 1, through: self.position, by: -1) {
            self.buffer[place] = UInt8(0x30 + rest % 10)
            rest /= 10
        }
        self.position = end
        self.write(integer: UInt8(0))
    }

    private mutating func write(_ bytes: [UInt8], subtype: UInt8) {
        // The old form 02 repeats the length inside the payload.
        self.write(integer: Int32(subtype == 2 ? bytes.count + 4 : bytes.count))
        self.write(integer: subtype)
        if subtype == 2 { self.write(integer: Int32(bytes.count)) }
        bytes.withUnsafeBytes { self.write(raw: $0) }
    }

    private mutating func write(_ uuid: UUID) {
        self.write(integer: Int32(16))
        self.write(integer: UInt8(0x04))
        withUnsafeBytes(of: uuid.dotNetOrder) { self.write(raw: $0) }
    }

    private mutating func write(raw bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: self.buffer[self.position..<self.position + bytes.count])
            .copyMemory(from: bytes)
        self.position += bytes.count
    }
}
