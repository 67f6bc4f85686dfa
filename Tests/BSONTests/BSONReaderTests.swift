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
        // Five characters and a NUL; two members and two list values.
        for (limits, accepted) in [
            (BSONLimits(maximumDocumentBytes: bytes.count), true),
            (BSONLimits(maximumDocumentBytes: bytes.count - 1), false),
            (BSONLimits(maximumValueBytes: 6), true), (BSONLimits(maximumValueBytes: 5), false),
            (BSONLimits(maximumElements: 4), true), (BSONLimits(maximumElements: 3), false),
            (BSONLimits(maximumDepth: 2), true), (BSONLimits(maximumDepth: 1), false),
        ] {
            let result = Result { try BSONDocument(bytes: bytes, limits: limits) }
            switch result {
            case .success: #expect(accepted, "\(limits)")
            case .failure(let error): #expect(!accepted && (error as? BSONError)?.code == .limitExceeded, "\(limits)")
            }
        }
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
