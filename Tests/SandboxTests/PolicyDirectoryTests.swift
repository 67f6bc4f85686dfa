import Foundation
import Glibc
import Testing

@testable import Sandbox

@Suite struct PolicyDirectoryTests {
    static func with(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "policies-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try #require(chmod(path, 0o755) == 0)
        try body(path)
    }

    static func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
        try #require(chmod(path, 0o644) == 0)
    }

    static func problem(_ directory: PolicyDirectory, _ name: String) -> String? {
        do throws(SettingsFileError) {
            _ = try directory.policy(named: name)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("profiles are always there, and files are found by their names")
    func finds() throws {
        try Self.with { path in
            let directory = PolicyDirectory(path: path)
            #expect(try directory.names() == [])
            try Self.write("base = \"strict\"", to: path + "/web.toml")
            try Self.write("", to: path + "/0-a.toml")
            for other in ["/.hidden.toml", "/README", "/web.toml.bak"] { try Self.write("x", to: path + other) }
            #expect(try directory.names() == ["0-a", "web"])
            #expect(try directory.policy(named: "web").systemCalls.filter == .strict)
            #expect(try directory.policy(named: "web").name == "web")
            for profile in SandboxPolicy.profiles { #expect(try directory.policy(named: profile.name) == profile) }
            #expect(
                Self.problem(directory, "wob")
                    == "\(path)/wob.toml: there is no such file, so no policy wob; known are none, standard, strict, 0-a, web"
            )
        }
        let absent = PolicyDirectory(path: "/nowhere/policies")
        #expect(try absent.names() == [])
        #expect(try absent.policy(named: "strict") == .strict)
        #expect(
            Self.problem(absent, "web")
                == "/nowhere/policies/web.toml: there is no such file, so no policy web; known are none, standard, strict"
        )
    }

    @Test(
        "a name that cannot be one never reaches the disk",
        arguments: ["", "-a", "A", "a.b", "../a", "a/b", "a b", "ä", String(repeating: "a", count: 65)]
    )
    func names(name: String) throws {
        #expect(!PolicyName.isValid(name))
        #expect(
            Self.problem(PolicyDirectory(path: "/p"), name)
                == "/p/\(name).toml: the name of a policy has lower-case letters, digits and - (not as the first), at most 64"
        )
        #expect(PolicyName.isValid(String(repeating: "a", count: 64)))
    }

    @Test("a profile cannot be redefined", arguments: ["none", "standard", "strict"])
    func profiles(name: String) throws {
        try Self.with { path in
            try Self.write("", to: path + "/\(name).toml")
            #expect(
                Self.problem(PolicyDirectory(path: path), name)
                    == "\(path)/\(name).toml: \(name) is built in and cannot be redefined; give the file another name, and "
                    + "say base = \"\(name)\" in it"
            )
        }
    }

    @Test(
        "a file that somebody else can write is refused, and so is one in such a directory",
        arguments: [0o664, 0o646]
    )
    func writable(mode: mode_t) throws {
        try Self.with { path in
            let directory = PolicyDirectory(path: path)
            let file = path + "/web.toml"
            try Self.write("", to: file)
            let text =
                "must be writable by nobody but its owner, or others could change what scripts may do: chmod go-w"
            try #require(chmod(file, mode) == 0)
            #expect(Self.problem(directory, "web") == "\(file): \(text) \(file)")
            try #require(chmod(file, 0o644) == 0 && chmod(path, mode | 0o111) == 0)
            #expect(Self.problem(directory, "web") == "\(path): \(text) \(path)")
            #expect(throws: SettingsFileError.self) { try directory.names() }
        }
    }

    @Test("a file of another user is refused", .enabled(if: geteuid() == 0, "needs root to give a file away"))
    func owner() throws {
        try Self.with { path in
            let file = path + "/web.toml"
            try Self.write("", to: file)
            try #require(chown(file, 65_534, 65_534) == 0)
            #expect(
                Self.problem(PolicyDirectory(path: path), "web")
                    == "\(file): must belong to root, not to user 65534, who could change what scripts may do: "
                    + "chown root \(file)"
            )
        }
    }

    @Test("links, FIFOs and directories are no files, and none is waited for")
    func kinds() throws {
        try Self.with { path in
            let directory = PolicyDirectory(path: path)
            try Self.write("", to: path + "/file")
            symlink(path + "/file", path + "/link.toml")
            mkfifo(path + "/fifo.toml", 0o600)
            mkdir(path + "/folder.toml", 0o755)
            #expect(
                Self.problem(directory, "link") == "\(path)/link.toml: is a link; settings are read from a file itself"
            )
            #expect(Self.problem(directory, "fifo") == "\(path)/fifo.toml: is no ordinary file")
            #expect(Self.problem(directory, "folder") == "\(path)/folder.toml: is no ordinary file")
            symlink(path, path + "-link")
            defer { unlink(path + "-link") }
            #expect(Self.problem(PolicyDirectory(path: path + "-link"), "web")?.hasPrefix("\(path)-link: ") == true)
        }
    }

    @Test("a file has a largest size")
    func size() throws {
        try Self.with { path in
            let directory = PolicyDirectory(path: path)
            let file = path + "/web.toml"
            try Self.write(String(repeating: "\n", count: PolicyFile.maximumBytes), to: file)
            #expect(Self.problem(directory, "web") == nil)
            try Self.write(String(repeating: "\n", count: PolicyFile.maximumBytes + 1), to: file)
            #expect(Self.problem(directory, "web") == "\(file): is larger than 65536 bytes")
        }
    }
}
