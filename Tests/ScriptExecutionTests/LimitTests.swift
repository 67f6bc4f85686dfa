import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting
import Testing

@testable import ScriptExecution

@Suite struct LimitTests {
    @Test("a flood is cut at the log's limit: its first and its last lines are there, and how many are not")
    func flood() async throws {
        try await ScriptFixture.with(launcherArguments: ["--log-limit", "1M"]) { fixture in
            let status = try await fixture.run("seq 1 500000; echo the end >&2; exit 3")
            #expect(status.exitCode == 3)
            let lines = status.logs.map(\.text)
            let size = try FileManager.default.attributesOfItem(atPath: fixture.home + "/Work/abc/Output.log")[.size]
            #expect(try #require(size as? Int) < (1 << 20) + OutputLogQuota.tailBytes + 4096)
            let notice = try #require(
                lines.firstIndex(
                    of: "The log of this script has reached its limit of 1 MB: what it prints from here on is dropped, "
                        + "but for its last lines."
                )
            )
            let end = try #require(
                lines.firstIndex { $0.hasSuffix(") of this script's output were dropped here.") }
            )
            #expect(end == notice + 1)
            let numbers = lines.compactMap { Int($0) }
            let before = lines[..<notice].compactMap { Int($0) }
            let after = lines[end...].compactMap { Int($0) }
            #expect(before == Array(1...before.count))
            #expect(after == Array((500_001 - after.count)...500_000))
            let dropped = try #require(Int(lines[end].prefix { $0.isNumber }))
            #expect(numbers.count + dropped == 500_000)
            #expect(lines.contains("the end"))
            #expect(lines.last?.hasSuffix("exited with code 3") == true)
        }
    }

    @Test("a script that takes too long ends with everything it started, and its log says why")
    func timeLimit() async throws {
        let marker = "TENTACLE_TEST=\(UUID().uuidString)"
        var environment = ScriptFixture.environment
        environment["TENTACLE_TEST"] = String(marker.dropFirst(14))
        try await ScriptFixture.with(launcherArguments: ["--time-limit", "1"], environment: environment) { fixture in
            let body = "trap '' TERM; setsid --fork sleep 1000 >/dev/null 2>&1; sleep 1000"
            let status = try await fixture.run(body)
            #expect(livingProcesses(marked: marker) == [])
            #expect(status.state == .complete)
            #expect(status.exitCode == ScriptExitCode.cancelled)
            #expect(
                ScriptFixture.lines(status).suffix(2) == [
                    "err The script took longer than its limit of 1 s. It was ended with everything it had started.",
                    "dbg Process /bin/bash in \(fixture.home)/Work/abc exited with code -1",
                ]
            )
        }
    }

    @Test("a script that fills its working directory beyond the quota is ended; one below it is not")
    func workspaceQuota() async throws {
        try await ScriptFixture.with(launcherArguments: ["--workspace-quota", "4M"]) { fixture in
            let small = try await fixture.run("mkdir -p a/b; head -c 1000000 /dev/zero > a/b/c", ticket: "small")
            #expect(small.exitCode == 0)
            let body = "mkdir -p a/b; for i in 1 2 3 4 5; do head -c 1000000 /dev/zero > a/b/$i; done; sleep 1000"
            let status = try await fixture.run(body)
            #expect(status.exitCode == ScriptExitCode.cancelled)
            #expect(
                status.logs.contains {
                    $0.text.hasPrefix("The script's working directory holds more than its quota of 4 MB. It was ended")
                }
            )
        }
    }

    @Test("a script whose files are more than the quota does not begin")
    func workspaceQuotaBefore() async throws {
        try await ScriptFixture.with(launcherArguments: ["--workspace-quota", "1M"]) { fixture in
            let status = try await fixture.run("echo never") {
                $0.files = [.init(name: "large", contents: .bytes([UInt8](repeating: 1, count: 2_000_000)))]
            }
            #expect(status.exitCode == ScriptExitCode.cancelled)
            #expect(ScriptFixture.output(status) == [])
            #expect(status.logs.contains { $0.text.contains("holds more than its quota of 1 MB.") })
        }
    }

    @Test("the proxy's password is masked in what a script prints")
    func masked() async throws {
        var environment = ScriptFixture.environment
        environment["TentacleProxyPassword"] = "se cret/ö"
        try await ScriptFixture.with(environment: environment) { fixture in
            let body = """
                echo "a $TentacleProxyPassword b"; echo "se+cret%2F%C3%B6 se%20cret%2f%c3%b6 se cret" >&2
                head -c 65540 /dev/zero | tr '\\0' x; printf 'yse cr'; sleep 0.2; echo 'et/ö z'
                """
            let status = try await fixture.run(body)
            #expect(status.exitCode == 0)
            let output = ScriptFixture.output(status)
            #expect(output.first == "a ******** b")
            #expect(output.last?.hasSuffix("xy******** z") == true, "\(output.last?.suffix(30) ?? "")")
            #expect(status.logs.contains { $0.source == .standardError && $0.text == "******** ******** se cret" })
            let log = try String(contentsOfFile: fixture.home + "/Work/abc/Output.log", encoding: .utf8)
            #expect(!log.contains("se cret/ö"))
        }
    }

    @Test(
        "settings that are not understood are refused before anything starts",
        arguments: [
            ("--log-limit", "many", "log-limit is a number of bytes"), ("--time-limit", "-1", "time-limit is a number"),
            ("--workspace-quota", "5X", "workspace-quota is a number of bytes"), ("--colour", "red", "unknown option"),
            ("--disk-reserve", "99999999999T", "disk-reserve is a number of bytes"),
        ]
    )
    func badSettings(name: String, value: String, text: String) async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        let outcome = try await RunningProgram(launcher, ["--work", "/tmp", name, value]).outcome()
        #expect(outcome.status == 2)
        #expect(outcome.errors.contains(text), "\(outcome.errors)")
    }
}
