import Foundation
import LauncherProtocol
import Testing

@testable import ScriptExecution

@Suite struct IsolationTests {
    static func member(_ id: Int, _ task: String, _ isolation: ScriptIsolation) -> IsolationLock.Member {
        IsolationLock.Member(id: id, taskID: task, fullIsolation: isolation == .full)
    }

    @Test("readers share, a writer waits for all and goes before later readers")
    func writerPreference() {
        var lock = IsolationLock()
        let entered = [(1, ScriptIsolation.none), (2, .none), (3, .full), (4, .none), (5, .full)].map { id, isolation in
            lock.request(Self.member(id, "\(id)", isolation))
        }
        #expect(entered == [true, true, false, false, false])
        #expect(lock.turns() == [[3], [5], [4]])
        let order = [1, 2, 3, 5, 4].map { lock.leave($0) }
        #expect(order == [[], [3], [5], [4], []])
        #expect(lock.isIdle)
    }

    @Test("a writer that gives up lets the readers through")
    func givesUp() {
        var lock = IsolationLock()
        for (id, isolation) in [(1, ScriptIsolation.none), (2, .full), (3, .none), (4, .none)] {
            _ = lock.request(Self.member(id, "\(id)", isolation))
        }
        let entered = lock.leave(2)
        #expect(entered == [3, 4])
    }

    static let suffix = "requires that no other Octopus scripts are executing on this target at the same time."

    @Test("busy, cancel and timeout texts are the reference's")
    func texts() {
        var lock = IsolationLock()
        _ = lock.request(Self.member(1, "ServerTasks-1", .full))
        let link = "[ServerTasks-1](~/app#/tasks/ServerTasks-1)"
        let full = IsolationTexts(lock: lock, waiter: Self.member(9, "ServerTasks-9", .full))
        #expect(full.busy == "Waiting for the script in task \(link) to finish as this script \(Self.suffix)")
        #expect(full.cancelled == "This task was canceled before it could start. Task \(link) is still running.")
        #expect(
            full.timedOut(after: .seconds(60 * 61_234 + 29))
                == "This task waited more than 61,234 minutes and timed out. Task \(link) is still running."
        )
        let shared = IsolationTexts(lock: lock, waiter: Self.member(9, "ServerTasks-9", .none))
        #expect(shared.busy == "Waiting for the script in task \(link) to finish as that script \(Self.suffix)")
        let own = IsolationTexts(lock: lock, waiter: Self.member(9, "ServerTasks-1", .full))
        #expect(own.busy == "Waiting on another script in this task to finish as this task \(Self.suffix)")
        let ownShared = IsolationTexts(lock: lock, waiter: Self.member(9, "ServerTasks-1", .none))
        #expect(ownShared.busy == "Waiting on another script in this task to finish as another task \(Self.suffix)")
        let nobody = IsolationTexts(lock: IsolationLock(), waiter: Self.member(9, "x", .full))
        #expect(nobody.cancelled.contains("Task (error - task not found) is still running."))
    }

    @Test("several readers are listed by task, sorted, the waiter's own as This Task")
    func lists() {
        var lock = IsolationLock()
        for (id, task) in [(1, "T-3"), (2, "T-1"), (3, "T-2"), (4, "T-1")] {
            _ = lock.request(Self.member(id, task, .none))
        }
        let texts = IsolationTexts(lock: lock, waiter: Self.member(9, "T-2", .full))
        let list = "[T-1](~/app#/tasks/T-1), This Task and [T-3](~/app#/tasks/T-3)"
        #expect(texts.busy == "Waiting on scripts in tasks \(list) to finish. This script \(Self.suffix)")
        #expect(
            texts.timedOut(after: .seconds(60))
                == "This task waited more than 1 minutes and timed out. Tasks \(list) are still running."
        )
    }

    @Test("full isolation lets scripts of one name run one after the other, other names at once")
    func serialises() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, ticket: "first") { $0.isolation = .full }
            let second = try await fixture.run("echo ran", ticket: "second", wait: .zero) { $0.isolation = .full }
            #expect(second.state == .pending)
            let other = try await fixture.run("echo other", ticket: "other") {
                $0.isolation = .full
                $0.mutexName = "Another"
            }
            #expect(other.state == .complete)
            #expect(try await fixture.status("second").state == .pending)
            try await gate.open()
            await fixture.service.waitUntilOver(ticket: "second")
            #expect(ScriptFixture.output(try await fixture.status("second")).last == "ran")
        }
    }

    @Test("a wait that is cancelled ends with -43, one that takes too long with -44, both with their texts")
    func waitEnds() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, ticket: "first") { $0.isolation = .full }
            let late = try await fixture.run("echo no", ticket: "late") {
                $0.isolation = .full
                $0.taskID = "ServerTasks-2"
                $0.mutexTimeout = .milliseconds(150)
            }
            #expect(late.exitCode == ScriptExitCode.mutexTimeout)
            let link = "[ServerTasks-1](~/app#/tasks/ServerTasks-1)"
            let busy = "Waiting for the script in task \(link) to finish as this script \(Self.suffix)"
            // A notice after 100 ms and one at the end; on a busy machine they are the same.
            #expect(ScriptFixture.output(late).first == busy)
            #expect(
                ScriptFixture.output(late).filter { $0 != busy } == [
                    "This task waited more than 0 minutes and timed out. Task \(link) is still running.",
                    "Script execution timed out.",
                ]
            )
            _ = try await fixture.run("echo no", ticket: "cancel", wait: .zero) {
                $0.isolation = .full
                $0.taskID = "ServerTasks-3"
            }
            let cancelled = try await fixture.service.cancel(ticket: "cancel", after: 0, generation: .v2)
            #expect(cancelled.exitCode == ScriptExitCode.cancelledBeforeStart)
            #expect(
                ScriptFixture.output(cancelled).suffix(3) == [
                    busy, "This task was canceled before it could start. Task \(link) is still running.",
                    "Script execution canceled.",
                ]
            )
            try await gate.open()
        }
    }

    @Test("a waiting script is told when it waits for somebody else, and how long it has waited")
    func changes() async throws {
        try await ScriptFixture.with { fixture in
            let gates = try ["a", "b"].map { try Gate(fixture, $0) }
            func start(_ ticket: String, _ body: String) async throws {
                _ = try await fixture.run(body, ticket: ticket, wait: .zero) {
                    $0.isolation = .full
                    $0.taskID = "T-\(ticket)"
                }
            }
            func waitsFor(_ task: String) async throws {
                let text = "Waiting for the script in task [T-\(task)]"
                while !ScriptFixture.output(try await fixture.status("c")).contains(where: { $0.hasPrefix(text) }) {}
            }
            try await start("a", gates[0].script)
            try await gates[0].reached()
            try await start("b", gates[1].script)
            try await start("c", "echo ran")
            try await waitsFor("a")
            try await gates[0].open()
            try await gates[1].reached()
            try await waitsFor("b")
            try await gates[1].open()
            await fixture.service.waitUntilOver(ticket: "c")
            let status = try await fixture.status("c")
            #expect(
                ScriptFixture.output(status).map { $0.prefix(39) } == [
                    "Waiting for the script in task [T-a](~/", "Waiting for the script in task [T-b](~/", "ran",
                ]
            )
            let text = #/The isolation mutex RunningScript was acquired after [1-9]\d*\.\d s/#
            #expect(status.logs.contains { $0.source == .debug && $0.text.wholeMatch(of: text) != nil })
        }
    }

    @Test("the time a script has waited before a restart of the agent counts")
    func timeoutAcrossRestart() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, ticket: "first") { $0.isolation = .full }
            // Written by an agent that is gone: it has waited 50 of 60 minutes, or 70.
            for (ticket, minutes) in [("early", 50), ("late", 70)] {
                let ticket = try ScriptTicketName(ticket)
                let specification = ScriptSpecification(
                    ticket: ticket,
                    service: 2,
                    taskID: "T",
                    fullIsolation: true,
                    mutexName: "RunningScript",
                    mutexTimeoutMilliseconds: 3_600_000,
                    arguments: [],
                    environment: [:]
                )
                let start = ScriptStart(body: "true", taskID: "T")
                try fixture.workspaces.prepare(ticket, start, specification)
                guard let directory = try fixture.workspaces.open(ticket) else {
                    Issue.record("no workspace")
                    return
                }
                var state = try #require(try directory.readState())
                state.created.sinceEpoch -= Int64(minutes) * 60_000_000
                try directory.writeState(state, durable: false)
            }
            try await ScriptFixture(home: fixture.home).running { next in
                await next.service.waitUntilOver(ticket: "late")
                let late = try await next.status("late")
                #expect(late.exitCode == ScriptExitCode.mutexTimeout)
                #expect(
                    late.logs.contains { $0.text.hasPrefix("This task waited more than 60 minutes and timed out.") }
                )
                #expect(try await next.status("early").state == .pending)
            }
        }
    }

    /// Answers when it is told to.
    private final class SlowLauncher: ScriptLauncher {
        let answer = OneShotSignal()

        func ask(_ request: LauncherRequest) async throws -> LauncherReply {
            await answer.wait()
            return .failed("no such thing")
        }
    }

    @Test("a launcher that lets a script wait for more than a second is named in the script's log")
    func slowLauncher() async throws {
        let launcher = SlowLauncher()
        try await ScriptFixture.with(launcher: launcher) { fixture in
            _ = try await fixture.run("true", wait: .zero)
            let text = "Waiting for tentacle-launcher, which has not answered for 1.0 s"
            while !(try await fixture.status().logs.contains { $0.text == text }) {}
            launcher.answer.fire()
            await fixture.service.waitUntilOver(ticket: "abc")
            #expect(try await fixture.status().exitCode == ScriptExitCode.couldNotStart)
        }
    }
}
