import AgentConfiguration
import TentacleCommands
import Testing

@Suite struct UpdateTrustCommandTests {
    private static let polling = TrustedServer(
        thumbprint: "ABC",
        communicationStyle: .polling,
        address: "https://octo:10943",
        squid: "SQ-1",
        subscriptionID: "poll://one/"
    )
    private static let listening = TrustedServer(thumbprint: "abc", communicationStyle: .listening)
    private static let other = TrustedServer(thumbprint: "DEF", communicationStyle: .listening)
    private static let undecided = TrustedServer(thumbprint: "XYZ", communicationStyle: .none)

    @Test("entries of the old thumbprint get the new one and keep everything else")
    func update() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.polling, Self.listening, Self.other, Self.undecided)
            let outcome = world.run("update-trust", "--oldThumbprint=aB:C ", "--newThumbprint", "NEW")
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: """
                            Updating Octopus servers thumbprint from aBC to NEW
                            Finding existing Octopus Server registrations trusting the thumbprint aBC and updating them to \
                            trust the thumbprint NEW:
                            Updating polling tentacle https://octo:10943 ABC - changing to trust NEW
                            Updating listening tentacle  abc - changing to trust NEW
                            Ignoring listening tentacle  DEF - does not match old thumbprint
                            Ignoring   XYZ - does not match old thumbprint
                            These changes require a restart of the Tentacle.

                            """,
                        errors: ""
                    )
            )
            var polling = Self.polling
            var listening = Self.listening
            polling.thumbprint = "NEW"
            listening.thumbprint = "NEW"
            #expect(try world.trustedServers() == [polling, listening, Self.other, Self.undecided])
        }
    }

    @Test("where both thumbprints were trusted meanwhile, one entry is left, with the subscription that is known")
    func both() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            var polling = Self.polling
            polling.thumbprint = "new"
            polling.subscriptionID = "poll://two/"
            try world.trust(polling, Self.polling, Self.listening)
            #expect(world.run("update-trust", "--oldThumbprint=ABC", "--newThumbprint=NEW").exitCode == 0)
            let servers = try world.trustedServers()
            #expect(servers.map(\.thumbprint) == ["NEW", "NEW"])
            #expect(servers.map(\.subscriptionID) == ["poll://one/", nil])
            // The same thumbprint in another case is no other server.
            #expect(world.run("update-trust", "--oldThumbprint=NEW", "--newThumbprint=new").exitCode == 0)
            #expect(try world.trustedServers().map(\.thumbprint) == ["new", "new"])
        }
    }

    @Test("nothing matches: nothing is written, a restart is asked for all the same")
    func nothing() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            let outcome = world.run("update-trust", "--oldThumbprint=ABC", "--newThumbprint=NEW")
            #expect(outcome.exitCode == 0)
            #expect(outcome.output.hasSuffix(":\nThese changes require a restart of the Tentacle.\n"))
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test(
        "thumbprints that are missing",
        arguments: [
            (["--newThumbprint=A"], "Please specify a thumbprint to replace, e.g., --oldThumbprint=VALUE"),
            (
                ["--oldThumbprint= : ", "--newThumbprint=A"],
                "Please specify a thumbprint to replace, e.g., --oldThumbprint=VALUE"
            ),
            (["--oldThumbprint=ABC"], "Please specify a new thumbprint to trust, e.g., --newThumbprint=VALUE"),
            (
                ["--oldThumbprint=ABC", "--newThumbprint="],
                "Please specify a new thumbprint to trust, e.g., --newThumbprint=VALUE"
            ),
            (
                ["--instance=B"],
                "Instance B of Tentacle has not been configured on this machine. Available instances: Tentacle."
            ),
        ]
    )
    func missing(options: [String], message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.polling)
            let before = try world.text("home/x.config")
            #expect(
                world.run(["update-trust"] + options) == .init(exitCode: 1, output: "", errors: message + "\n")
            )
            #expect(try world.text("home/x.config") == before)
        }
    }
}

@Suite struct ClearTrustedServersCommandTests {
    private static let one = TrustedServer(
        thumbprint: "A",
        communicationStyle: .polling,
        address: "https://one:10943",
        subscriptionID: "poll://one/"
    )
    private static let two = TrustedServer(
        thumbprint: "B",
        communicationStyle: .polling,
        address: "https://two/path",
        subscriptionID: "poll://two/"
    )
    private static let listening = TrustedServer(thumbprint: "C", communicationStyle: .listening)

    @Test(
        "only the servers to keep are left",
        arguments: zip(
            [
                [], ["--keep="], ["--keep", "https://ONE:10943/"], ["--keep=http://one:10943, , https://two/path"],
                ["--keep=https://one"], ["--keep=https://one:10943", "--keep=https://two/path"],
            ],
            [[], [], [Self.one], [Self.one, Self.two], [], [Self.two]]
        )
    )
    func keep(options: [String], expected: [TrustedServer]) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.one, Self.listening, Self.two)
            #expect(
                world.run(["clear-trusted-servers"] + options) == .init(exitCode: 0, output: "", errors: "")
            )
            #expect(try world.trustedServers() == expected)
        }
    }

    @Test("an address that is none clears nothing")
    func invalid() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.one)
            let before = try world.text("home/x.config")
            #expect(
                world.run("clear-trusted-servers", "--keep=https://one:10943,two")
                    == .init(
                        exitCode: 100,
                        output: "",
                        errors: "The address 'two' of --keep is not valid. Give it with its scheme, e.g. "
                            + "https://octopus:10943\n"
                    )
            )
            #expect(world.run("clear-trusted-servers", "--instance=B").exitCode == 1)
            #expect(try world.text("home/x.config") == before)
        }
    }
}
