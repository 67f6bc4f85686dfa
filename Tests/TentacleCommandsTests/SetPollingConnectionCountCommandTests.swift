import AgentConfiguration
import TentacleCommands
import Testing

@Suite struct SetPollingConnectionCountCommandTests {
    @Test("the count is stored and said")
    func count() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(
                world.run("set-polling-connection-count", "--pollingconnectioncount", " 5 ")
                    == .init(
                        exitCode: 0,
                        output: """
                            Polling connection count set to: 5
                            These changes require a restart of the Tentacle.

                            """,
                        errors: ""
                    )
            )
            #expect(try world.configuration().integer(.pollingConnectionCount) == 5)
        }
    }

    @Test(
        "values that are no count",
        arguments: [
            ([], 1, "Please specify the number of polling connections, e.g. --pollingConnectionCount=5"),
            (
                ["--pollingConnectionCount="], 1,
                "Please specify the number of polling connections, e.g. --pollingConnectionCount=5"
            ),
            (
                ["--pollingConnectionCount=1.5"], 1,
                "The polling connection count '1.5' is not a valid whole number. Specify a positive integer, e.g. "
                    + "--pollingConnectionCount=5"
            ),
            (
                ["--pollingConnectionCount=99999999999"], 1,
                "The polling connection count '99999999999' is not a valid whole number. Specify a positive integer, e.g. "
                    + "--pollingConnectionCount=5"
            ),
            (
                ["--pollingConnectionCount=-1"], 1,
                "The polling connection count must be greater than 0, but was -1."
            ),
            (["--pollingConnectionCount"], 100, "Missing required value for option '--pollingConnectionCount'."),
            (
                ["--instance=B", "--pollingConnectionCount=0"], 1,
                "Instance B of Tentacle has not been configured on this machine. Available instances: Tentacle."
            ),
        ] as [([String], Int32, String)]
    )
    func refused(options: [String], code: Int32, message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            #expect(
                world.run(["set-polling-connection-count"] + options)
                    == .init(exitCode: code, output: "", errors: message + "\n")
            )
            #expect(try world.text("home/x.config") == before)
        }
    }
}
