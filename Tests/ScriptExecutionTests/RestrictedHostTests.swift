import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting
import Testing

/// Hosts that have less than a root user expects: chroots and containers.
@Suite struct RestrictedHostTests {
    /// How to make such a host around a command, which is `$@`.
    struct Host: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var setUp: String
        var keepsNamespaces: Bool

        static let all = [
            Host(
                testDescription: "a chroot, whose root is no mount",
                setUp: "mkdir -p root; mount --rbind / root; exec chroot root \"$@\"",
                keepsNamespaces: true
            ),
            Host(
                testDescription: "a container that allows no more PID namespaces",
                setUp: """
                    exec unshare --user --map-root-user /bin/sh -c \
                    'echo 0 > /proc/sys/user/max_pid_namespaces; exec "$@"' sh "$@"
                    """,
                keepsNamespaces: false
            ),
        ]
    }

    @Test(
        "without privileges, a process of another user is named instead of killed, and the log says so at the start",
        .enabled(if: ScriptFixture.isRoot, "needs root to make a process that nobody else can kill")
    )
    func unprivileged() async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.with { fixture in
            let home = fixture.home + "/Nobody"
            let script = """
                set -e
                mkdir -p \(home)/work/one; cp \(launcher) \(home)/launcher; cp /usr/bin/setpriv \(home)/become; chmod 4755 \(home)/become
                cd \(home)/work/one; mkfifo \(home)/gate
                cat > Bootstrap.sh <<'X'
                \(home)/become --reuid=0 --clear-groups sleep 1000 &
                until grep -q sleep /proc/$!/comm; do :; done
                echo $! > \(home)/gate; wait
                X
                echo '{"version":1,"ticket":"one","service":2,"taskId":"T","fullIsolation":false,"mutexName":"R",\
                "arguments":[],"environment":{"PATH":"/usr/bin:/bin"}}' > script.json
                echo '{"version":1,"ticket":"one","phase":"pending","created":"2024-05-09T10:11:12.123456Z","boot":"x"}' \
                > state.json
                chmod 755 \(fixture.home); chown -R 65534:65534 \(home)/work \(home)/gate
                exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
                    { echo "{\\\"start\\\":\\\"one\\\"}" | \(home)/launcher --work \(home)/work >/dev/null
                        echo "over" > \(home)/gate; } &
                    read -r process < \(home)/gate; echo "process $process"
                    echo "{\\\"cancel\\\":\\\"one\\\"}" | \(home)/launcher --work \(home)/work
                    test "$process" = over || read -r over < \(home)/gate; wait'
                """
            let outcome = try await RunningProgram("/bin/sh", ["-c", script]).outcome()
            let number = outcome.output.split(separator: "\n").first { $0.hasPrefix("process ") }?.dropFirst(8)
            let process = try #require(Int32(number ?? ""), "\(outcome)")
            let text = "Failed to kill the launched process and its children: \(process) (sleep), state S, of user 0"
            let living = kill(process, SIGKILL)
            #expect(living == 0)
            #expect(outcome.output.contains("{\"error\":\"\(text)\"}"), "\(outcome)")
            let log = try String(contentsOfFile: home + "/work/one/Output.log", encoding: .utf8)
            #expect(log.contains(" err \(text)\n"), "\(log)")
            #expect(log.contains(" dbg Not enforced here: a control group ("), "\(log)")
            #expect(log.contains("; a PID namespace, read-only paths, hidden paths, a /tmp of its own, "), "\(log)")
            #expect(log.contains("CAP_SYS_ADMIN, and a user namespace would end sudo: "), "\(log)")
            #expect(log.contains("and those of other users cannot be killed."), "\(log)")
        }
    }

    @Test(
        "a script runs with what the host allows, and its log names what it does not",
        .enabled(if: ScriptFixture.isRoot, "needs root for a mount namespace"),
        arguments: Host.all
    )
    func runs(host: Host) async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.with { fixture in
            // Not where the fixture's own service looks after scripts.
            let work = fixture.home + "/Elsewhere"
            let prepare = """
                set -e
                mkdir -p \(work)/one; cd \(work)/one
                echo 'echo "it runs"' > Bootstrap.sh
                echo '{"version":1,"ticket":"one","service":2,"taskId":"T","fullIsolation":false,"mutexName":"R",\
                "arguments":[],"environment":{"PATH":"/usr/bin:/bin"}}' > script.json
                echo '{"version":1,"ticket":"one","phase":"pending","created":"2024-05-09T10:11:12.123456Z","boot":"x"}' \
                > state.json
                \(host.setUp)
                """
            let shell = try RunningProgram(
                "/usr/bin/unshare",
                ["--mount", "/bin/sh", "-c", prepare, "sh", launcher, "--work", work],
                input: .text("{\"start\":\"one\"}\n")
            )
            let outcome = await shell.outcome()
            #expect(outcome.status == 0, "\(outcome)")
            let log = try String(contentsOfFile: work + "/one/Output.log", encoding: .utf8)
            #expect(log.contains(" out it runs\n"), "\(log)")
            #expect(log.contains("exited with code 0"), "\(log)")
            #expect(log.contains("Not enforced here") == !host.keepsNamespaces, "\(log)")
        }
    }
}
