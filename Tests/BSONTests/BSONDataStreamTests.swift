import BSON
import FoundationEssentials
import Testing

@Suite("BSONDataStream")
struct BSONDataStreamTests {
    private let id = GoldenVectorTests.activityID

    @Test(
        "A stream is recognised in every form that peers use",
        arguments: [
            ["id": .uuid(GoldenVectorTests.activityID), "length": .int64(7)],
            ["id": .uuid(GoldenVectorTests.activityID), "length": .int32(7)],
            ["Id": "00112233-4455-6677-8899-aabbccddeeff", "LENGTH": .int64(7)],
            ["id": .binary(GoldenVectorTests.activityID.dotNetBytes, subtype: 3), "length": .int64(7)],
            ["id": .binary(GoldenVectorTests.activityID.dotNetBytes, subtype: 0), "length": .int64(7)],
            ["length": .int64(7), "id": .uuid(GoldenVectorTests.activityID)],
            [
                "$type": "Halibut.DataStream, Halibut", "id": .uuid(GoldenVectorTests.activityID),
                "length": .int64(7), "more": nil,
            ],
            [
                "$type": "Halibut.DataStream, Halibut, Version=1.0.0.0, Culture=neutral",
                "id": .uuid(GoldenVectorTests.activityID), "length": .int64(7),
            ],
        ] as [BSONDocument]
    )
    func recognised(document: BSONDocument) {
        #expect(document.dataStreams == [BSONDataStream(id: self.id, length: 7)])
    }

    @Test(
        "Other documents are not",
        arguments: [
            ["id": "not a guid", "length": .int64(7)],
            ["id": .uuid(GoldenVectorTests.activityID), "length": "7"],
            ["id": .uuid(GoldenVectorTests.activityID), "length": .int64(7), "name": nil],
            ["id": .uuid(GoldenVectorTests.activityID)],
            ["$type": "Halibut.DataStreamer, Halibut", "id": .uuid(GoldenVectorTests.activityID), "length": .int64(7)],
        ] as [BSONDocument]
    )
    func notRecognised(document: BSONDocument) {
        #expect(document.dataStreams == [])
    }

    @Test("Streams come depth first in document order, a typed one counts whatever its members")
    func order() {
        let ids = (0..<4).map { _ in UUID() }
        func stream(_ index: Int) -> BSONValue { BSONDataStream(id: ids[index], length: 1).value(typed: false) }
        let document: BSONDocument = [
            "a": ["x": [stream(0), ["y": stream(1)]]], "b": stream(2),
            "c": ["$type": "Halibut.DataStream, Halibut"], "d": stream(3),
        ]
        #expect(document.dataStreams.map(\.id) == [ids[0], ids[1], ids[2], .zero, ids[3]])
    }

    @Test("A GUID is written in .NET order and read back, as bytes and as text in any form")
    func guidOrder() throws {
        let bytes = hex("33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff")
        #expect(self.id.dotNetBytes == bytes)
        #expect(UUID(dotNetBytes: bytes) == self.id)
        #expect(UUID(dotNetBytes: bytes.dropLast()) == nil)
        #expect(self.id.wireText == "00112233-4455-6677-8899-aabbccddeeff")
        for text in [
            "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff",
            "{00112233-4455-6677-8899-aabbccddeeff}", "(00112233-4455-6677-8899-aabbccddeeff)",
        ] {
            #expect(UUID(lenientText: text) == self.id)
        }
        for text in ["", "{}", "00112233", "00112233-4455-6677-8899-aabbccddeef", "zz112233445566778899aabbccddeeff"] {
            #expect(UUID(lenientText: text) == nil)
        }
    }
}
