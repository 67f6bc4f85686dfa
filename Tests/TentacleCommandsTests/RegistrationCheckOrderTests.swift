import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

private let server = ["--server=http://octopus.local", "--apiKey=API-GOOD"]
private let target = server + ["--env=Test", "--role=web-server"]

/// What is wrong first is said first (spec tentacle-cli.md 12.1 and 13.2); nobody is asked before all of it is right.
@Suite struct RegistrationCheckOrderTests {
    /// What mends one fault after the other, and what is said before it.
    private static func steps(_ specific: [(message: String, mend: [String])]) -> [(message: String, mend: [String])] {
        [
            ("Please specify a Bearer Token, API Key or username and password - not multiple.", ["-apiKey"]),
            ("Please specify a password for the specified user account", ["--password=pass word"]),
            ("Please specify an Octopus Server, e.g., --server=http://your-octopus-server", ["--server=http://o"]),
            ("Instance nobody of Tentacle has not been configured on this machine.", ["-instance"]),
        ] + specific + [
            ("Please specify a valid communications style, e.g.", ["-comms-style", "--comms-style=TentacleActive"]),
            ("No certificate has been generated for this Tentacle.", ["certificate"]),
            ("Option --proxy can only be used with --comms-style=TentaclePassive.", ["-proxy"]),
            (
                "Please specify a --server-web-socket, or a --server-comms-address - not both.",
                ["-server-comms-address"]
            ),
            ("Websockets is only supported on Windows Server 2012 and later", ["-server-web-socket"]),
        ]
    }

    private static func check(_ command: String, _ steps: [(message: String, mend: [String])]) async throws {
        let fake = FakeOctopus()
        try await TestWorld.with(fake) { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            var options = [
                "--apiKey=API-GOOD", "--user=admin", "--instance=nobody", "--comms-style=Ssh", "--proxy=P",
                "--server-web-socket=wss://x", "--server-comms-address=https://x",
            ]
            for (message, mend) in steps {
                let outcome = world.run([command] + options)
                #expect(outcome.errors.hasPrefix(message), "\(options): \(outcome)")
                #expect(outcome.exitCode == 1)
                for change in mend {
                    if change == "certificate" {
                        try world.makeInstance()
                    } else if change.hasPrefix("--") {
                        options.append(change)
                    } else {
                        options.removeAll { $0.hasPrefix("-" + change + "=") }
                    }
                }
            }
            #expect(fake.lines.isEmpty)
            let outcome = world.run([command] + options)
            #expect(outcome.exitCode == 0, "\(options): \(outcome)")
        }
    }

    @Test("a target")
    func target() async throws {
        try await Self.check(
            "register-with",
            Self.steps([
                ("Please specify an environment name, slug or Id, e.g., --environment=Development", ["--env=Test"]),
                ("Please specify a role name, e.g., --role=web-server", ["--role=r"]),
            ])
        )
    }

    @Test("a worker")
    func worker() async throws {
        try await Self.check(
            "register-worker",
            Self.steps([
                (
                    "Please specify a worker pool name, slug or Id, e.g., --workerpool=Default",
                    ["--workerpool=WorkerPools-1"]
                )
            ])
        )
    }
}
