import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting
import Testing

@testable import ScriptExecution

/// Which policy the launcher takes for a script, and what becomes of a script for which there is none.
@Suite struct PolicyChoiceTests {
    /// The machine's file and its policies, in a directory of their own.
    struct Machine {
        let folder: String
        var arguments: [String] { ["--config", folder + "/launcher.toml", "--policies", folder + "/policies"] }

        static func with(
            _ settings: String,
            policies: [String: String] = [:],
            _ body: (Machine) async throws -> Void
        ) async throws {
            try await ScriptFixture.withHome { folder in
                let machine = Machine(folder: folder)
                try FileManager.default.createDirectory(
                    atPath: folder + "/policies",
                    withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o755]
                )
                try machine.write(settings, "launcher.toml")
                for (name, text) in policies { try machine.write(text, "policies/\(name).toml") }
                try await body(machine)
            }
        }

        func write(_ text: String, _ name: String, mode: mode_t = 0o644) throws {
            try Data(text.utf8).write(to: URL(filePath: folder + "/" + name))
            try #require(chmod(folder + "/" + name, mode) == 0)
        }
    }

    /// The script's lines and the record of its end, for what an agent says in script.json.
    static func run(
        _ machine: Machine,
        sandbox: String? = nil,
        instance: String? = nil,
        arguments: [String] = [],
        body: String = "echo has run"
    ) async throws -> (lines: [String], exitCode: Int32) {
        let program = try #require(ScriptFixture.launcherPath)
        var result: (lines: [String], exitCode: Int32) = ([], 0)
        try await ScriptFixture.withHome { home in
            let fixture = try ScriptFixture(home: home)
            let ticket = try ScriptTicketName("abc")
            try fixture.workspaces.prepare(
                ticket,
                ScriptStart(body: body, taskID: "ServerTasks-12"),
                ScriptSpecification(
                    ticket: ticket,
                    service: 2,
                    taskID: "ServerTasks-12",
                    fullIsolation: false,
                    mutexName: "deploy-web",
                    mutexTimeoutMilliseconds: nil,
                    arguments: [],
                    environment: ScriptFixture.environment,
                    sandbox: sandbox,
                    instance: instance
                )
            )
            let outcome = try await RunningProgram(
                program,
                ["--work", fixture.workspaces.workDirectory] + machine.arguments + arguments,
                input: .text("{\"start\":\"abc\"}\n")
            ).outcome()
            #expect(outcome.output == "{\"ok\":\"started\"}\n", "\(outcome)")
            let log = try String(contentsOfFile: fixture.workspaces.path(of: ticket) + "/Output.log", encoding: .utf8)
            let state = try #require(try fixture.workspaces.open(ticket)?.readState())
            #expect(state.phase == .complete)
            // Behind the time.
            result.lines = log.split(separator: "\n").map { $0.drop { $0 != " " }.dropFirst().description }
            result.exitCode = try #require(state.exitCode)
        }
        return result
    }

    /// A policy that is not there names itself.
    static func chosen(_ machine: Machine, sandbox: String?, instance: String?) async throws -> String? {
        let (lines, exitCode) = try await run(machine, sandbox: sandbox, instance: instance)
        guard exitCode == ScriptExitCode.couldNotStart else { return nil }
        try #require(lines.count == 1, "\(lines)")
        let behind = lines[0].split(separator: "so no policy ").last ?? ""
        return behind.split(separator: ";").first.map(String.init)
    }

    @Test("a rule that matches beats the agent, the agent beats the machine's default")
    func choice() async throws {
        let settings = """
            policy = "by-default"
            [[rule]]
            policy = "by-rule"
            instance = "Tentacle"
            mutex = "deploy-*"
            task = "ServerTasks-??"
            """
        try await Machine.with(settings) { machine in
            for (sandbox, instance, name) in [
                (nil, nil, "by-default"), ("by-agent", nil, "by-agent"), ("none", "Tentacle", "by-rule"),
                ("none", "other", nil),
            ] as [(String?, String?, String?)] {
                let chosen = try await Self.chosen(machine, sandbox: sandbox, instance: instance)
                #expect(chosen == name)
            }
        }
    }

    @Test("a policy from a file is applied", .enabled(if: ScriptFixture.isRoot, "needs root for a PID namespace"))
    func file() async throws {
        let policies = [
            "inside": "base = \"none\"\nprocesses = { namespace = true, background = false }",
            "outside": "base = \"none\"",
        ]
        try await Machine.with("policy = \"inside\"", policies: policies) { machine in
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
            let body = "readlink /proc/self/ns/pid"
            let inside = try await Self.run(machine, body: body).lines.filter { $0.hasPrefix("out ") }
            let outside = try await Self.run(machine, sandbox: "outside", body: body).lines.filter {
                $0.hasPrefix("out ")
            }
            #expect(inside.count == 1 && inside != ["out \(own)"])
            #expect(outside == ["out \(own)"])
        }
    }

    @Test("a script is not started under a policy that is forbidden, unknown or broken, and its log says why")
    func refused() async throws {
        let policies = ["broken": "base = \"standard\"\ncolour = 1", "open": ""]
        try await Machine.with("forbid = [\"none\"]", policies: policies) { machine in
            try machine.write("", "policies/open.toml", mode: 0o664)
            let folder = machine.folder + "/policies"
            for (name, why) in [
                ("none", "the policy none, named by the agent, is forbidden on this machine; name another with: "),
                (
                    "lost",
                    "\(folder)/lost.toml: there is no such file, so no policy lost; known are none, standard, strict, broken, open"
                ),
                ("broken", "\(folder)/broken.toml:2: unknown key colour; known are description, base, "),
                (
                    "open",
                    "\(folder)/open.toml: must be writable by nobody but its owner, or others could change what scripts may "
                        + "do: chmod go-w \(folder)/open.toml"
                ),
            ] {
                let (lines, exitCode) = try await Self.run(machine, sandbox: name)
                #expect(exitCode == ScriptExitCode.couldNotStart)
                #expect(lines.count == 1 && lines[0].hasPrefix("err The script was not started: \(why)"), "\(lines)")
            }
        }
    }

    @Test("a machine's file with a problem starts no script and says so in its log")
    func brokenSettings() async throws {
        try await Machine.with("policy = \"none\"\nlog-limit = \"many\"") { machine in
            let (lines, exitCode) = try await Self.run(machine)
            #expect(exitCode == ScriptExitCode.couldNotStart)
            #expect(
                lines == [
                    "err The script was not started: \(machine.folder)/launcher.toml:2: log-limit is a number of bytes, or a "
                        + "text like \"512M\" that ends in K, M, G or T, not \"many\""
                ]
            )
        }
        let absent = Machine(folder: "/nowhere")
        let (lines, _) = try await Self.run(absent)
        #expect(lines == ["err The script was not started: there is no /nowhere/launcher.toml"])
    }

    @Test("options go before the file; forbidden is forbidden for them, too")
    func options() async throws {
        try await Machine.with("policy = \"absent\"\nforbid = [\"strict\"]") { machine in
            let (lines, exitCode) = try await Self.run(machine, arguments: ["--policy", "none"])
            #expect(exitCode == 0)
            #expect(lines.contains("out has run"))
            let (refusal, _) = try await Self.run(machine, arguments: ["--policy", "strict"])
            #expect(
                refusal.first?.contains("is forbidden on this machine; change policy in the launcher's settings")
                    == true
            )
        }
    }

    @Test("through the service, a refusal is how the script ended")
    func service() async throws {
        try await Machine.with("forbid = [\"standard\"]") { machine in
            let arguments = machine.arguments
            try await ScriptFixture.with(launcherArguments: arguments) { fixture in
                let status = try await fixture.run("echo has run")
                #expect(status.exitCode == ScriptExitCode.couldNotStart)
                #expect(ScriptFixture.output(status) == [])
                #expect(
                    ScriptFixture.lines(status).last
                        == "err The script was not started: the policy standard, named by the machine's default, is forbidden "
                        + "on this machine; change policy in the launcher's settings"
                )
            }
        }
    }

    @Test("an agent is told of options that the launcher does not know")
    func badOptions() async throws {
        try await ScriptFixture.with(launcherArguments: ["--colour", "red"]) { fixture in
            let status = try await fixture.run("echo has run")
            #expect(status.exitCode == ScriptExitCode.couldNotStart)
            #expect(status.logs.last?.text.contains("unknown option --colour; known are --config, ") == true)
        }
    }
}
