import Foundation
import LauncherProtocol
import ProcessTesting
import Testing

@testable import ScriptExecution

/// Every file-changing call of the launcher fails once: the script has a defined end all the same.
@Suite(.timeLimit(.minutes(10)))
struct LauncherFaultTests {
    static let output = (1...5).map { "out \($0)" }
    static let errors = (1...5).map { "err \($0)" }

    /// Lines on both streams in several writes, a child that outlives it, and an exit code of its own.
    static func body(marker: String) -> String {
        """
        (exec -a '\(marker)' sleep 1000) >/dev/null 2>&1 &
        for i in 1 2 3 4 5; do echo "out $i"; echo "err $i" >&2; done
        exit 7
        """
    }

    @Test("a start with a failing call ends the script, its record and its processes")
    func start() async throws {
        let program = try #require(ScriptFixture.launcherPath)
        let injector = try #require(ScriptFixture.program("fault-injector"))
        try await ScriptFixture.withHome { home in
            let fixture = try ScriptFixture(home: home)
            let faults = FaultInjector(injector, program: program, below: fixture.home)
            let walked = try await Fault.walk { fault in
                let ticket = try ScriptTicketName("\(fault.extent)-\(fault.kind.rawValue)-\(fault.call)")
                try Self.prepare(ticket, fixture)
                let launched = try await faults.run(
                    fault,
                    [program, "--work", fixture.workspaces.workDirectory, "--control-groups", "off"],
                    input: .text("{\"start\":\"\(ticket)\"}\n")
                )
                let comment = Comment(rawValue: "\(fault): \(launched.failed ?? "none") \(launched.program)")
                try await Self.check(ticket, launched, fixture, comment)
                return launched.failed
            }
            print("launcher: \(walked) faults")
            // Opening, beginning, a batch or more of lines, the end: fewer would mean that the injector sees nothing.
            #expect(walked > 20)
        }
    }

    @Test("a log that fails at the last words of a script that has exited before ends it, too")
    func lastWords() async throws {
        let program = try #require(ScriptFixture.launcherPath)
        let injector = try #require(ScriptFixture.program("fault-injector"))
        try await ScriptFixture.withHome { home in
            let fixture = try ScriptFixture(home: home)
            let faults = FaultInjector(injector, program: program, below: fixture.home)
            let walked = try await Fault.walk(waysOfEach: 1) { fault in
                let ticket = try ScriptTicketName("\(fault.call)")
                // A child keeps the stream open, whose last line has no end: it is written when the stream ends.
                try Self.prepare(ticket, fixture, body: "exec 2>&-; (sleep 0.2; printf end) & exit 7")
                let launched = try await faults.run(
                    fault,
                    [program, "--work", fixture.workspaces.workDirectory, "--control-groups", "off"],
                    input: .text("{\"start\":\"\(ticket)\"}\n")
                )
                let comment = Comment(rawValue: "\(fault): \(launched.failed ?? "none") \(launched.program)")
                #expect([0, 1].contains(launched.program.status), comment)
                return launched.failed
            }
            #expect(walked > 10)
        }
    }

    private static func prepare(_ ticket: ScriptTicketName, _ fixture: ScriptFixture, body: String? = nil) throws {
        try fixture.workspaces.prepare(
            ticket,
            ScriptStart(body: body ?? Self.body(marker: "\(fixture.home)/\(ticket)"), taskID: "ServerTasks-1"),
            ScriptSpecification(
                ticket: ticket,
                service: 2,
                taskID: "ServerTasks-1",
                fullIsolation: false,
                mutexName: "RunningScript",
                mutexTimeoutMilliseconds: nil,
                arguments: [],
                environment: ScriptFixture.environment
            )
        )
    }

    private static func check(
        _ ticket: ScriptTicketName,
        _ launched: FaultInjector.Outcome,
        _ fixture: ScriptFixture,
        _ comment: Comment
    ) async throws {
        #expect(processes(containing: "\(fixture.home)/\(ticket)") == [], comment)
        guard let directory = try fixture.workspaces.open(ticket), let state = try directory.readState() else {
            Issue.record(comment)
            return
        }
        defer { #expect(fixture.workspaces.remove(ticket), comment) }
        #expect(try directory.lockHolder() == .nobody, comment)
        let log = try String(contentsOfFile: fixture.workspaces.path(of: ticket) + "/Output.log", encoding: .utf8)
        // The last one of an agent that could write nothing more may have no end; readers leave it out.
        let records = log.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        #expect(records.allSatisfy { OutputLogRecord(line: Array($0.utf8)) != nil }, comment)
        let began = try LauncherReply(line: Array(launched.program.output.utf8.prefix { $0 != 0x0A })) == .started
        guard began else {
            // Nothing has happened: the agent ends it with the launcher's own words.
            #expect(state.phase == .pending && launched.program.status == 1, comment)
            #expect(launched.program.errors.hasPrefix("tentacle-launcher: "), comment)
            return
        }
        #expect(launched.program.status == 0, comment)
        // As an agent does that was started meanwhile.
        let agent = try ScriptFixture(home: fixture.home)
        try await agent.running { agent in
            await agent.service.waitUntilOver(ticket: ticket.description)
            let status = try await agent.status(ticket.description)
            #expect(status.state == .complete, comment)
            if state.phase == .complete { #expect(status.exitCode == state.exitCode, comment) }
            let codes =
                state.phase == .complete
                ? [7, ScriptExitCode.fatal, ScriptExitCode.couldNotStart] : [ScriptExitCode.unknownResult]
            #expect(codes.contains(status.exitCode), comment)
            let texts = ScriptFixture.output(status)
            let complaints = status.logs.filter { $0.source == .standardError }.map(\.text)
            if status.exitCode == 7 {
                #expect(texts == output && Array(complaints.prefix(5)) == errors, comment)
            } else {
                #expect(output.starts(with: texts), comment)
            }
            #expect(!complaints.contains { $0.contains("Corrupt") }, comment)
        }
    }
}
