import Foundation
import SecureTransport
import Testing

@Suite struct ThumbprintTests {
    static let text = "0FEDCBA9876543210123456789ABCDEF00000042"

    @Test(
        "reads both cases, blanks, colons and the mark that the Windows dialogue adds",
        arguments: [
            text, text.lowercased(), "  \(text)\n", "\u{200E}\(text)",
            "0F:ED:CB:A9:87:65:43:21:01:23:45:67:89:AB:CD:EF:00:00:00:42",
            "0fedcba9 87654321 01234567 89abcdef 00000042",
        ]
    )
    func reads(spelling: String) {
        #expect(Thumbprint(spelling)?.description == Self.text)
    }

    @Test(
        "refuses what is not 40 hex digits",
        arguments: ["", "0FED", text + "0", String(text.dropLast()), "G" + text.dropFirst()]
    )
    func refuses(spelling: String) {
        #expect(Thumbprint(spelling) == nil)
    }

    @Test("is SHA-1 of the bytes, and its text form in JSON")
    func digest() throws {
        let thumbprint = Thumbprint(certificateDER: Array("abc".utf8))
        #expect(thumbprint.description == "A9993E364706816ABA3E25717850C26C9CD0D89D")
        let json = try JSONEncoder().encode([thumbprint])
        #expect(String(decoding: json, as: UTF8.self) == #"["A9993E364706816ABA3E25717850C26C9CD0D89D"]"#)
        #expect(try JSONDecoder().decode([Thumbprint].self, from: json) == [thumbprint])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([Thumbprint].self, from: Data(#"["x"]"#.utf8)) }
    }
}
