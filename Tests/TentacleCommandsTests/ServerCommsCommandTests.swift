import AgentConfiguration
import TentacleCommands
import Testing

@Suite struct ServerCommsCommandTests {
    private static let listening = TrustedServer(thumbprint: "ABC", communicationStyle: .listening)
    private static let polling = TrustedServer(
        thumbprint: "ABC",
        communicationStyle: .polling,
        address: "https://octo:10943",
        subscriptionID: "poll://one/"
    )
    private static let other = TrustedServer(thumbprint: "DEF", communicationStyle: .listening)

    private static let success = TestWorld.Outcome(
        exitCode: 0,
        output: """
            Updated server communications configuration
            These changes require a restart of the Tentacle.

            """,
        errors: ""
    )

    @Test("a listening agent starts to poll: an entry of its own, with a subscription")
    func active() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.listening)
            #expect(world.run("server-comms", "--style=tentacleactive", "--host=Octo") == Self.success)
            var polling = Self.polling
            polling.subscriptionID = "poll://bcdfghjkmnpqrstvwxyz/"
            #expect(try world.trustedServers() == [Self.listening, polling])
            // Again: the same entry, the same subscription.
            #expect(world.run("server-comms", "--style=TentacleActive", "--host=octo", "--port=10943") == Self.success)
            #expect(try world.trustedServers() == [Self.listening, polling])
        }
    }

    @Test("another node of the same server shares the subscription")
    func secondNode() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.polling, Self.other)
            #expect(
                world.run("server-comms", "--thumbprint=a:bc", "--style=TentacleActive", "--host=two", "--port=443")
                    == Self.success
            )
            var second = Self.polling
            second.address = "https://two:443"
            #expect(try world.trustedServers() == [Self.polling, Self.other, second])
        }
    }

    @Test("an entry that does not say how is decided")
    func undecided() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(TrustedServer(thumbprint: "ABC", communicationStyle: .none, squid: "SQ-1"), Self.other)
            #expect(
                world.run("server-comms", "--thumbprint=ABC", "--style=TentacleActive", "--host=octo") == Self.success
            )
            #expect(
                try world.trustedServers() == [
                    Self.other,
                    // The squid is the server's.
                    TrustedServer(
                        thumbprint: "ABC",
                        communicationStyle: .polling,
                        address: "https://octo:10943",
                        squid: "SQ-1",
                        subscriptionID: "poll://bcdfghjkmnpqrstvwxyz/"
                    ),
                ]
            )
        }
    }

    @Test("an agent of before subscriptions goes on under its squid")
    func squid() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(TrustedServer(thumbprint: "ABC", communicationStyle: .none))
            try TentacleConfiguration.update(world.path + "/home/x.config", host: world.context.host) {
                $0.set(.squid, "SQ-1")
            }
            #expect(world.run("server-comms", "--style=TentacleActive", "--host=octo") == Self.success)
            let server = try #require(try world.trustedServers().first)
            #expect(server.subscriptionID == nil && server.effectiveSubscriptionID == "poll://sq-1/")
        }
    }

    @Test("passive: the entry without address, or a new one")
    func passive() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.polling)
            for _ in 1...2 {
                #expect(world.run("server-comms", "--style=TentaclePassive") == Self.success)
                #expect(try world.trustedServers() == [Self.polling, Self.listening])
            }
            try world.trust(TrustedServer(thumbprint: "ABC", communicationStyle: .none))
            #expect(world.run("server-comms", "--style=TENTACLEPASSIVE") == Self.success)
            #expect(try world.trustedServers() == [Self.listening])
        }
    }

    @Test(
        "addresses as they are written",
        arguments: [
            (["--host=::1"], "https://[::1]:10943"), (["--host=[2001:db8::1]"], "https://[2001:db8::1]:10943"),
            (["--host=10.0.0.1", "--port", "1"], "https://10.0.0.1:1"),
            (["--web-socket=wss://octo/OctopusComms"], "wss://octo/OctopusComms"),
            (["--web-socket=https://Octo:8443/"], "wss://octo:8443"),
        ]
    )
    func addresses(options: [String], address: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.listening)
            #expect(world.run(["server-comms", "--style=TentacleActive"] + options) == Self.success)
            #expect(try world.trustedServers().last?.address == address)
        }
    }

    @Test("trust comes first")
    func noTrust() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(
                world.run("server-comms", "--style=nonsense")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Before server communications can be modified, trust must be established with the "
                            + "configure command\n"
                    )
            )
        }
    }

    @Test(
        "what is missing or wrong, in the order of the checks",
        arguments: [
            (
                ["--instance=B"], 1,
                "Instance B of Tentacle has not been configured on this machine. Available instances: Tentacle."
            ),
            (
                ["--style=nonsense"], 1,
                "More than one server is trusted; please provide the thumbprint of the server to configure, e.g. "
                    + "--thumbprint=..."
            ),
            (
                ["--thumbprint=XYZ"], 1,
                "Please specify a valid communications style, e.g. --style=TentaclePassive"
            ),
            (
                ["--thumbprint=ABC", "--style=Kubernetes"], 1,
                "Please specify a valid communications style, e.g. --style=TentaclePassive"
            ),
            (
                ["--thumbprint=XYZ", "--style=TentacleActive"], 1,
                "No trusted server was found with the supplied thumbprint"
            ),
            (
                ["--thumbprint=ABC", "--style=TentacleActive"], 1,
                "Please provide either the server hostname or websocket address, e.g. --host=OCTOPUS"
            ),
            (
                ["--thumbprint=ABC", "--style=TentacleActive", "--host=a", "--web-socket=wss://a"], 1,
                "The hostname and websocket options cannot be used together"
            ),
            (
                ["--thumbprint=ABC", "--style=TentacleActive", "--web-socket=ws://a"], 1,
                "The websocket address must start with wss://"
            ),
            (
                ["--thumbprint=ABC", "--style=TentacleActive", "--host=a", "--port=0"], 1,
                "The port 0 of --port is not valid. Give a port from 1 to 65535."
            ),
            (
                ["--thumbprint=ABC", "--style=TentacleActive", "--host=https://a"], 1,
                "The server's host name 'https://a' is not valid. Give a host name or an IP address, e.g. --host=OCTOPUS"
            ),
            (
                ["--thumbprint=ABC", "--style=TentacleActive", "--host=a:1"], 1,
                "The server's host name 'a:1' is not valid. Give a host name or an IP address, e.g. --host=OCTOPUS"
            ),
            (["--port=abc", "--no-such"], 100, "The value 'abc' of --port is not a whole number."),
        ] as [([String], Int32, String)]
    )
    func refused(options: [String], code: Int32, message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.polling, Self.other)
            let before = try world.text("home/x.config")
            #expect(
                world.run(["server-comms"] + options) == .init(exitCode: code, output: "", errors: message + "\n")
            )
            #expect(try world.text("home/x.config") == before)
        }
    }
}
