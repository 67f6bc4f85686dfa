import Foundation
import LauncherProtocol
import ProcessTesting
import Testing

@testable import ScriptExecution

/// Real bash through the real launcher.
@Suite struct ScriptRunTests {
    @Test("the log of echo hello is the golden one of tentacle-services.md 8.2", arguments: ["standard", "none"])
    func golden(policy: String) async throws {
        try await ScriptFixture.with(policy: policy) { fixture in
            let status = try await fixture.run("echo hello")
            let workspace = fixture.home + "/Work/abc"
            #expect(
                ScriptFixture.lines(status) == [
                    "out ##octopus[stdout-verbose]",
                    "out Acquiring isolation mutex RunningScript with NoIsolation in ServerTasks-1",
                    "out ##octopus[stdout-default]",
                    "dbg Executable directory is /bin",
                    "dbg Executable name or full path: /bin/bash",
                    "dbg Starting /bin/bash in working directory '\(workspace)' using 'Unicode (UTF-8)' encoding "
                        + "running as '\(NSUserName())'",
                    "out hello",
                    "dbg Process /bin/bash in \(workspace) exited with code 0",
                ]
            )
            #expect(status.state == .complete)
            #expect(status.exitCode == 0)
            #expect(status.ticket == "abc")
            let log = try Data(contentsOf: URL(filePath: workspace + "/Output.log"))
            #expect(status.nextLogSequence == log.count)
        }
    }

    @Test(
        "the exit code is bash's, or 128 and the signal",
        arguments: [
            ("exit 0", 0), ("exit 99", 99), ("exit 300", 44), ("false", 1), ("kill -9 $$", 137), ("kill $$", 143),
        ]
    )
    func exitCodes(body: String, code: Int32) async throws {
        try await ScriptFixture.with { fixture in
            let status = try await fixture.run(body)
            #expect(status.state == .complete)
            #expect(status.exitCode == code)
        }
    }

    @Test("lines follow the rules: CR, CR LF, empty, invalid UTF-8, NUL, no final newline")
    func lines() async throws {
        try await ScriptFixture.with { fixture in
            let status = try await fixture.run(#"printf 'a\r\n10%%\r20%%\r\r\n\nx\xffy\nn\0l\n\xef\xbb\xbfbom\nlast'"#)
            #expect(
                ScriptFixture.output(status)
                    == ["a", "10%", "20%", "", "", "x\u{FFFD}y", "n\0l", "\u{FEFF}bom", "last"]
            )
        }
    }

    @Test("standard output and standard error are told apart, each in its order")
    func streams() async throws {
        try await ScriptFixture.with { fixture in
            let status = try await fixture.run("for i in 1 2 3; do echo o$i; echo e$i >&2; done")
            #expect(ScriptFixture.output(status) == ["o1", "o2", "o3"])
            #expect(status.logs.filter { $0.source == .standardError }.map(\.text) == ["e1", "e2", "e3"])
        }
    }

    @Test("a line of 300 KB is one entry, with a line of standard error in its middle")
    func longLine() async throws {
        try await ScriptFixture.with { fixture in
            let status = try await fixture.run(#"head -c 300000 /dev/zero | tr '\0' x; echo err >&2; echo; echo end"#)
            #expect(ScriptFixture.output(status) == [String(repeating: "x", count: 300_000), "end"])
            #expect(status.logs.contains { $0.source == .standardError && $0.text == "err" })
        }
    }

    @Test("arguments are split as the reference splits them, files are in the working directory, stdin is empty")
    func surroundings() async throws {
        var environment = ScriptFixture.environment
        environment["TentacleHome"] = "/h"
        try await ScriptFixture.with(environment: environment) { fixture in
            let body = #"printf '%s\n' "$@" "$TentacleHome" "$PWD"; cat foo.txt dir/bar.txt; cat; exit 4"#
            let status = try await fixture.run(body + "\r\n") { start in
                start.arguments = ["First", "\"two words\"", #"a\"b"#, "x y"]
                start.files = [
                    .init(name: "foo.txt", contents: .bytes(Array("The File Contents\n".utf8))),
                    .init(
                        name: "./dir/../dir/bar.txt",
                        contents: .bytes(Array("\u{FEFF}t".utf8)),
                        encryptionPassword: "p"
                    ),
                ]
            }
            #expect(
                ScriptFixture.output(status) == [
                    "First", "two words", "a\"b", "x", "y", "/h", fixture.home + "/Work/abc", "The File Contents",
                    "IV__p:t",
                ]
            )
            #expect(status.exitCode == 4)
        }
    }

    @Test("no descriptor of the agent reaches the script, even one that is not close-on-exec")
    func descriptors() async throws {
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        try await ScriptFixture.with { fixture in
            let status = try await fixture.run("ls /proc/self/fd | wc -l")
            // 0, 1, 2 and the directory that ls itself reads.
            #expect(ScriptFixture.output(status) == ["4"])
        }
    }

    @Test("signals have their default action in the script")
    func signals() async throws {
        try await ScriptFixture.with { fixture in
            let status = try await fixture.run(#"cat /proc/self/status | grep -E 'Sig(Blk|Ign|Cgt)' | tr -d '\t'"#)
            let none = "0000000000000000"
            #expect(ScriptFixture.output(status) == ["SigBlk:\(none)", "SigIgn:\(none)", "SigCgt:\(none)"])
        }
    }

    @Test("a background child that holds the output keeps the script running until it ends")
    func background() async throws {
        try await ScriptFixture.with { fixture in
            let gate = try Gate(fixture)
            try await fixture.runToGate(gate, "echo first; ( \(gate.script); echo late ) & exit 3")
            #expect(try await fixture.status().state == .running)
            try await gate.open()
            await fixture.service.waitUntilOver(ticket: "abc")
            let status = try await fixture.status()
            #expect(ScriptFixture.output(status) == ["first", "late"])
            #expect(status.exitCode == 3)
        }
    }

    @Test(
        "what is left over ends with the script in its own namespace, and lives on without",
        .enabled(if: ScriptFixture.isRoot, "needs root for a PID namespace"),
        arguments: [("standard", 0), ("none", 1)]
    )
    func leftOver(policy: String, count: Int) async throws {
        try await ScriptFixture.with(policy: policy) { fixture in
            let marker = "left-over-\(UUID().uuidString)"
            let status = try await fixture.run(
                """
                (exec -a '\(marker)' sleep 1000) >/dev/null 2>&1 &
                while ! grep -qs '\(marker)' /proc/$!/cmdline; do :; done
                """
            )
            #expect(status.state == .complete)
            let living = processes(containing: marker)
            #expect(living.count == count)
            for id in living { kill(id, SIGKILL) }
        }
    }

    @Test("complete means the whole log is there, whatever the rate")
    func completeMeansWhole() async throws {
        try await ScriptFixture.with { fixture in
            for round in 0..<5 {
                let status = try await fixture.run("seq 1 20000; echo end >&2", ticket: "t\(round)")
                #expect(status.state == .complete)
                #expect(ScriptFixture.output(status).count == 20_000)
                #expect(ScriptFixture.output(status).last == "20000")
                #expect(status.logs.last?.text.hasSuffix("exited with code 0") == true)
            }
        }
    }

    @Test("a launcher that cannot start the script ends it with -42 and says why")
    func cannotStart() async throws {
        try await ScriptFixture.with(launcher: BrokenLauncher()) { fixture in
            let status = try await fixture.run("echo hello")
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.couldNotStart)
            let reason = "Error when attempting to execute /bin/bash: no such thing"
            #expect(
                status.logs.suffix(2).map(\.text)
                    == ["An exception was thrown when invoking /bin/bash: \(reason)", reason]
            )
        }
    }

    struct BrokenLauncher: ScriptLauncher {
        func ask(_ request: LauncherRequest) async throws -> LauncherReply { .failed("no such thing") }
    }
}

@Suite struct FullDiskTests {
    /// The workspace lies on a small tmpfs of a mount namespace that ends with the shell.
    static func script(home: String, launcher: String, size: String, body: String) -> String {
        """
        set -e
        mkdir -p \(home)/Work
        mount -t tmpfs -o size=\(size) none \(home)/Work
        mkdir \(home)/Work/full; cd \(home)/Work/full
        cat > Bootstrap.sh <<'SCRIPT'
        \(body)
        SCRIPT
        echo '{"version":1,"ticket":"full","service":2,"taskId":"T","fullIsolation":false,"mutexName":"R",\
        "arguments":[],"environment":{"PATH":"/usr/bin:/bin"}}' > script.json
        echo '{"version":1,"ticket":"full","phase":"pending","created":"2024-05-09T10:11:12.123456Z","boot":"x"}' \
        > state.json
        echo '{"start":"full"}' | \(launcher) --work \(home)/Work
        cp state.json Output.log \(home)
        """
    }

    @Test(
        "a full disk ends the script with -41, its last lines and its record, and it does not hang",
        .enabled(if: ScriptFixture.isRoot, "needs root for a mount namespace")
    )
    func fullDisk() async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.with { fixture in
            let script = Self.script(
                home: fixture.home,
                launcher: launcher + " --disk-reserve 0",
                size: "256k",
                body: "seq 1 1000000; echo survived"
            )
            let shell = try RunningProgram("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", script])
            #expect(await shell.outcome().status == 0)
            let record = try Data(contentsOf: URL(filePath: fixture.home + "/state.json"))
            let state = try ScriptStateRecord(bytes: Array(record))
            #expect(state.phase == .complete)
            #expect(state.exitCode == ScriptExitCode.fatal)
            #expect(state.detail?.contains("No space left on device") == true)
            let text = try String(contentsOfFile: fixture.home + "/Output.log", encoding: .utf8)
            let log = text.split(separator: "\n")
            #expect(log.last?.contains("exited with code -41") == true)
            #expect(log.dropLast().last?.contains("No space left on device") == true)
            #expect(log.allSatisfy { OutputLogRecord(line: Array($0.utf8)) != nil })
            #expect(!log.contains { $0.hasSuffix("survived") })
        }
    }

    @Test(
        "logs leave a reserve on the disk: what is dropped is said, and what comes when there is room again is written",
        .enabled(if: ScriptFixture.isRoot, "needs root for a mount namespace")
    )
    func reserve() async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.with { fixture in
            // The script makes room, and goes on until its lines are written again.
            let body = """
                fallocate -l 4M other; seq 1 200000; rm other
                until [ "$(tail -c 6 Output.log)" = again ]; do echo again; sleep 0.1; done
                """
            let script = Self.script(
                home: fixture.home,
                launcher: launcher + " --disk-reserve 2M",
                size: "8m",
                body: body
            )
            let shell = try RunningProgram("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", script])
            #expect(await shell.outcome().status == 0)
            let state = try ScriptStateRecord(
                bytes: Array(try Data(contentsOf: URL(filePath: fixture.home + "/state.json")))
            )
            #expect(state.exitCode == 0)
            let text = try String(contentsOfFile: fixture.home + "/Output.log", encoding: .utf8)
            let records = text.split(separator: "\n").compactMap { OutputLogRecord(line: Array($0.utf8)) }
            let lines = records.map { String(decoding: $0.text, as: UTF8.self) }
            let numbers = lines.compactMap { Int($0) }
            let notice = try #require(lines.firstIndex { $0.hasPrefix("The disk has only ") })
            #expect(lines[notice].contains("less than the 2 MB that logs leave to others"))
            let end = try #require(lines.first { $0.hasSuffix(") of this script's output were dropped here.") })
            let dropped = try #require(Int(end.prefix { $0.isNumber }))
            #expect(numbers.first == 1)
            #expect(numbers.last == 200_000)
            let again = lines.filter { $0 == "again" }.count
            #expect(again > 0)
            // Among the dropped ones are some that say "again", too.
            #expect(numbers.count + dropped >= 200_000)
            #expect(dropped < 200_000)
        }
    }
}
