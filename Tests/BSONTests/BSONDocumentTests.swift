import BSON
import Testing

@Suite("BSONDocument")
struct BSONDocumentTests {
    @Test("A member is found whatever the case of its name, and keeps its place when set")
    func lookup() {
        var document: BSONDocument = ["Id": "a", "length": .int32(1)]
        #expect(document["ID"] == "a")
        document["id"] = "b"
        document["New"] = nil
        document["More"] = true
        #expect(document == ["Id": "b", "length": .int32(1), "More": true])
        document["LENGTH"] = nil
        #expect(document.elements.map(\.key) == ["Id", "More"])
    }
}
