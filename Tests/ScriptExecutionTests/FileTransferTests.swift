import Foundation
import Testing

@testable import ScriptExecution

@Suite struct FileTransferTests {
    @Test("paths: backslashes, relative to home, dots by text")
    func paths() throws {
        let transfer = FileTransfer(homeDirectory: "/home/t")
        #expect(try transfer.resolve("a\\b\\..\\c") == "/home/t/a/c")
        #expect(try transfer.resolve("/x/./y/../../..//z") == "/z")
        #expect(try FileTransfer(homeDirectory: nil).resolve("/x") == "/x")
        #expect(throws: ScriptExecutionError(.noHomeDirectory, "The Tentacle home directory has not been set.")) {
            try FileTransfer(homeDirectory: nil).resolve("x")
        }
    }

    @Test("an upload is stored whole, hashed, and replaces what was there")
    func upload() async throws {
        try await ScriptFixture.with { fixture in
            let transfer = FileTransfer(homeDirectory: fixture.home)
            let result = try await transfer.upload(to: "Files\\hello.txt", .bytes(Array("Hello".utf8)))
            #expect(result.fullPath == fixture.home + "/Files/hello.txt")
            #expect(result.hash == "f7ff9e8b7bb2e09b70935a5d785e0cc5d9d0abf0")
            #expect(result.length == 5)
            let spool = fixture.home + "/spool"
            try Data().write(to: URL(filePath: spool))
            let empty = try await transfer.upload(to: "Files/hello.txt", .file(path: spool, length: 0))
            #expect(empty.hash == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
            #expect(try await transfer.download("Files/hello.txt") == .init(path: result.fullPath, length: 0))
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.home + "/Files") == ["hello.txt"])
            #expect(try await transfer.upload(to: "none", nil).hash == nil)
            #expect(try await transfer.download("none") == nil)
            #expect(try await transfer.download("Files") == nil)
        }
    }

    @Test("an upload that fails leaves the old file and nothing else")
    func failedUpload() async throws {
        try await ScriptFixture.with { fixture in
            let transfer = FileTransfer(homeDirectory: fixture.home)
            _ = try await transfer.upload(to: "d/f", .bytes([1]))
            await #expect(throws: ScriptExecutionError.self) {
                try await transfer.upload(to: "d/f", .file(path: fixture.home + "/absent", length: 1))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.home + "/d") == ["f"])
            #expect(try await transfer.download("d/f")?.length == 1)
        }
    }

    @Test("SHA-1 is the same however the bytes arrive", arguments: [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
    func hash(length: Int) {
        let bytes = (0..<length).map { UInt8($0 & 0xFF) }
        var whole = SHA1()
        whole.update(bytes[...])
        var parts = SHA1()
        for byte in bytes { parts.update([byte]) }
        let digests = [whole.hexDigest(), parts.hexDigest()]
        #expect(digests[0] == digests[1])
        var known = SHA1()
        known.update(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)[...])
        let digest = known.hexDigest()
        #expect(digest == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
    }

    @Test(
        "sizes are by 1024 with up to three decimals",
        arguments: [
            (UInt64(0), "0 B"), (1023, "1023 B"), (1024, "1 KB"), (577_765_376, "551 MB"), (1_539_745_786, "1.434 GB"),
        ]
    )
    func sizes(bytes: UInt64, text: String) {
        #expect(DiskSpaceCheck.text(bytes) == text)
    }

    static let argumentStrings: [(String, [String])] = [
        ("", []), ("  a\tb ", ["a", "b"]), (#"First "two words" a\"b"#, ["First", "two words", "a\"b"]),
        (#""""#, [""]), (#""a""b""#, [#"a"b"#]), (#"a\\"b c""#, [#"a\b c"#]), (#"a\\\"b"#, [#"a\"b"#]),
        (#"a\b\\c"#, [#"a\b\\c"#]), ("'a b'", ["'a", "b'"]), (#""open quote"#, ["open quote"]),
    ]

    @Test("arguments split as .NET does", arguments: argumentStrings)
    func arguments(text: String, expected: [String]) {
        #expect(ArgumentSplitter.split(text) == expected)
    }
}
