import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting
import Testing

@testable import ScriptExecution

/// Every file-changing call of the script service fails once; one process lives through all of it.
@Suite(.timeLimit(.minutes(10)))
struct ServiceFaultTests {
    /// Whose calls fail.
    enum Program: String, CaseIterable, CustomTestStringConvertible {
        case service, launcher

        var testDescription: String { rawValue }
    }

    /// The service in a process of its own under the injector.
    struct Fixture: Sendable {
        let home: String
        let agent: Agent
        let faults: FaultControl
        let workspaces: ScriptWorkspaces

        /// Runs one service for the body; `fault` is there from its start.
        static func with(
            _ home: String,
            _ fault: Fault? = nil,
            failing: Program = .service,
            _ body: (Fixture) async throws -> Void
        ) async throws {
            let host = try #require(ScriptFixture.program("script-service-host"))
            let launcher = try #require(ScriptFixture.launcherPath)
            let injector = try #require(ScriptFixture.program("fault-injector"))
            let control = home + "/faults-\(UUID().uuidString.prefix(8)).sock"
            let program = failing == .service ? host : launcher
            let command = FaultInjector(injector, program: program, below: home).command(
                [host, home, launcher, "--control-groups", "off"],
                fault,
                control: control
            )
            let agent = Agent(program: command.program, arguments: command.arguments, marker: home)
            try await agent.whileRunning {
                // The first answer: the socket is there since before the service is.
                _ = try await agent.ask("status", "nobody")
                let fixture = Fixture(
                    home: home,
                    agent: agent,
                    faults: try FaultControl(control),
                    workspaces: ScriptWorkspaces(homeDirectory: home) { text, _ in text }
                )
                try await body(fixture)
            }
        }

        /// Descriptors that the service has open.
        func descriptors() throws -> Int {
            let host = try #require(
                processes(containing: home).first { id in
                    let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/exe")
                    return program?.hasSuffix("/script-service-host") == true
                }
            )
            return try FileManager.default.contentsOfDirectory(atPath: "/proc/\(host)/fd").count
        }

        /// How often the script of a ticket has run.
        func runs(_ ticket: String) -> Int {
            let text = FileManager.default.contents(atPath: "\(home)/\(ticket).runs") ?? Data()
            return text.count { $0 == 0x0A }
        }

        func body(_ ticket: String) -> String { "echo run >> '\(home)/\(ticket).runs'; echo hello" }

        /// As a server sends it, also with each repeated start; outside of where calls fail.
        func received() throws -> String {
            let path = FileManager.default.temporaryDirectory.appending(path: "received-\(UUID().uuidString)").path
            try Data("there".utf8).write(to: URL(filePath: path))
            return path
        }

        func path(_ ticket: String) -> String { workspaces.workDirectory + "/" + ticket }

        func exists(_ ticket: String) -> Bool { access(path(ticket), F_OK) == 0 }

        func isLocked(_ ticket: String) throws -> Bool {
            let directory = try workspaces.open(try ScriptTicketName(ticket))
            return try directory?.lockHolder() ?? .nobody != .nobody
        }
    }

    private static func comment(_ fault: Fault, _ failed: String?, _ answers: Agent.Answer?...) -> Comment {
        Comment(rawValue: "\(fault): \(failed ?? "none") \(answers.compactMap(\.self))")
    }

    /// What failed, on what, and why.
    private static func isClear(_ error: String) -> Bool {
        error.contains("cannot ") && (error.contains("No space left on device") || error.contains("Input/output error"))
    }

    @Test(
        "a start with a failing call is refused in words and can be repeated, or has a defined end",
        arguments: Program.allCases
    )
    func start(failing: Program) async throws {
        try await ScriptFixture.withHome { home in
            try await Fixture.with(home, failing: failing) { fixture in
                // Whatever is opened on first use.
                _ = try await fixture.agent.ask("start", "first", body: "true")
                _ = try await fixture.agent.ask("wait", "first")
                let descriptors = try fixture.descriptors()
                let walked = try await Fault.walk { fault in
                    let ticket = "\(fault.extent)-\(fault.kind.rawValue)-\(fault.call)"
                    return try await Self.start(ticket, fault, failing, fixture)
                }
                print("service, start, \(failing.rawValue) fails: \(walked) faults")
                #expect(walked > 10)
                #expect(try fixture.descriptors() <= descriptors + 2)
            }
        }
    }

    private static func start(
        _ ticket: String,
        _ fault: Fault,
        _ failing: Program,
        _ fixture: Fixture
    ) async throws -> String? {
        let agent = fixture.agent
        let body = fixture.body(ticket) + "; cat sub/received"
        // The first script of a home makes it.
        rmdir(fixture.workspaces.workDirectory)
        let files = [try fixture.received(), try fixture.received()]
        defer { for file in files { unlink(file) } }
        try fixture.faults.arm(fault)
        let first = try await agent.ask("start", ticket, body: body, file: files[0])
        let end = first.error == nil ? try await agent.ask("wait", ticket) : nil
        let failed = try fixture.faults.failed()
        try fixture.faults.arm(nil)
        let again = try await agent.ask("start", ticket, body: body, file: files[1])
        let last = try await agent.ask("wait", ticket)
        let comment = comment(fault, failed, first, end, again, last)
        for error in [first.error, end?.error].compactMap(\.self) { #expect(isClear(error), comment) }
        #expect(again.error == nil && last.error == nil, comment)
        #expect(last.state == 2, comment)
        let own = last.exitCode == 0
        // A launcher may fail behind the script's start.
        let runs = fixture.runs(ticket)
        #expect(runs == (own ? 1 : 0) || (runs == 1 && failing == .launcher), comment)
        if failing == .service || own {
            #expect(["0 hello", "0 there"].allSatisfy { last.lines?.contains($0) == own }, comment)
        }
        // Refused, it has never begun.
        if first.error != nil || failed == nil { #expect(own, comment) }
        let codes = [ScriptExitCode.fatal, ScriptExitCode.couldNotStart, ScriptExitCode.unknownResult]
        #expect(own || codes.contains(last.exitCode ?? 0), comment)
        #expect(try !fixture.isLocked(ticket), comment)
        _ = try await agent.ask("complete", ticket)
        #expect(!fixture.exists(ticket), comment)
        return failed
    }

    @Test("a waiting script is cancelled although a call fails, and lets the others through")
    func cancel() async throws {
        try await ScriptFixture.withHome { home in
            try await Fixture.with(home) { fixture in
                let agent = fixture.agent
                let walked = try await Fault.walk { fault in
                    let name = "\(fault.extent)-\(fault.kind.rawValue)-\(fault.call)"
                    let gate = try Gate(home: home, name)
                    _ = try await agent.ask("start", "h-\(name)", body: gate.script, full: true)
                    try await gate.reached()
                    _ = try await agent.ask("start", name, body: fixture.body(name), full: true)
                    while try await agent.ask("status", name).lines?.contains("0 ##octopus[stdout-wait]") != true {}
                    try fixture.faults.arm(fault)
                    let cancelled = try await agent.ask("cancel", name)
                    let failed = try fixture.faults.failed()
                    try fixture.faults.arm(nil)
                    let last = try await agent.ask("status", name)
                    let comment = Self.comment(fault, failed, cancelled, last)
                    if let error = cancelled.error { #expect(Self.isClear(error), comment) }
                    #expect(last.state == 2, comment)
                    let codes = [ScriptExitCode.cancelledBeforeStart, failed == nil ? 0 : ScriptExitCode.unknownResult]
                    #expect(codes.contains(last.exitCode ?? 0), comment)
                    #expect(fixture.runs(name) == 0, comment)
                    // Whoever waits next gets the mutex.
                    try await gate.open()
                    _ = try await agent.ask("start", "n-\(name)", body: fixture.body("n-\(name)"), full: true)
                    #expect(try await agent.ask("wait", "n-\(name)").exitCode == 0, comment)
                    for ticket in ["h-\(name)", name, "n-\(name)"] { _ = try await agent.ask("complete", ticket) }
                    return failed
                }
                print("service, cancel: \(walked) faults")
                #expect(walked > 3)
            }
        }
    }

    @Test(
        "completing and cleaning with a failing call leave the rest for the next time",
        arguments: ["complete", "clean"]
    )
    func remove(operation: String) async throws {
        try await ScriptFixture.withHome { home in
            try await Fixture.with(home) { fixture in
                let agent = fixture.agent
                let walked = try await Fault.walk { fault in
                    let ticket = "\(fault.extent)-\(fault.kind.rawValue)-\(fault.call)"
                    _ = try await agent.ask("start", ticket, body: fixture.body(ticket) + "; mkdir d; touch d/f")
                    _ = try await agent.ask("wait", ticket)
                    try fixture.faults.arm(fault)
                    let first = try await agent.ask(operation, ticket)
                    let failed = try fixture.faults.failed()
                    try fixture.faults.arm(nil)
                    let second = try await agent.ask(operation, ticket)
                    let comment = Self.comment(fault, failed, first, second)
                    #expect(first.error == nil && second.error == nil, comment)
                    #expect(!fixture.exists(ticket), comment)
                    let past = "\(home)/Logs/Scripts/\(ticket)"
                    let kept = (try? FileManager.default.contentsOfDirectory(atPath: past))?.sorted() ?? []
                    #expect(kept.isEmpty || kept == ["Output.log", "state.json"], comment)
                    if failed == nil { #expect(kept.isEmpty == (operation == "clean"), comment) }
                    return failed
                }
                print("service, \(operation): \(walked) faults")
                #expect(walked > 5)
            }
        }
    }

    @Test("a restarted agent gives every script its end although a call fails")
    func recover() async throws {
        try await ScriptFixture.withHome { home in
            let walked = try await Fault.walk { fault in
                let home = "\(home)/\(fault.extent)-\(fault.kind.rawValue)-\(fault.call)"
                try Left.make(home)
                var failed: String?
                try await Fixture.with(home, fault) { fixture in
                    for ticket in Left.tickets {
                        let answer = try await fixture.agent.ask("wait", ticket)
                        if let error = answer.error { #expect(Self.isClear(error), Self.comment(fault, nil, answer)) }
                    }
                    failed = try fixture.faults.failed()
                    try fixture.faults.arm(nil)
                    for ticket in Left.tickets {
                        let again = try await fixture.agent.ask("start", ticket, body: "true")
                        let last = try await fixture.agent.ask("wait", ticket)
                        let comment = Self.comment(fault, failed, again, last)
                        #expect(again.error == nil && (again.state == 2 || ticket == "waits"), comment)
                        try Self.check(ticket, last, fixture, comment)
                    }
                }
                return failed
            }
            print("service, recovery: \(walked) faults")
            #expect(walked > 10)
        }
    }

    /// What an agent may find: scripts of before the boot, without supervisor, with an empty record, and one that waits.
    private enum Left {
        static let tickets = ["boot", "lost", "empty", "waits"]

        static func make(_ home: String) throws {
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
            let workspaces = ScriptWorkspaces(homeDirectory: home) { text, _ in text }
            for text in tickets {
                let ticket = try ScriptTicketName(text)
                let specification = ScriptSpecification(
                    ticket: ticket,
                    service: 2,
                    taskID: "ServerTasks-1",
                    fullIsolation: true,
                    mutexName: "torture",
                    mutexTimeoutMilliseconds: nil,
                    arguments: [],
                    environment: ScriptFixture.environment
                )
                let body = "echo run >> '\(home)/\(ticket).runs'; echo hello"
                try workspaces.prepare(ticket, ScriptStart(body: body, taskID: "ServerTasks-1"), specification)
                guard let directory = try workspaces.open(ticket), var state = try directory.readState() else {
                    continue
                }
                switch text {
                case "boot": state.boot = "another"
                case "lost": state.begin(at: .now, supervisor: 1)
                case "empty":
                    try directory.replace(ScriptStateRecord.fileName, with: [], durable: false)
                    continue
                default: continue
                }
                try directory.writeState(state, durable: false)
            }
        }
    }

    private static func check(_ ticket: String, _ last: Agent.Answer, _ fixture: Fixture, _ comment: Comment) throws {
        #expect(last.error == nil && last.state == 2, comment)
        #expect(try !fixture.isLocked(ticket), comment)
        guard ticket == "waits", last.exitCode != ScriptExitCode.unknownResult else {
            #expect(last.exitCode == ScriptExitCode.unknownResult, comment)
            #expect(fixture.runs(ticket) == 0, comment)
            return
        }
        let own = last.exitCode == 0
        #expect(own || [ScriptExitCode.fatal, ScriptExitCode.couldNotStart].contains(last.exitCode ?? 0), comment)
        #expect(fixture.runs(ticket) == (own ? 1 : 0), comment)
    }
}
