import TentacleCommands
import Testing

/// Commands that exist so that a script that has them fails clearly.
@Suite struct UnsupportedCommandTests {
    private static let onlyOnWindows = "This command is only supported on Windows."

    @Test(
        "what Windows has only",
        arguments: [
            (["watchdog"], 1, Self.onlyOnWindows),
            (["watchdog", "--create", "--interval=5", "--instances=*"], 1, Self.onlyOnWindows),
            (["watchdog", "--delete"], 1, Self.onlyOnWindows),
            (["watchdog", "--interval=x"], 100, "The value 'x' of --interval is not a whole number."),
            (["checkservices", "--instances=*"], 1, Self.onlyOnWindows),
            (
                ["checkservices"], 1,
                "Use --instances argument to specify which instances to check. Use --instances=* to check all instances."
            ),
        ] as [([String], Int32, String)]
    )
    func windows(arguments: [String], code: Int32, message: String) async throws {
        try await TestWorld.with { world in
            #expect(world.run(arguments) == .init(exitCode: code, output: "", errors: message + "\n"))
        }
    }

    @Test(
        "what a Kubernetes cluster has only, whatever the options",
        arguments: [
            "register-k8s-cluster", "register-k8s-target", "register-k8s-worker", "migrate-preinstalled-k8s-config",
        ]
    )
    func kubernetes(name: String) async throws {
        try await TestWorld.with { world in
            for arguments in [[], ["--instance", "x", "--server=y", "word"]] {
                #expect(
                    world.run([name] + arguments)
                        == .init(
                            exitCode: 1,
                            output: "",
                            errors: "The command \(name) is not supported: this agent does not run inside a Kubernetes "
                                + "cluster. Use register-with or register-worker for a machine.\n"
                        )
                )
            }
            #expect(!world.run("help").output.contains("k8s"))
            #expect(!world.run("help", "--format=json").output.contains("k8s"))
            #expect(world.run(name, "--help").exitCode == 0)
        }
    }
}
