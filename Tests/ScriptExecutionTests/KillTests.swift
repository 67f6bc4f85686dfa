import CLinux
import Foundation
import Glibc
import LauncherProtocol
import Testing

@testable import ScriptExecution

/// How a script's processes are held together.
enum Containment: String, CaseIterable, Sendable {
    case controlGroup = "control group"
    case namespace = "PID namespace"
    case descendants = "neither"

    var policy: String { self == .namespace ? "processes" : "none" }
    /// Of the sandbox only what kills: the cases freeze processes and become other users.
    var policies: [String: String] {
        ["processes": "base = \"none\"\n[processes]\nnamespace = true\nbackground = false\n"]
    }
    var launcherArguments: [String] { ["--control-groups", self == .controlGroup ? "auto" : "off"] }
}

/// A script whose processes are hard to kill; it passes `GATE` when all of them are there.
struct HardCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var script: String

    /// Output of what goes on is closed, so that only a kill ends it.
    static let all = [
        HardCase(testDescription: "children", script: "sleep 1000 & sleep 1000 & GATE"),
        HardCase(
            testDescription: "a double fork",
            script: "( ( GATE; exec sleep 1000 ) >/dev/null 2>&1 & ) & sleep 1000"
        ),
        HardCase(
            testDescription: "a session of its own",
            script: "setsid --fork bash -c 'GATE; exec sleep 1000' >/dev/null 2>&1; sleep 1000"
        ),
        HardCase(
            testDescription: "ignored signals",
            script: "trap '' TERM INT HUP QUIT USR1; setsid --fork sleep 1000; GATE; while :; do sleep 1; done"
        ),
        HardCase(
            testDescription: "a stopped process",
            script: """
                sleep 1000 & id=$!; kill -STOP $id
                until grep -q 'State:.T' /proc/$id/status; do :; done
                GATE
                """
        ),
        HardCase(
            testDescription: "a process that holds the output when the script has ended",
            script: "( GATE; exec sleep 1000 ) & exit 0"
        ),
        HardCase(
            testDescription: "a stopped script",
            script: "setsid --fork sleep 1000; ( GATE; kill -STOP $$; exec sleep 1000 ) & wait"
        ),
        HardCase(
            testDescription: "children of another user",
            script: """
                setpriv --reuid=65534 --regid=65534 --clear-groups \
                    bash -c 'sleep 1000 & setsid --fork sleep 1000; exec sleep 1000' &
                until [ "$(stat -c %u /proc/$!)" = 65534 ] && grep -qa sleep /proc/$!/cmdline; do :; done
                GATE
                """
        ),
        HardCase(
            testDescription: "a fork bomb",
            script: """
                cat > /dev/shm/BOMB <<'X'
                $SIG{CHLD} = "IGNORE";
                while (1) {
                    setpgrp(0, 0) if rand(10) < 1;
                    my $child = fork();
                    exit(0) if defined $child && !$child && rand(10) < 3;
                }
                X
                setpriv --reuid=BOMB --regid=65534 --clear-groups bash -c 'ulimit -u 40; exec perl /dev/shm/BOMB' &
                until [ "$(ps --no-headers -u BOMB | wc -l)" -gt 20 ]; do sleep 0.02; done
                rm /dev/shm/BOMB
                GATE
                """
        ),
    ]
}

/// Numbers of the living processes that carry a marker in their environment, or in their command line.
func livingProcesses(marked marker: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap(Int32.init).compactMap { id -> String? in
        let files = ["environ", "cmdline"].map { FileManager.default.contents(atPath: "/proc/\(id)/\($0)") ?? Data() }
        guard files.contains(where: { $0.range(of: Data(marker.utf8)) != nil }) else { return nil }
        let status = (try? String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)) ?? ""
        return status.contains("\nState:\tZ") ? nil : "\(id) \(status.prefix { $0 != "\n" })"
    }
}

@Suite(
    .enabled(if: ScriptFixture.isRoot, "needs root for namespaces, control groups and other users"),
    .timeLimit(.minutes(4)),
    // Several fork bombs at once would measure the machine, not us.
    .serialized
)
struct KillTests {
    /// A script at its gate; `body` gets what marks its processes.
    private static func withScript(
        _ script: String,
        _ way: Containment,
        _ body: @Sendable @escaping (ScriptFixture, String) async throws -> Void
    ) async throws {
        let marker = "TENTACLE_TEST=\(UUID().uuidString)"
        let parts = marker.split(separator: "=")
        var environment = ScriptFixture.environment
        environment[String(parts[0])] = String(parts[1])
        try await ScriptFixture.with(
            policy: way.policy,
            policies: way.policies,
            launcherArguments: way.launcherArguments,
            environment: environment
        ) { fixture in
            let gate = try Gate(fixture)
            // The gate's own quotes would end the ones around it.
            let passing = gate.script.replacing("'", with: "")
            // A user of its own, since the limit is one of the user.
            let user = "\(Int.random(in: 61184...65519))"
            let text = script.replacing("GATE", with: passing).replacing("BOMB", with: user)
            let start = ScriptStart(body: text, taskID: "ServerTasks-1")
            _ = try await fixture.service.start(start, ticket: "abc")
            try await gate.reached()
            #expect(!livingProcesses(marked: marker).isEmpty)
            try await body(fixture, marker)
        }
    }

    /// With `TENTACLE_TIMES` set: how long it took until nobody was left, for people.
    private static func note(_ what: String, _ test: HardCase, _ way: Containment, _ time: Duration) {
        guard ProcessInfo.processInfo.environment["TENTACLE_TIMES"] != nil else { return }
        print("TIME \(what) | \(test.testDescription) | \(way.rawValue) | \(time / .milliseconds(1)) ms")
    }

    @Test("a cancel leaves no process", arguments: HardCase.all, Containment.allCases)
    func cancel(test: HardCase, way: Containment) async throws {
        try await Self.withScript(test.script, way) { fixture, marker in
            let began = ContinuousClock.now
            let status = try await fixture.service.cancel(ticket: "abc", after: 0, generation: .v2)
            let living = livingProcesses(marked: marker)
            Self.note("cancel", test, way, .now - began)
            #expect(living == [])
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.cancelled)
            #expect(!status.logs.contains { $0.text.contains("Failed to kill") }, "\(ScriptFixture.lines(status))")
        }
    }

    @Test(
        "a launcher that is killed leaves no process, and the log says so",
        arguments: HardCase.all,
        Containment.allCases
    )
    func launcherKilled(test: HardCase, way: Containment) async throws {
        try await Self.withScript(test.script, way) { fixture, marker in
            let holder = try fixture.workspaces.open(try ScriptTicketName("abc"))?.lockHolder()
            guard case .launcher(let launcher)? = holder else {
                Issue.record("no launcher holds the lock")
                return
            }
            let began = ContinuousClock.now
            kill(launcher, SIGKILL)
            await fixture.service.waitUntilOver(ticket: "abc")
            let living = livingProcesses(marked: marker)
            Self.note("launcher killed", test, way, .now - began)
            #expect(living == [])
            let status = try await fixture.status()
            #expect(status.exitCode == ScriptExitCode.unknownResult)
            #expect(
                status.logs.suffix(2).map(\.text) == [
                    "The launcher of this script was killed; the script was ended with it.",
                    "The process that supervised this script ended before the script did; its outcome is unknown.",
                ]
            )
        }
    }

    @Test("launcher and keeper killed at once leave no process where there is a way", arguments: Containment.allCases)
    func bothKilled(way: Containment) async throws {
        let test = HardCase.all[2]
        try await Self.withScript(test.script, way) { fixture, marker in
            let holder = try fixture.workspaces.open(try ScriptTicketName("abc"))?.lockHolder()
            guard case .launcher(let launcher)? = holder else {
                Issue.record("no launcher holds the lock")
                return
            }
            // The keeper is the launcher's only child.
            let children = try String(contentsOfFile: "/proc/\(launcher)/task/\(launcher)/children", encoding: .utf8)
            let keeper = try #require(Int32(children.split(separator: " ").first ?? ""))
            for process in [launcher, keeper] { kill(process, SIGSTOP) }
            for process in [launcher, keeper] { kill(process, SIGKILL) }
            await fixture.service.waitUntilOver(ticket: "abc")
            let status = try await fixture.status()
            #expect(status.exitCode == ScriptExitCode.unknownResult)
            let warning = "Processes of the script live on when its launcher and its keeper are killed at once."
            let living = livingProcesses(marked: marker)
            #expect(living.isEmpty == (way != .descendants))
            #expect(status.logs.contains { $0.text.hasSuffix(warning) } == (way == .descendants))
            for process in living { kill(try #require(Int32(process.split(separator: " ")[0])), SIGKILL) }
        }
    }

    @Test("a keeper that is killed takes the script along, and the log says so", arguments: Containment.allCases)
    func keeperKilled(way: Containment) async throws {
        try await Self.withScript(HardCase.all[2].script, way) { fixture, marker in
            let holder = try fixture.workspaces.open(try ScriptTicketName("abc"))?.lockHolder()
            guard case .launcher(let launcher)? = holder else {
                Issue.record("no launcher holds the lock")
                return
            }
            let children = try String(contentsOfFile: "/proc/\(launcher)/task/\(launcher)/children", encoding: .utf8)
            kill(try #require(Int32(children.split(separator: " ").first ?? "")), SIGKILL)
            await fixture.service.waitUntilOver(ticket: "abc")
            #expect(livingProcesses(marked: marker) == [])
            let status = try await fixture.status()
            #expect(status.exitCode == 137)
            #expect(status.logs.contains { $0.text.contains("The process that kept the script was killed") })
        }
    }

    // MARK: What cannot be killed

    static let freezer = "/sys/fs/cgroup/freezer"

    /// A process in uninterruptible sleep: SIGKILL reaches it when it is thawed.
    private static func withFrozen(
        _ way: Containment,
        _ body: @Sendable @escaping (ScriptFixture) async throws -> Void
    ) async throws {
        let group = freezer + "/tentacle-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: group, withIntermediateDirectories: false)
        defer { rmdir(group) }
        let script = """
            sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done
            echo $! > \(group)/cgroup.procs; echo FROZEN > \(group)/freezer.state
            until grep -q FROZEN \(group)/freezer.state; do :; done
            GATE; wait
            """
        try await withScript(script, way) { fixture, marker in
            let frozen = try #require(try Self.members(of: group).first)
            let process = clinux_pidfd_open(frozen)
            defer { close(process) }
            try await body(fixture)
            #expect(livingProcesses(marked: marker).count == 1)
            try Data("THAWED".utf8).write(to: URL(filePath: group + "/freezer.state"))
            var waiting = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
            #expect(poll(&waiting, 1, 10_000) == 1)
            #expect(livingProcesses(marked: marker) == [])
            // Removes the control group, where there was one.
            _ = try await fixture.launcher.ask(.cancel(try ScriptTicketName("abc")))
        }
    }

    private static func members(of group: String) throws -> [Int32] {
        try String(contentsOfFile: group + "/cgroup.procs", encoding: .utf8).split(separator: "\n").compactMap {
            Int32($0)
        }
    }

    @Test(
        "what cannot be killed is named, and nobody waits for it",
        .enabled(if: access(freezer + "/tasks", W_OK) == 0, "needs the freezer of version 1 control groups"),
        arguments: Containment.allCases
    )
    func uninterruptible(way: Containment) async throws {
        try await Self.withFrozen(way) { fixture in
            let began = ContinuousClock.now
            let status = try await fixture.service.cancel(ticket: "abc", after: 0, generation: .v2)
            Self.note("cancel", HardCase(testDescription: "an uninterruptible process", script: ""), way, .now - began)
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.cancelled)
            let text = status.logs.last { $0.source == .standardError }?.text ?? ""
            #expect(
                text.contains(
                    #/^Failed to kill the launched process and its children: \d+ \(sleep\), state D \(uninterruptible\)$/#
                ),
                "\(ScriptFixture.lines(status))"
            )
        }
    }

    @Test(
        "what cannot be killed is named also when the launcher was",
        .enabled(if: access(freezer + "/tasks", W_OK) == 0, "needs the freezer of version 1 control groups"),
        arguments: Containment.allCases
    )
    func uninterruptibleOrphan(way: Containment) async throws {
        try await Self.withFrozen(way) { fixture in
            let holder = try fixture.workspaces.open(try ScriptTicketName("abc"))?.lockHolder()
            guard case .launcher(let launcher)? = holder else {
                Issue.record("no launcher holds the lock")
                return
            }
            kill(launcher, SIGKILL)
            await fixture.service.waitUntilOver(ticket: "abc")
            let status = try await fixture.status()
            #expect(status.exitCode == ScriptExitCode.unknownResult)
            #expect(
                status.logs.contains { $0.text.contains(#/its children: \d+ \(sleep\), state D/#) },
                "\(ScriptFixture.lines(status))"
            )
        }
    }
}
