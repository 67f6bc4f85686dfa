import Foundation
import Glibc
import Testing

@testable import ScriptExecution

@Suite struct PathComponentTests {
    private static let links = [
        "to-file": "file", "to-directory": "directory", "up": "../outside", "root": "/", "loop": "loop",
    ]

    /// A directory with a file, a directory, and links to both, to itself and upwards.
    private func withDirectory(_ body: (_ directory: Int32, _ path: String) throws -> Void) async throws {
        try await ScriptFixture.withHome { home in
            let files = FileManager.default
            try files.createDirectory(atPath: home + "/in/directory", withIntermediateDirectories: true)
            try "outside".write(toFile: home + "/outside", atomically: false, encoding: .utf8)
            try "inside".write(toFile: home + "/in/file", atomically: false, encoding: .utf8)
            for (name, target) in Self.links {
                try files.createSymbolicLink(atPath: home + "/in/" + name, withDestinationPath: target)
            }
            let directory = open(home + "/in", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            defer { close(directory) }
            try body(directory, home)
        }
    }

    @Test("no link is followed, whatever it leads to and however it is opened")
    func links() async throws {
        try await withDirectory { directory, path in
            for name in Self.links.keys {
                #expect(openComponent(directory, name, O_RDONLY) == -ELOOP)
                #expect(openComponent(directory, name, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o666) == -ELOOP)
                #expect([-ELOOP, -ENOTDIR].contains(openComponent(directory, name, O_RDONLY | O_DIRECTORY)))
                #expect([-ELOOP, -ENOTDIR].contains(openComponent(directory, name, openPathOnly | O_DIRECTORY)))
            }
            #expect(FileManager.default.contents(atPath: path + "/outside") == Data("outside".utf8))
            #expect(FileManager.default.contents(atPath: path + "/in/file") == Data("inside".utf8))
        }
    }

    @Test("a name of several parts, or of none, opens nothing", arguments: ["", ".", "..", "/", "/etc", "a/b", "a\0b"])
    func names(name: String) async throws {
        try await withDirectory { directory, _ in #expect(openComponent(directory, name, O_RDONLY) == -EINVAL) }
    }

    @Test("what is there is opened, and closed when another program starts")
    func opens() async throws {
        try await withDirectory { directory, _ in
            let known = ["file": O_RDONLY, "directory": O_RDONLY | O_DIRECTORY, "new": O_WRONLY | O_CREAT]
            for (name, flags) in known {
                let file = openComponent(directory, name, flags, mode: 0o600)
                #expect(file >= 0 && fcntl(file, F_GETFD) & FD_CLOEXEC != 0)
                close(file)
            }
        }
    }
}
