import Foundation
import SecureTransport
import Testing

@testable import ScriptExecution

@Suite struct FileTransferTests {
    @Test("paths: backslashes, relative to home, dots by text")
    func paths() throws {
        let transfer = FileTransfer(homeDirectory: "/home/t", makeDigest: SHA1.init)
        #expect(try transfer.resolve("a\\b\\..\\c") == "/home/t/a/c")
        #expect(try transfer.resolve("/x/./y/../../..//z") == "/z")
        #expect(try FileTransfer(homeDirectory: nil, makeDigest: SHA1.init).resolve("/x") == "/x")
        #expect(throws: ScriptExecutionError(.noHomeDirectory, "The Tentacle home directory has not been set.")) {
            try FileTransfer(homeDirectory: nil, makeDigest: SHA1.init).resolve("x")
        }
    }

    @Test("an upload is stored whole, hashed, and replaces what was there")
    func upload() async throws {
        try await ScriptFixture.with { fixture in
            let transfer = FileTransfer(homeDirectory: fixture.home, makeDigest: SHA1.init)
            let result = try await transfer.upload(to: "Files\\hello.txt", .bytes(Array("Hello".utf8)))
            #expect(result.fullPath == fixture.home + "/Files/hello.txt")
            #expect(result.hash == "f7ff9e8b7bb2e09b70935a5d785e0cc5d9d0abf0")
            #expect(result.length == 5)
            let spool = fixture.home + "/spool"
            #expect(
                FileManager.default.createFile(atPath: spool, contents: Data(), attributes: [.posixPermissions: 0o600])
            )
            let empty = try await transfer.upload(to: "Files/hello.txt", .file(path: spool, length: 0))
            #expect(empty.hash == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
            #expect(try await transfer.download("Files/hello.txt") == .init(path: result.fullPath, length: 0))
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.home + "/Files") == ["hello.txt"])
            let other = fixture.home + "/as-created"
            try Data().write(to: URL(filePath: other))
            #expect(try Self.mode(result.fullPath) == Self.mode(other), "a spool file's privacy must not stay")
            #expect(try await transfer.upload(to: "none", nil).hash == nil)
            #expect(try await transfer.download("none") == nil)
            #expect(try await transfer.download("Files") == nil)
        }
    }

    @Test("an upload that fails leaves the old file and nothing else")
    func failedUpload() async throws {
        try await ScriptFixture.with { fixture in
            let transfer = FileTransfer(homeDirectory: fixture.home, makeDigest: SHA1.init)
            _ = try await transfer.upload(to: "d/f", .bytes([1]))
            await #expect(throws: ScriptExecutionError.self) {
                try await transfer.upload(to: "d/f", .file(path: fixture.home + "/absent", length: 1))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.home + "/d") == ["f"])
            #expect(try await transfer.download("d/f")?.length == 1)
        }
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

    private static func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
}

/// libcrypto's SHA-1, as the agent hands it in.
private final class SHA1: UploadDigest {
    private var bytes: [UInt8] = []

    func update(_ bytes: ArraySlice<UInt8>) { self.bytes += bytes }

    func finish() -> String {
        Cryptography.sha1(bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
