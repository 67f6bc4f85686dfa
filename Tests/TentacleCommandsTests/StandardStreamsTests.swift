import AgentConfiguration
import Foundation
import ProcessTesting
import TentacleCommands
import Testing

/// The program with standard streams that are closed, full or without a reader.
@Suite struct StandardStreamsTests {
    /// Runs a line of shell in which `$0` is the program, with an instance of its own.
    private static func shell(_ line: String, in world: TestWorld) async throws -> RunningProgram.Outcome {
        try await RunningProgram(
            "/bin/sh",
            ["-c", line, try ConfigurationFaultTests.program("tentacle")],
            environment: [
                "TentacleMachineConfigurationHomeDirectory": world.context.host.machineConfigurationHome
            ],
            folder: world.path + "/cwd"
        ).outcome()
    }

    /// The command's standard output is a pipe whose reader has gone for certain.
    private static func withoutReader(_ command: String) -> String {
        "mkfifo go; { read line < go; \(command); echo $? > status; } | { exec <&-; echo > go; }"
    }

    @Test(
        "a result that cannot be written is a failure",
        arguments: ["version", "list-instances", "show-configuration --instance=A", "help"]
    )
    func fullDisk(command: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            let outcome = try await Self.shell("\"$0\" \(command) > /dev/full", in: world)
            #expect(outcome.status == 100)
            #expect(
                outcome.errors.hasPrefix(
                    "The result could not be written to standard output: No space left on device.\n"
                )
            )
        }
    }

    @Test(
        "a command does its work whether or not its messages can be written",
        arguments: ["> /dev/full", ">&-", ">&- 2>&- <&-", "| true"]
    )
    func messages(output: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            let command = "\"$0\" configure --instance=A --port=10955"
            let line = output == "| true" ? Self.withoutReader(command) : "\(command) \(output); echo $? > status"
            _ = try await Self.shell(line, in: world)
            #expect(try world.text("cwd/status") == "0\n")
            #expect(try world.configuration().integer(.port) == 10955)
        }
    }

    @Test("a result without a reader ends the command as it ends other filters")
    func withoutReader() async throws {
        try await TestWorld.with { world in
            let outcome = try await Self.shell(Self.withoutReader("\"$0\" help"), in: world)
            #expect(try world.text("cwd/status") == "141\n")
            #expect(outcome.errors == "")
        }
    }

    @Test("the agent starts with three open streams, and with signals as they were")
    func closed() async throws {
        try await TestWorld.with { world in
            try world.makeInstance("A")
            // The program that the command becomes is the one beside it.
            try FileManager.default.copyItem(
                atPath: try ConfigurationFaultTests.program("tentacle"),
                toPath: world.path + "/tentacle"
            )
            try world.write(
                """
                #!/bin/sh
                streams=$(for n in 0 1 2; do readlink /proc/$$/fd/$n; done)
                echo "$streams" > streams
                sed -n 's/^SigIgn:[^0-9a-f]*//p' /proc/$$/status > ignored

                """,
                "tentacle-agent"
            )
            chmod(world.path + "/tentacle-agent", 0o755)
            _ = try await Self.shell("exec <&- >&- 2>&-; ../tentacle agent --instance=A", in: world)
            #expect(try world.text("cwd/streams") == "/dev/null\n/dev/null\n/dev/null\n")
            let ignored = try #require(UInt64(try world.text("cwd/ignored").dropLast(), radix: 16))
            #expect(ignored & (1 << UInt64(SIGPIPE - 1)) == 0)
        }
    }

    @Test("other programs get SIGPIPE as it was")
    func children() {
        signal(SIGPIPE, SIG_IGN)
        let end = ProgramEnd.run("/bin/sh", ["-c", "kill -PIPE $$; echo alive"])
        #expect(end == ProgramEnd(status: 128 + SIGPIPE))
    }
}
