import Packages
import Testing

@Suite struct EntryNameTests {
    @Test(
        "names that stay inside",
        arguments: [
            ("a/b.txt", ["a", "b.txt"]), ("./a//b/", ["a", "b"]), ("a/../b", ["b"]), ("a\\b.txt", ["a", "b.txt"]),
            (".", []), ("a/..", []), ("...", ["..."]), ("%2e%2e/x", ["%2e%2e", "x"]), ("ü/ß", ["ü", "ß"]),
        ]
    )
    func inside(name: String, parts: [String]) throws {
        #expect(try EntryName.parts(of: name, extractingTo: "/d") == parts)
    }

    @Test(
        "names that lead outside",
        arguments: [
            "../x", "a/../../x", "/etc/passwd", "\\x", "..\\x", "..", "", "a\0b", String(repeating: "n", count: 5000),
        ]
    )
    func outside(name: String) {
        let error = #expect(throws: PackageError.self) { try EntryName.parts(of: name, extractingTo: "/d") }
        #expect(error?.code == .malicious)
    }

    @Test("the text of a name that leads outside")
    func text() {
        let error = #expect(throws: PackageError.self) { try EntryName.parts(of: "a/../../x", extractingTo: "/d") }
        #expect(
            error?.message
                == "Archive entry 'a/../../x' would extract to '/d/a/../../x', which is outside the intended extraction "
                + "directory '/d'. The archive may be malicious."
        )
    }

    @Test(
        "what is packaging in a NuGet package",
        arguments: [
            ("_rels/.rels", true), ("_RELS\\.rels", true), ("package/services/metadata/core/1.psmdcp", true),
            ("[Content_Types].xml", true), ("deep/down/x.nuspec", true), (".signature.nupkg.sha512", true),
            ("content/_rels/x", false), ("package/x", false), ("nuspec.txt", false),
        ]
    )
    func packaging(name: String, isPackaging: Bool) {
        #expect(EntryName.isPackagingOfNuGet(name) == isPackaging)
    }

    @Test(
        "percent-encoded names",
        arguments: [("a%20b", "a b"), ("%C3%BC", "ü"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("a+b", "a+b")]
    )
    func decoded(name: String, text: String) {
        #expect(EntryName.percentDecoded(name) == text)
    }
}
