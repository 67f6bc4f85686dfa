import ServerDomain
import Testing

@Suite struct JSONValueTests {
    @Test("members keep their order, numbers and texts their value")
    func roundTrip() throws {
        let text = #"{"z":1,"a":[true,false,null,-2.5,"x\"\\\n"],"Ä":{"k":"😀"},"big":9007199254740993}"#
        #expect(String(decoding: try JSONValue(parsing: text).serialized(), as: UTF8.self) == text)
    }

    @Test("a byte-order mark, blanks and escapes are read")
    func tolerated() throws {
        let bytes = [0xef, 0xbb, 0xbf] + Array(" { \"a\" : \"\\u00e4\\ud83d\\ude00\\/\" } \n".utf8)
        #expect(try JSONValue(parsing: bytes) == ["a": "ä😀/"])
    }

    @Test(
        "malformed text is refused",
        arguments: [
            "", "{", "[1,", "{\"a\"}", "tru", "01x", "\"\\q\"", "\"\\ud800\"", "[1] 2", "{'a':1}", "nan", "+1",
            "\"\u{1}\"", "1e999",
        ]
    )
    func malformed(text: String) {
        #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: text) }
    }

    @Test("nesting is bounded")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSONValue(parsing: nested(64))
        #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: nested(65)) }
    }

    @Test("members are found in any case")
    func anyCase() throws {
        var object = try #require(try JSONValue(parsing: #"{"projectName":"Web"}"#).members)
        #expect(object.text("ProjectName") == "Web")
        object["PROJECTNAME"] = "Other"
        #expect(object.members.count == 1)
    }
}
