import Foundation
import LauncherProtocol
import Logging
import Testing

@testable import ScriptExecution

@Suite struct ScriptServiceTests {
    @Test("many starts of one ticket run the script once, and all get the whole log")
    func once() async throws {
        try await ScriptFixture.with { fixture in
            let counter = fixture.home + "/count"
            let body = "echo run >> '\(counter)'; echo done"
            let answers = try await withThrowingTaskGroup(of: ScriptStatus.self) { group in
                for index in 0..<200 {
                    group.addTask { try await fixture.run(body, ticket: index % 2 == 0 ? "AbC" : "abC") }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(try String(contentsOfFile: counter, encoding: .utf8) == "run\n")
            #expect(answers.count == 200)
            #expect(answers.allSatisfy { $0.state == .complete && ScriptFixture.output($0) == ["done"] })
            #expect(Set(answers.map(\.ticket)) == ["AbC", "abC"])
        }
    }

    @Test("start waits for a short script and answers Running for a long one")
    func waits() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, "echo begun")
            let running = try await fixture.run("echo other body")
            #expect(running.state == .running)
            #expect(running.exitCode == 0)
            #expect(running.logs.count > 1)
            try await gate.open()
            await fixture.service.waitUntilOver(ticket: "abc")
            // Asked from the beginning: the script's own line may come before or after the answer above.
            let status = try await fixture.status()
            #expect(ScriptFixture.output(status) == ["begun"])
            #expect(try await fixture.status(after: status.nextLogSequence).logs.isEmpty)
            #expect(status.logs.last?.text == "Process /bin/bash in \(fixture.home)/Work/abc exited with code 0")
        }
    }

    @Test("cancel kills double forks, new sessions, stopped ones and ignored signals", arguments: ["standard", "none"])
    func cancel(policy: String) async throws {
        try await ScriptFixture.with(policy: policy) { fixture in
            let gate = try Gate(fixture)
            let marker = "cancelled-\(UUID().uuidString)"
            let body = """
                trap '' TERM INT HUP
                sleeper() { exec -a '\(marker)' sleep 1000; }
                export -f sleeper
                sleeper &
                ( ( sleeper ) & )
                setsid bash -c 'trap "" TERM; sleeper & setsid bash -c sleeper & wait' &
                ( setsid bash -c 'sleeper & kill -STOP $$' & )
                while [ $(grep -ls '^\(marker)' /proc/[0-9]*/cmdline | wc -l) -lt 5 ]; do :; done
                """
            try await fixture.runToGate(gate, body)
            #expect(processes(containing: marker).count >= 5)
            let status = try await fixture.service.cancel(ticket: "ABC", after: 0, generation: .v2)
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.cancelled)
            #expect(processes(containing: marker) == [])
            let again = try await fixture.service.cancel(ticket: "abc", after: status.nextLogSequence, generation: .v2)
            #expect(again.exitCode == ScriptExitCode.cancelled)
            #expect(again.logs.isEmpty)
        }
    }

    @Test("a running script is found again by the next agent, and can be cancelled by it")
    func restart() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, "echo before", ticket: "one")
            try await fixture.runToGate(try Gate(fixture, "other"), ticket: "two")
            // A second service on the same files is what a restarted agent is; it never asks the first.
            try await ScriptFixture(home: fixture.home).running { next in
                #expect(try await next.status("one").state == .running)
                let cancelled = try await next.service.cancel(ticket: "two", after: 0, generation: .v2)
                #expect(cancelled.exitCode == ScriptExitCode.cancelled)
                try await gate.open()
                await next.service.waitUntilOver(ticket: "one")
                let status = try await next.status("one")
                #expect(status.state == .complete)
                #expect(status.exitCode == 0)
                #expect(ScriptFixture.output(status) == ["before"])
                let joined = try await next.run("echo never", ticket: "one")
                #expect(ScriptFixture.output(joined) == ["before"])
            }
        }
    }

    @Test("a script that waited for its mutex goes on waiting after a restart, and then runs once")
    func restartWaiting() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, ticket: "holder") { $0.isolation = .full }
            let waiting = try await fixture.run("echo ran", ticket: "waiter", wait: .zero) { $0.isolation = .full }
            #expect(waiting.state == .pending)
            // Both services let it wait, as no real pair does: the claim lets only one start it.
            try await ScriptFixture(home: fixture.home).running { next in
                #expect(try await next.status("waiter").state == .pending)
                try await gate.open()
                await next.service.waitUntilOver(ticket: "waiter")
                let status = try await next.status("waiter")
                #expect(ScriptFixture.output(status).filter { $0 == "ran" } == ["ran"])
            }
        }
    }

    @Test(
        "a script whose supervisor was killed ends with -46 and dies with it",
        .enabled(if: ScriptFixture.isRoot, "needs root for a PID namespace")
    )
    func supervisorKilled() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, "echo before")
            let ticket = try ScriptTicketName("abc")
            let holder = try fixture.workspaces.open(ticket)?.lockHolder()
            guard case .launcher(let id)? = holder else {
                Issue.record("no launcher holds the lock")
                return
            }
            kill(id, SIGKILL)
            await fixture.service.waitUntilOver(ticket: "abc")
            let status = try await fixture.status()
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.unknownResult)
            #expect(status.logs.last?.text.contains("its outcome is unknown") == true)
        }
    }

    @Test("a script of before the restart whose supervisor is gone is -46; one not begun in another boot too")
    func lost() async throws {
        try await ScriptFixture.with { fixture in
            for (ticket, boot, phase) in [("dead", currentBootID(), "running"), ("boot", "another", "pending")] {
                let path = fixture.home + "/Work/\(ticket)"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                var state = ScriptStateRecord(ticket: try ScriptTicketName(ticket), created: .now, boot: boot)
                if phase == "running" { state.begin(at: .now, supervisor: 1) }
                try Data(state.encoded()).write(to: URL(filePath: path + "/state.json"))
            }
            for ticket in ["dead", "boot"] {
                await fixture.service.waitUntilOver(ticket: ticket)
                let status = try await fixture.status(ticket)
                #expect(status.state == .complete)
                #expect(status.exitCode == ScriptExitCode.unknownResult)
            }
            let joined = try await fixture.run("echo never", ticket: "dead")
            #expect(joined.exitCode == ScriptExitCode.unknownResult)
        }
    }

    @Test("an unknown ticket is -45 for V2, 0 for V1, keeps the sequence and makes no directory")
    func unknown() async throws {
        try await ScriptFixture.with { fixture in
            let status = try await fixture.status("nope", after: 7)
            let expected = ScriptStatus(ticket: "nope", logs: [], nextLogSequence: 7, state: .complete, exitCode: -45)
            #expect(status == expected)
            let cancelled = try await fixture.service.cancel(ticket: "nope", after: 0, generation: .v2)
            #expect(cancelled.exitCode == -45)
            let old = try await fixture.service.status(ticket: "nope", after: 0, generation: .v1)
            #expect(old.exitCode == 0)
            await fixture.service.complete(ticket: "nope")
            await fixture.service.complete(ticket: "../x")
            #expect(!FileManager.default.fileExists(atPath: fixture.home + "/Work/nope"))
            await #expect(throws: ScriptExecutionError.self) { try await fixture.status("../x") }
        }
    }

    @Test("complete removes the workspace; a V1 script has its ticket from the agent, its last lines from complete")
    func complete() async throws {
        try await ScriptFixture.with { fixture in
            _ = try await fixture.run("echo hello")
            await fixture.service.complete(ticket: "ABC")
            #expect(!FileManager.default.fileExists(atPath: fixture.home + "/Work/abc"))
            let start = ScriptStart(body: "echo old; exit 5", taskID: "ServerTasks-47")
            let ticket = try await fixture.service.startLegacy(start)
            #expect(ticket.contains(#/^\d{14}-47-1$/#))
            await fixture.service.waitUntilOver(ticket: ticket)
            let status = try await fixture.service.completeLegacy(ticket: ticket, after: 0)
            #expect(ScriptFixture.output(status) == ["old"])
            #expect(status.exitCode == 5)
            #expect(try await fixture.service.status(ticket: ticket, after: 0, generation: .v1).exitCode == 0)
        }
    }

    @Test("too little disk is refused with the reference's text, and a retry may succeed")
    func disk() async throws {
        let disk = DiskSpaceCheck { _ in 12_345_678 }
        try await ScriptFixture.with(disk: disk) { fixture in
            let path = fixture.home + "/Work/abc"
            let text = """
                The drive '\(path)' containing the directory '\(path)' on machine \
                '\(DiskSpaceCheck.machineName)' does not have enough free disk space available for this \
                operation to proceed. The disk only has 11.774 MB available; please free up at least 551 MB.
                """
            for _ in 0..<2 {
                await #expect(throws: ScriptExecutionError(.diskFull, text)) { try await fixture.run("echo hello") }
            }
            let status = try await fixture.status()
            #expect(status.exitCode == ScriptExitCode.unknownScript)
        }
    }

    @Test(
        "a received file is moved into the workspace, with the mode of a new file; one that is two files is twice there"
    )
    func movedFiles() async throws {
        try await ScriptFixture.with { fixture in
            let spool = fixture.home + "/spool"
            try Data("received".utf8).write(to: URL(filePath: spool))
            chmod(spool, 0o600)
            let received = StagedStream.file(path: spool, length: 8)
            let status = try await fixture.run("cat one d/two; stat -c %a one d/two Bootstrap.sh | sort -u") {
                $0.files = [.init(name: "one", contents: received), .init(name: "d/two", contents: received)]
            }
            // One mode for all of them, whatever the umask is.
            let output = ScriptFixture.output(status)
            #expect(output.count == 1)
            #expect(output.first?.hasPrefix("receivedreceived6") == true)
            #expect(!FileManager.default.fileExists(atPath: spool))
        }
    }

    @Test(
        "a file name that leads out of the workspace, or is ours, is refused",
        arguments: ["/etc/x", "../x", "a/../../x", "", "state.json", "./Output.log", "d/"]
    )
    func fileNames(name: String) async throws {
        try await ScriptFixture.with { fixture in
            await #expect(throws: ScriptExecutionError.self) {
                try await fixture.run("true") { $0.files = [.init(name: name, contents: .bytes([]))] }
            }
            let status = try await fixture.status()
            #expect(status.exitCode == ScriptExitCode.unknownScript)
        }
    }

    @Test("the launcher is told policy and instance, and what is the agent's own at the time of each script")
    func sandbox() async throws {
        try await ScriptFixture.withHome { home in
            let fixture = try ScriptFixture(home: home, launcher: ScriptRunTests.BrokenLauncher())
            var configuration = ScriptService.Configuration(environment: [:])
            configuration.sandbox = "strict"
            configuration.instance = "Tentacle"
            let list = home + "/list"
            configuration.protected = {
                ((try? String(contentsOfFile: list, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
            }
            let service = ScriptService(
                workspaces: fixture.workspaces,
                launcher: fixture.launcher,
                configuration: configuration,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            for paths in [[], ["/etc/octopus"], ["/etc/octopus", "/b.config"]] {
                try paths.joined(separator: "\n").write(toFile: list, atomically: true, encoding: .utf8)
                let ticket = "t\(paths.count)"
                _ = try await service.start(ScriptStart(body: "true", taskID: "ServerTasks-1"), ticket: ticket)
                let file = try Data(contentsOf: URL(filePath: "\(home)/Work/\(ticket)/script.json"))
                let script = try ScriptSpecification(bytes: Array(file))
                #expect(script.sandbox == "strict" && script.instance == "Tentacle")
                #expect(script.protected == paths)
            }
        }
    }

    @Test("an old workspace is deleted; a young one, a running one and a foreign directory are not")
    func cleaner() async throws {
        try await ScriptFixture.with { fixture in
            _ = try await fixture.run("echo hello", ticket: "done")
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, ticket: "running")
            let foreign = fixture.home + "/Work/other"
            try FileManager.default.createDirectory(atPath: foreign, withIntermediateDirectories: true)
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let cleaner = WorkspaceCleaner(service: fixture.service, workspaces: fixture.workspaces, logger: logger)
            await cleaner.clean(olderThan: Date(timeIntervalSinceNow: -3600))
            #expect(fixture.workspaces.tickets().count == 3)
            await cleaner.clean(olderThan: Date(timeIntervalSinceNow: 3600))
            #expect(fixture.workspaces.tickets().map(\.description) == ["other", "running"])
            try await gate.open()
        }
    }
}
