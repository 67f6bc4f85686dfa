import BSON
import FoundationEssentials
import Testing

/// A member of every kind that the wire has.
private struct Sample: Codable, Equatable {
    var text: String
    var flag: Bool
    var small: Int32
    var large: Int64
    var natural: Int
    var unsigned: UInt32
    var ratio: Double
    var id: UUID
    var moment: Date
    var span: Duration
    var bytes: [UInt8]
    var list: [String]
    var nested: Nested
    var nothing: String?
    var noNumber: Int32?
    var noSpan: Duration?
    var dictionary: [String: Int32]

    struct Nested: Codable, Equatable {
        var name: String
        var more: [Nested]?
    }
}

@Suite("BSONEncoder and BSONDecoder")
struct BSONCodableTests {
    private let sample = Sample(
        text: "t",
        flag: true,
        small: -1,
        large: 5,
        natural: 6,
        unsigned: .max,
        ratio: 0.5,
        id: GoldenVectorTests.activityID,
        moment: Date(timeIntervalSince1970: 1_700_000_000.123),
        span: .milliseconds(1500),
        bytes: [1, 2],
        list: ["a", "b"],
        nested: .init(name: "n", more: [.init(name: "m", more: nil)]),
        nothing: nil,
        noNumber: nil,
        noSpan: nil,
        dictionary: ["k": 1]
    )

    private let document: BSONDocument = [
        "text": "t", "flag": true, "small": .int32(-1), "large": .int64(5), "natural": .int64(6),
        "unsigned": .int64(4_294_967_295), "ratio": .double(0.5), "id": .uuid(GoldenVectorTests.activityID),
        "moment": .dateTime(millisecondsSince1970: 1_700_000_000_123), "span": "00:00:01.5000000",
        "bytes": .binary([1, 2], subtype: 0), "list": ["a", "b"],
        "nested": ["name": "n", "more": [["name": "m", "more": nil]]],
        "nothing": nil, "noNumber": nil, "noSpan": nil, "dictionary": ["k": .int32(1)],
    ]

    @Test("Members keep their order and have the widths of their .NET types; nil is written")
    func encode() throws {
        #expect(try BSONEncoder().encode(self.sample) == .document(self.document))
    }

    @Test("The type name comes first, and only on documents")
    func typeName() throws {
        let value = try BSONEncoder().encode(Sample.Nested(name: "n", more: nil), typeName: "T, A")
        #expect(value == ["$type": "T, A", "name": "n", "more": nil])
        #expect(value.document?.typeName == "T, A")
        #expect(try BSONEncoder().encode("text", typeName: "T, A") == "text")
    }

    @Test("A document reads back, with names in other case, in another order, with unknown members")
    func decode() throws {
        #expect(try BSONDecoder().decode(Sample.self, from: .document(self.document)) == self.sample)
        var other = BSONDocument(
            elements: self.document.elements.reversed().map { .init(key: $0.key.uppercased(), value: $0.value) }
        )
        other["Unknown"] = ["x": [.null]]
        other["Text"] = "t"
        // Dictionary keys are data, not names.
        other["dictionary"] = ["k": .int32(1)]
        #expect(try BSONDecoder().decode(Sample.self, from: .document(other)) == self.sample)
    }

    @Test("Missing members and nulls are the defaults of their types")
    func defaults() throws {
        let nulls = BSONDocument(elements: self.document.elements.map { .init(key: $0.key, value: .null) })
        for document in [BSONDocument(), nulls] {
            let sample = try BSONDecoder().decode(Sample.self, from: .document(document))
            #expect(sample.text == "" && !sample.flag && sample.small == 0 && sample.large == 0 && sample.ratio == 0)
            #expect(sample.id == .zero && sample.span == .zero && sample.bytes == [] && sample.list == [])
            #expect(sample.moment == Date(timeIntervalSince1970: -62_135_596_800))
            #expect(sample.nested == .init(name: "", more: nil) && sample.dictionary == [:])
            #expect(sample.nothing == nil && sample.noNumber == nil && sample.noSpan == nil)
        }
    }

    @Test("The last of several members with one name counts, also among many")
    func duplicates() throws {
        let few: BSONDocument = ["Name": "a", "name": "b"]
        #expect(try BSONDecoder().decode(Sample.Nested.self, from: .document(few)).name == "b")
        let many = BSONDocument(elements: (0..<40).map { .init(key: "NAME", value: .string("\($0)")) })
        #expect(try BSONDecoder().decode(Sample.Nested.self, from: .document(many)).name == "39")
    }

    @Test(
        "Integers come from any numeric element",
        arguments: [(.int32(7), 7), (.int64(7), 7), (.double(7), 7), (.double(2.5), 2), (.double(3.5), 4), (.null, 0)]
            as [(BSONValue, Int32)]
    )
    func integers(value: BSONValue, expected: Int32) throws {
        #expect(try BSONDecoder().decode([String: Int32].self, from: ["n": value]) == ["n": expected])
        #expect(try BSONDecoder().decode([Int64].self, from: [value]) == [Int64(expected)])
        #expect(try BSONDecoder().decode(Int32.self, from: value) == expected)
    }

    @Test(
        "A number that does not fit is an error, not a trap",
        arguments: [.int64(.max), .double(1e300), .double(.nan), .double(.infinity), "7", true] as [BSONValue]
    )
    func numbersOutOfRange(value: BSONValue) {
        #expect(throws: DecodingError.self) { try BSONDecoder().decode(Int32.self, from: value) }
        #expect(throws: DecodingError.self) { try BSONDecoder().decode([Int32].self, from: [value]) }
        #expect(throws: EncodingError.self) { try BSONEncoder().encode(UInt64.max) }
    }

    @Test("A date far out of range is an error, not a trap")
    func datesOutOfRange() {
        #expect(throws: EncodingError.self) { try BSONEncoder().encode(Date(timeIntervalSince1970: .infinity)) }
        #expect(throws: EncodingError.self) { try BSONEncoder().encode([Date(timeIntervalSince1970: 1e30)]) }
    }

    @Test(
        "Dates come from ISO 8601 text, too",
        arguments: [
            ("2023-11-14T22:13:20.123Z", 1_700_000_000.123), ("2023-11-14T22:13:20", 1_700_000_000),
            ("2023-11-15T08:13:20.1230000+10:00", 1_700_000_000.123), ("2023-11-14 19:43:20-02:30", 1_700_000_000),
            ("0001-01-01T00:00:00+00:00", -62_135_596_800), ("2024-02-29T00:00:00Z", 1_709_164_800),
        ] as [(String, Double)]
    )
    func isoDates(text: String, seconds: Double) throws {
        let date = try BSONDecoder().decode(Date.self, from: .string(text))
        #expect(abs(date.timeIntervalSince1970 - seconds) < 0.0005)
    }

    @Test(
        "Other texts are no dates",
        arguments: [
            "", "today", "2023-13-01T00:00:00", "2023-02-29T00:00:00", "1900-02-29T00:00:00", "2023-04-31T00:00:00",
            "2023-01-00T00:00:00", "2023-11-14", "2023-11-14T24:00:00", "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20+10", "2023-11-14T22:13:20Zx", "2023-11-14T22:13:20+99:00",
        ]
    )
    func noDates(text: String) {
        #expect(throws: DecodingError.self) { try BSONDecoder().decode(Date.self, from: .string(text)) }
    }

    @Test(
        "A GUID comes from binary of subtype 00, 03, 04 and from text",
        arguments: [
            .uuid(GoldenVectorTests.activityID), .binary(GoldenVectorTests.activityID.dotNetBytes, subtype: 0),
            .binary(GoldenVectorTests.activityID.dotNetBytes, subtype: 3), "00112233-4455-6677-8899-AABBCCDDEEFF",
        ] as [BSONValue]
    )
    func guids(value: BSONValue) throws {
        #expect(try BSONDecoder().decode([UUID].self, from: [value]) == [GoldenVectorTests.activityID])
    }

    @Test(
        "Lists in a slot of another type come wrapped with their type, as either kind of .NET calls it",
        arguments: [
            "System.String[], mscorlib", "System.String[], System.Private.CoreLib",
            "System.Collections.Generic.List`1[[System.String, mscorlib]], mscorlib",
            "System.Collections.Generic.List`1[[System.String, System.Private.CoreLib]], System.Private.CoreLib",
            "System.String[], mscorlib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089",
        ]
    )
    func wrappedLists(_ typeName: String) throws {
        let list: BSONValue = ["$type": .string(typeName), "$values": ["a", "b"]]
        #expect(try BSONDecoder().decode([String].self, from: list) == ["a", "b"])
        #expect(try BSONDecoder().decode(Sample.self, from: ["list": list]).list == ["a", "b"])
    }

    @Test(
        "Bytes come bare or wrapped",
        arguments: [
            .binary([1], subtype: 0), ["$type": "System.Byte[], mscorlib", "$value": .binary([1], subtype: 0)],
            ["$type": "System.Byte[], System.Private.CoreLib", "$value": .binary([1], subtype: 0)],
        ] as [BSONValue]
    )
    func wrappedBytes(_ value: BSONValue) throws {
        #expect(try BSONDecoder().decode([UInt8].self, from: value) == [1])
        #expect(try BSONDecoder().decode(Sample.self, from: ["bytes": value]).bytes == [1])
        #expect(try [UInt8](rpcValue: value) == [1])
        #expect([UInt8].fits(value))
    }

    @Test("An error says where and what, and not the value")
    func errors() throws {
        let error = #expect(throws: DecodingError.self) {
            try BSONDecoder().decode(Sample.self, from: ["nested": ["name": "n", "more": [["name": .int32(1)]]]])
        }
        guard case .typeMismatch(_, let context) = error else {
            Issue.record("not a mismatch: \(String(describing: error))")
            return
        }
        #expect(context.codingPath.map(\.stringValue) == ["nested", "more", "0", "name"])
        #expect(context.debugDescription == "Expected a string, found an integer.")
    }
}
