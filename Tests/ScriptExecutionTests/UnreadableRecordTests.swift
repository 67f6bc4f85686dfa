import Foundation
import Glibc
import LauncherProtocol
import Testing

@testable import ScriptExecution

/// A `state.json` that is not understood: neither the agent nor the script may be lost over it.
@Suite(.timeLimit(.minutes(5)))
struct UnreadableRecordTests {
    enum Damage: String, CaseIterable, CustomTestStringConvertible {
        /// As after a power cut.
        case empty
        case garbage
        /// Of a newer agent that was here before.
        case version
        case large
        case link
        case directory

        var testDescription: String { rawValue }

        func inflict(_ workspace: String) throws {
            let path = workspace + "/state.json"
            if self != .empty, self != .version { try FileManager.default.removeItem(atPath: path) }
            switch self {
            case .empty: try #require(truncate(path, 0) == 0)
            case .garbage: try Data([0, 255, 10]).write(to: URL(filePath: path))
            case .version:
                let text = try String(contentsOfFile: path, encoding: .utf8)
                try text.replacing("\"version\":1", with: "\"version\":2").write(
                    toFile: path,
                    atomically: false,
                    encoding: .utf8
                )
            case .large: try Data(repeating: 0x20, count: 100_000).write(to: URL(filePath: path))
            case .link: try #require(symlink("/etc/passwd", path) == 0)
            case .directory: try #require(mkdir(path, 0o700) == 0 && mkdir(path + "/d", 0o700) == 0)
            }
        }
    }

    @Test("of a script that nobody runs is -46, is kept, and is said once", arguments: Damage.allCases)
    func lost(damage: Damage) async throws {
        try await ScriptFixture.with { fixture in
            let ticket = try ScriptTicketName("abc")
            _ = try await fixture.run("exit 3")
            let workspace = fixture.workspaces.path(of: ticket)
            try damage.inflict(workspace)
            let status = try await fixture.status()
            #expect(status.state == .complete && status.exitCode == ScriptExitCode.unknownResult)
            let complaints = status.logs.filter { $0.text.contains("Its record was not readable") }
            #expect(complaints.count == 1 && complaints[0].text.hasSuffix("is now state.json.unreadable."))
            #expect(access(workspace + "/state.json.unreadable", F_OK) == 0)
            #expect(try await fixture.status() == status)
            // Not run again: it may have run.
            let again = try await fixture.run("touch ran")
            #expect(again.exitCode == ScriptExitCode.unknownResult && access(workspace + "/ran", F_OK) != 0)
            await fixture.service.complete(ticket: "abc")
            #expect(access(workspace, F_OK) != 0)
        }
    }

    @Test("of a script that runs does not keep it from its own end", arguments: Damage.allCases)
    func running(damage: Damage) async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            var start = ScriptStart(body: gate.script + "; exit 3", taskID: "ServerTasks-1")
            start.isolation = .full
            _ = try await fixture.service.start(start, ticket: "abc")
            try await gate.reached()
            let workspace = fixture.workspaces.path(of: try ScriptTicketName("abc"))
            try damage.inflict(workspace)
            #expect(try await fixture.status().state == .running)
            // An agent that is started now.
            let next = try ScriptFixture(home: fixture.home)
            try await next.running { next in
                #expect(try await next.status().state == .running)
                // Sees no workspace but its own.
                var second = ScriptStart(body: "echo begun > '\(fixture.home)/second'", taskID: "ServerTasks-2")
                second.isolation = .full
                _ = try await next.service.start(second, ticket: "second")
                while try await !next.status("second").logs.contains(where: { $0.text.hasPrefix("Waiting") }) {}
                try await gate.open()
                await next.service.waitUntilOver(ticket: "abc")
                await next.service.waitUntilOver(ticket: "second")
                let status = try await next.status()
                #expect(status.state == .complete && status.exitCode == 3)
                #expect(FileManager.default.fileExists(atPath: fixture.home + "/second"))
                let record = try String(contentsOfFile: workspace + "/state.json", encoding: .utf8)
                #expect(record.contains("\"complete\""))
            }
        }
    }
}
