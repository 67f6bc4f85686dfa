import Foundation
import Testing

@testable import ScriptExecution

/// Workspaces of a stock agent that this one has replaced in place (tentacle-services.md 6, 8.3).
@Suite struct StockWorkspaceTests {
    /// The sample of tentacle-services.md 6.
    static let state = """
        {"Created":"2025-04-09T23:24:03.683243+00:00","Started":"2025-04-09T23:24:03.731068+00:00",\
        "Completed":"2025-04-09T23:24:03.731175+00:00","State":2,"ExitCode":99,"RanToCompletion":true}
        """
    static let log = """
        ["stdout","hello","2024-05-09T10:11:12.1234567+00:00"]["stderr","o\\"]\\u00f6\\nops","2024-05-09T12:11:12.2+02:00"]
         ["debug",null,"2024-05-09T10:11:13+00:00"]["debug","end","2024-05-09T10:11:13Z"]
        """

    private static func with(
        state: String?,
        log: String?,
        _ body: @Sendable @escaping (ScriptFixture) async throws -> Void
    ) async throws {
        try await ScriptFixture.with { fixture in
            let folder = fixture.home + "/Work/abc/"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            if let state { try Data(state.utf8).write(to: URL(filePath: folder + "scriptstate.json")) }
            if let log { try Data([0xEF, 0xBB, 0xBF] + log.utf8).write(to: URL(filePath: folder + "Output.log")) }
            try await body(fixture)
        }
    }

    @Test("the outcome and the log are answered with the stock agent's numbers, and the script is not run again")
    func complete() async throws {
        try await Self.with(state: Self.state, log: Self.log) { fixture in
            let status = try await fixture.status()
            #expect(status.state == .complete)
            #expect(status.exitCode == 99)
            #expect(ScriptFixture.lines(status) == ["out hello", "err o\"]ö\nops", "dbg end"])
            #expect(status.nextLogSequence == 4)
            #expect(abs(status.logs[0].occurred.timeIntervalSince1970 - 1_715_249_472.123456) < 0.000_01)
            #expect(abs(status.logs[1].occurred.timeIntervalSince1970 - 1_715_249_472.2) < 0.000_01)
            #expect(ScriptFixture.lines(try await fixture.status(after: 2)) == ["dbg end"])
            let beyond = try await fixture.status(after: 17)
            #expect(beyond.logs.isEmpty)
            #expect(beyond.nextLogSequence == 17)
            #expect(try await fixture.run("echo never").exitCode == 99)
            await fixture.service.complete(ticket: "abc")
            #expect(fixture.workspaces.tickets().isEmpty)
        }
    }

    @Test(
        "without an end, or not understood, the outcome is unknown",
        arguments: [
            #"{"State":1,"ExitCode":null}"#, #"{"State":0}"#, "", "nonsense", #"{"State":2,"ExitCode":null}"#,
        ]
    )
    func unknown(state: String) async throws {
        try await Self.with(state: state, log: nil) { fixture in
            let status = try await fixture.status()
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.unknownResult)
            #expect(status.logs.isEmpty)
        }
    }

    @Test("a log that breaks off is read up to there, and says so", arguments: ["[\"stdout\",\"x", "[1]", "x", "[]"])
    func corrupt(tail: String) async throws {
        try await Self.with(state: Self.state, log: Self.log + tail) { fixture in
            let status = try await fixture.status()
            let text = "err Corrupt Tentacle log at line 5, no more logs will be read"
            #expect(ScriptFixture.lines(status) == ["out hello", "err o\"]ö\nops", "dbg end", text])
            #expect(status.nextLogSequence == 5)
        }
    }

    @Test("a log without a state is one of the first service: complete, exit code 0, or unknown to the second")
    func firstService() async throws {
        try await Self.with(state: nil, log: Self.log) { fixture in
            let old = try await fixture.service.status(ticket: "abc", after: 0, generation: .v1)
            #expect(old.exitCode == 0)
            #expect(old.logs.count == 3)
            #expect(try await fixture.status().exitCode == ScriptExitCode.unknownScript)
            // Nobody has started it: it runs, in a log of its own.
            let status = try await fixture.run("echo new")
            #expect(ScriptFixture.output(status) == ["new"])
        }
    }
}
