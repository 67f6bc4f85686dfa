import Foundation
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
