import Foundation
import LauncherProtocol
import Testing

@testable import ScriptExecution

@Suite struct PastScriptsTests {
    private static func names(_ path: String) -> Set<String> {
        Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
    }

    @Test("the log and the record of a completed script are kept, and nothing else of it")
    func kept() async throws {
        try await ScriptFixture.with { fixture in
            _ = try await fixture.run("echo hello; echo more > file; mkdir folder")
            await fixture.service.complete(ticket: "ABC")
            let past = fixture.home + "/Logs/Scripts"
            #expect(Self.names(fixture.home + "/Work") == [])
            #expect(Self.names(past) == ["abc"])
            #expect(Self.names(past + "/abc") == ["Output.log", "state.json"])
            #expect(try FileManager.default.attributesOfItem(atPath: past)[.posixPermissions] as? Int == 0o700)
            let log = try String(contentsOfFile: past + "/abc/Output.log", encoding: .utf8)
            #expect(log.contains(" out hello\n"))
            let state = try ScriptStateRecord(bytes: Array(Data(contentsOf: URL(filePath: past + "/abc/state.json"))))
            #expect(state.taskID == "ServerTasks-1")
            #expect(state.mutexName == "RunningScript")
            // To the server it is unknown from here on.
            #expect(try await fixture.status().exitCode == ScriptExitCode.unknownScript)
            // The same ticket again: the later one counts.
            _ = try await fixture.run("echo again")
            await fixture.service.complete(ticket: "abc")
            #expect(try String(contentsOfFile: past + "/abc/Output.log", encoding: .utf8).contains(" out again\n"))
        }
    }

    @Test("a script that is completed while it runs is not kept, and goes on to hold its mutex")
    func running() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate) { $0.isolation = .full }
            await fixture.service.complete(ticket: "abc")
            #expect(Self.names(fixture.home + "/Work") == [])
            #expect(Self.names(fixture.home + "/Logs/Scripts") == [])
            let next = try await fixture.run("echo next", ticket: "next", wait: .zero) { $0.isolation = .full }
            #expect(next.state == .pending)
            try await gate.open()
            await fixture.service.waitUntilOver(ticket: "next")
            #expect(ScriptFixture.output(try await fixture.status("next")).last == "next")
        }
    }

    @Test("what is beyond the number, the size or the age of past scripts goes, the oldest first")
    func limits() async throws {
        let home = FileManager.default.temporaryDirectory.appending(path: "past-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: home) }
        func make(_ name: String, bytes: Int, daysAgo: Double) throws {
            let folder = home + "/Logs/Scripts/" + name
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data(repeating: 0x41, count: bytes).write(to: URL(filePath: folder + "/Output.log"))
            let changed = Date(timeIntervalSinceNow: -daysAgo * 86_400)
            try FileManager.default.setAttributes([.modificationDate: changed], ofItemAtPath: folder)
        }
        try make("new", bytes: 100_000, daysAgo: 0)
        try make("second", bytes: 100_000, daysAgo: 1)
        try make("third", bytes: 100_000, daysAgo: 2)
        try make("old", bytes: 1, daysAgo: 8)
        var limits = PastScripts.Limits()
        let left = { Self.names(home + "/Logs/Scripts") }
        PastScripts(homeDirectory: home, limits: limits).prune()
        #expect(left() == ["new", "second", "third"])
        limits.bytes = 250_000
        PastScripts(homeDirectory: home, limits: limits).prune()
        #expect(left() == ["new", "second"])
        limits.scripts = 1
        PastScripts(homeDirectory: home, limits: limits).prune()
        #expect(left() == ["new"])
    }
}
