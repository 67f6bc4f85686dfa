import Foundation
import Glibc
import Testing

@testable import DeploymentServer

@Suite struct ProgramTests {
    static func with(_ body: (_ folder: String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("data-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    static func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("a data folder has one server at a time")
    func lock() throws {
        try Self.with { folder in
            var first: DataDirectory? = try DataDirectory(path: folder)
            let error = #expect(throws: ServerStartError.self) { _ = try DataDirectory(path: folder) }
            #expect(error?.description.contains("Another tentacle-server uses the data folder") == true)
            withExtendedLifetime(first) {}
            first = nil
            _ = try DataDirectory(path: folder)
        }
    }

    @Test("secrets are for the server's user only, and whole")
    func secrets() throws {
        try Self.with { folder in
            let data = try DataDirectory(path: folder)
            for text in ["first", "second"] { try data.writeSecret(text, to: "secret") }
            #expect(try data.read("secret") == "second")
            #expect(try data.read("missing") == nil)
            #expect(try Self.mode(folder) == 0o700)
            #expect(try Self.mode(data.file("secret")) == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["secret", "server.lock"])
        }
    }

    @Test("a folder that cannot be is refused with its name")
    func impossible() {
        let error = #expect(throws: ServerStartError.self) { _ = try DataDirectory(path: "/proc/nowhere/data") }
        #expect(error?.description.contains("/proc/nowhere/data") == true)
    }

    @Test(
        "addresses",
        arguments: zip(
            ["127.0.0.1:8080", "[::1]:0", "localhost:65535", "8080", "host:", "host:70000", "::1:80", ":80", "a:b"],
            ["127.0.0.1 8080", "::1 0", "localhost 65535", nil, nil, nil, nil, nil, nil]
        )
    )
    func addresses(text: String, expected: String?) {
        let address = ServerConfiguration.Address(text)
        #expect(address.map { "\($0.host) \($0.port)" } == expected)
    }
}

@Suite struct APIPathTests {
    @Test(
        "prefixes of rest-api.md 1",
        arguments: [
            ("/api", "system:"), ("/api/", "system:"), ("/API/Spaces-1", "Spaces-1:"),
            ("/api/Spaces-1/environments", "Spaces-1:environments"),
            ("/api/spaces/Spaces-1/tasks/x/cancel", "Spaces-1:tasks/x/cancel"),
            ("/api/spaces/Spaces-1", "system:spaces/Spaces-1"), ("/api/spaces/all", "system:spaces/all"),
            ("/api/machines/all", "Spaces-7:machines/all"), ("/api/users/me", "system:users/me"),
            ("/api/Default/environments", "Spaces-7:Default/environments"), ("/apis", "none"), ("/", "none"),
        ]
    )
    func prefixes(path: String, expected: String) {
        let found = APIPath(path, defaultSpaceID: "Spaces-7").map { path in
            let scope = if case .space(let id) = path.scope { id } else { "system" }
            return "\(scope):\(path.segments.joined(separator: "/"))"
        }
        #expect(found ?? "none" == expected)
    }
}
