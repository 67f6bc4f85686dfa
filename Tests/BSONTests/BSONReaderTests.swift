import BSON
import FoundationEssentials
import Testing

@Suite("BSONReader")
struct BSONReaderTests {
    /// A document with one element `a` of the given type and payload.
    private func one(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let count = UInt8(4 + 3 + payload.count + 1)
        return [count, 0, 0, 0, type, 0x61, 0] + payload + [0]
    }

    @Test(
        "Every readable element has a value",
        arguments: [
            (0x01, "00 00 00 00 00 00 f8 3f", BSONValue.double(1.5)),
            (0x02, "03 00 00 00 68 69 00", "hi"),
            (0x02, "01 00 00 00 00", ""),
            (0x02, "03 00 00 00 ff 41 00", "\u{fffd}A"),
            (0x03, "05 00 00 00 00", [:] as BSONValue),
            (0x04, "05 00 00 00 00", [] as BSONValue),
            (0x04, "0b 00 00 00 08 37 37 37 00 01 00", [true]),
            (0x05, "02 00 00 00 00 01 02", .binary([1, 2], subtype: 0)),
            (0x05, "06 00 00 00 02 02 00 00 00 01 02", .binary([1, 2], subtype: 2)),
            (
                0x05, "10 00 00 00 04 33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff",
                .uuid(GoldenVectorTests.activityID)
            ),
            (0x06, "", nil),
            (
                0x07, "01 02 03 04 05 06 07 08 09 0a 0b 0c",
                .binary([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], subtype: 0)
            ),
            (0x08, "00", false),
            (0x08, "02", true),
            (0x09, "7b 68 e5 cf 8b 01 00 00", .dateTime(millisecondsSince1970: 1_700_000_000_123)),
            (0x0a, "", nil),
            (0x0b, "61 2b 00 69 00", "/a+/i"),
            (0x0d, "02 00 00 00 78 00", "x"),
            (0x0e, "02 00 00 00 78 00", "x"),
            (0x10, "ff ff ff ff", .int32(-1)),
            (0x11, "01 00 00 00 00 00 00 00", .int64(1)),
            (0x12, "ff ff ff ff ff ff ff 7f", .int64(.max)),
        ] as [(UInt8, String, BSONValue)]
    )
    func readable(type: UInt8, payload: String, expected: BSONValue) throws {
        let document = try BSONDocument(bytes: self.one(type, hex(payload)))
        #expect(document.elements == [.init(key: "a", value: expected)])
        #expect(try BSONDocument(bytes: try document.encoded()) == document)
    }

    @Test("Other elements are refused", arguments: [0x00, 0x0c, 0x0f, 0x13, 0x7f, 0xff] as [UInt8])
    func unsupported(type: UInt8) {
        let error = #expect(throws: BSONError.self) { try BSONDocument(bytes: self.one(type, [0, 0, 0, 0])) }
        #expect(error?.code == .unsupportedElement)
        #expect(error?.message == "Unexpected BsonType value: \(type)")
    }

    @Test(
        "Sizes must be exact",
        arguments: [
            // A string that reaches past its document into the enclosing one.
            (
                "15 00 00 00 03 61 00 0c 00 00 00 02 62 00 02 00 00 00 78 00 00",
                "Read past end of current container context."
            ),
            ("04 00 00 00", "A document of 4 bytes is not possible."),
            ("ff ff ff ff 00", "A document of -1 bytes is not possible."),
            ("05 00 00 00 01", "Unexpected end of object byte value."),
            ("05 00 00 00 00 00", "Bytes follow the end of the document."),
            ("06 00 00 00 00", "Unexpected end of the document."),
            ("0c 00 00 00 02 61 00 00 00 00 00 00", "A string of 0 bytes is not possible."),
            ("0c 00 00 00 02 61 00 ff ff ff ff 00", "A length of -1 bytes is not possible."),
            ("0d 00 00 00 02 61 00 01 00 00 00 78 00", "A string does not end with 00."),
            ("0d 00 00 00 05 61 00 00 00 00 00 04 00", "Byte array for Guid must be exactly 16 bytes long."),
            ("08 00 00 00 0a 61 62 00", "Read past end of current container context."),
            (
                "11 00 00 00 05 61 00 04 00 00 00 02 01 00 00 00 00",
                "The two lengths of binary 02 differ."
            ),
        ]
    )
    func exactness(bytes: String, message: String) {
        let error = #expect(throws: BSONError.self) { try BSONDocument(bytes: hex(bytes)) }
        #expect(error?.message == message)
    }

    private func nested(_ depth: Int) throws -> [UInt8] {
        var document = BSONDocument()
        for _ in 1..<depth { document = ["a": .document(document)] }
        return try document.encoded()
    }

    @Test("64 levels are read, 65 are not, and very many cost no stack")
    func depth() throws {
        #expect(throws: Never.self) { try BSONDocument(bytes: self.nested(64)) }
        let error = #expect(throws: BSONError.self) { try BSONDocument(bytes: self.nested(65)) }
        #expect(error?.code == .limitExceeded)
        #expect(error?.message == "The reader's MaxDepth of 64 has been exceeded.")
        var array: BSONValue = []
        for _ in 0..<63 { array = .array([array]) }
        #expect(throws: BSONError.self) { try BSONDocument(bytes: (["a": array] as BSONDocument).encoded()) }
    }

    @Test("Each limit holds at its value and not one past it")
    func limits() throws {
        let bytes = try (["text": "12345", "list": [true, false]] as BSONDocument).encoded()
        // Five characters and a NUL.
        for (limits, accepted) in [
            (BSONLimits(maximumDocumentBytes: bytes.count), true),
            (BSONLimits(maximumDocumentBytes: bytes.count - 1), false),
            (BSONLimits(maximumValueBytes: 6), true), (BSONLimits(maximumValueBytes: 5), false),
            (BSONLimits(maximumDepth: 2), true), (BSONLimits(maximumDepth: 1), false),
        ] {
            let result = Result { try BSONDocument(bytes: bytes, limits: limits) }
            switch result {
            case .success: #expect(accepted, "\(limits)")
            case .failure(let error): #expect(!accepted && (error as? BSONError)?.code == .limitExceeded, "\(limits)")
            }
        }
    }

    /// What a tree really takes, beside the malloc's own bytes.
    private func memory(of value: BSONValue) -> Int {
        func text(_ text: String) -> Int { text.utf8.count > 15 ? 32 + text.utf8.count : 0 }
        switch value {
        case .string(let string): return text(string)
        case .binary(let bytes, _): return bytes.isEmpty ? 0 : 32 + bytes.count
        case .document(let document):
            let own =
                document.elements.isEmpty
                ? 0 : 32 + document.elements.capacity * MemoryLayout<BSONDocument.Element>.stride
            return document.elements.reduce(own) { $0 + text($1.key) + memory(of: $1.value) }
        case .array(let values):
            let own = values.isEmpty ? 0 : 32 + values.capacity * MemoryLayout<BSONValue>.stride
            return values.reduce(own) { $0 + memory(of: $1) }
        default: return 0
        }
    }

    /// An array of as many elements of two bytes.
    private func nulls(_ count: Int) -> [UInt8] {
        let array = UInt32(4 + 2 * count + 1)
        func bytes(_ size: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } }
        return bytes(array + 8) + [0x04, 0x61, 0x00] + bytes(array)
            + [UInt8](repeating: 0x0a, count: 2 * count).enumerated().map { $0.offset % 2 == 0 ? $0.element : 0 } + [
                0, 0,
            ]
    }

    @Test("Two bytes on the wire can cost 24 in memory: memory is bounded, to the element")
    func memoryOfNulls() throws {
        let root = 32 + MemoryLayout<BSONDocument.Element>.stride
        let limits = BSONLimits(maximumMemoryBytes: root + 32 + 10_000 * MemoryLayout<BSONValue>.stride)
        #expect(MemoryLayout<BSONValue>.stride == 24)
        let document = try BSONDocument(bytes: self.nulls(10_000), limits: limits)
        #expect(document["a"]?.array?.count == 10_000)
        let error = #expect(throws: BSONError.self) { try BSONDocument(bytes: self.nulls(10_001), limits: limits) }
        #expect(error?.code == .limitExceeded)
        #expect(error?.message == "The document takes more than \(limits.maximumMemoryBytes) bytes of memory.")
    }

    @Test(
        "Names, texts, bytes and containers are paid for at what they take",
        arguments: [
            [
                "a": .string(String(repeating: "x", count: 1000)),
                "b": .binary([UInt8](repeating: 1, count: 999), subtype: 0),
            ],
            ["a name of more than fifteen bytes": nil, "n": ["x": ["y": ["z": [[], [], [["w": true]]]]]]],
            [
                "list": .array(
                    (0..<100).map { ["Source": .int32(0), "Text": .string("a line of the log, number \($0)")] }
                )
            ],
        ] as [BSONDocument]
    )
    func memoryOfTrees(_ document: BSONDocument) throws {
        let bytes = try document.encoded()
        // The least limit under which the document is read.
        var (refused, accepted) = (0, 1 << 20)
        while refused + 1 < accepted {
            let middle = (refused + accepted) / 2
            let isRead = (try? BSONDocument(bytes: bytes, limits: BSONLimits(maximumMemoryBytes: middle))) != nil
            if isRead { accepted = middle } else { refused = middle }
        }
        let read = try BSONDocument(bytes: bytes)
        #expect(read == document)
        let real = self.memory(of: .document(read))
        // Arrays are as large as their content; what malloc rounds up is a few bytes each.
        #expect((accepted...accepted * 5 / 4).contains(real), "\(accepted) paid, \(real) taken")
    }

    @Test("Bytes that are no UTF-8 are paid for at the three bytes that each becomes")
    func memoryOfReplacements() throws {
        let text = [UInt8](repeating: 0xff, count: 100)
        let document: [UInt8] = [113, 0, 0, 0, 0x02, 0x61, 0, 101, 0, 0, 0] + text + [0, 0]
        let cost = 32 + MemoryLayout<BSONDocument.Element>.stride + 32 + 300
        #expect(throws: Never.self) { try BSONDocument(bytes: document, limits: BSONLimits(maximumMemoryBytes: cost)) }
        #expect(throws: BSONError.self) {
            try BSONDocument(bytes: document, limits: BSONLimits(maximumMemoryBytes: cost - 1))
        }
    }

    @Test("A name is a value, too: one byte past the largest is refused")
    func nameLimit() throws {
        let bytes = try ([String(repeating: "n", count: 9): nil] as BSONDocument).encoded()
        #expect(throws: Never.self) { try BSONDocument(bytes: bytes, limits: BSONLimits(maximumValueBytes: 10)) }
        let error = #expect(throws: BSONError.self) {
            try BSONDocument(bytes: bytes, limits: BSONLimits(maximumValueBytes: 9))
        }
        #expect(error?.code == .limitExceeded)
    }

    @Test("Slices and lazy collections are read like arrays")
    func collections() throws {
        let bytes = try WireVector.load("request-nul")
        #expect(try BSONDocument(bytes: ([9] + bytes)[1...]) == ["Message": nil])
        #expect(try BSONDocument(bytes: bytes.lazy.map { $0 }) == ["Message": nil])
    }

    @Test("A large array is written with decimal keys and read back")
    func largeArray() throws {
        let values = (0..<1100).map { BSONValue.int32(Int32($0)) }
        let document: BSONDocument = ["a": .array(values)]
        let bytes = try document.encoded()
        #expect(try BSONDocument(bytes: bytes) == document)
        // 1100 values of 6 bytes and their digits, two document frames and the key.
        #expect(bytes.count == 1100 * 6 + 10 + 180 + 2700 + 400 + 5 + 5 + 3)
    }

    @Test("A NUL in a name has no BSON form")
    func nulInName() {
        let error = #expect(throws: BSONError.self) { try (["a\0b": nil] as BSONDocument).encoded() }
        #expect(error?.code == .notEncodable)
    }
}
