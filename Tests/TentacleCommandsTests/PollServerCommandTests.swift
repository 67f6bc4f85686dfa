import AgentConfiguration
import OctopusClient
import TentacleCommands
import Testing

/// Another node of a server that is polled already (spec tentacle-cli.md 14.2).
@Suite struct PollServerCommandTests {
    private static let command = ["poll-server", "--server=http://node2.local", "--apiKey=API-GOOD"]
    private static let first = TrustedServer(
        thumbprint: FakeOctopus.serverThumbprint.lowercased(),
        communicationStyle: .polling,
        address: "https://node1.local:10943",
        subscriptionID: "poll://mine/"
    )

    private static func entry(_ address: String) -> TrustedServer {
        var entry = Self.first
        entry.address = address
        return entry
    }

    @Test("the port is checked, the server asked for its certificate, the address added with the same subscription")
    func adds() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            try world.trust(Self.first)
            let outcome = world.run(Self.command)
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: """
                            Checking connectivity on the server communications port 10943...
                            Connected successfully
                            Configuring Tentacle to poll the server at http://node2.local/
                            Polling endpoint configured
                            These changes require a restart of the Tentacle.

                            """,
                        errors: ""
                    )
            )
            #expect(
                server.lines == [
                    "POST https://node2.local:10943/handshake", "GET /api",
                    "GET /api/configuration/certificates/certificate-global",
                ]
            )
            #expect(try world.trustedServers() == [Self.first, Self.entry("https://node2.local:10943")])
            // Once more changes nothing.
            #expect(world.run(Self.command).exitCode == 0)
            #expect(try world.trustedServers().count == 2)
            let other = ["--server-comms-address=https://node3.local", "--server-comms-port=11000"]
            #expect(world.run(Self.command + other).exitCode == 0)
            #expect(try world.trustedServers().last == Self.entry("https://node3.local:11000"))
        }
    }

    @Test("with the first server's thumbprint nobody is asked and nothing checked")
    func reuses() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            try world.trust(Self.first)
            let outcome = world.run(
                "poll-server",
                "--reuse-server-thumbprint",
                "--server-comms-address=https://node2.local:10943"
            )
            #expect(
                outcome.output
                    == "Polling endpoint configured\nThese changes require a restart of the Tentacle.\n"
            )
            #expect(server.lines.isEmpty)
            #expect(try world.trustedServers() == [Self.first, Self.entry("https://node2.local:10943")])
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var trusted: [TrustedServer] = [PollServerCommandTests.first]
        var handshakeStatus = 400
        var code: Int32 = 1
        var message: String
        var testDescription: String { self.message }
    }

    static let refusals = [
        Refusal(
            arguments: ["poll-server", "--apiKey=A"],
            message: "Please specify an Octopus Server, e.g., --server=http://your-octopus-server"
        ),
        Refusal(
            arguments: command + ["--server-web-socket=wss://x", "--server-comms-address=https://x"],
            message: "Please specify a --server-web-socket, or a --server-comms-address - not both."
        ),
        Refusal(
            arguments: command + ["--server-web-socket=wss://x"],
            message: "Websockets is only supported on Windows Server 2012 and later"
        ),
        Refusal(
            arguments: command + ["--server-comms-address=host:443"],
            message:
                "The --server-comms-address 'host:443' is not valid. Give it with its scheme, e.g. https://octopus:10943"
        ),
        Refusal(
            arguments: command,
            handshakeStatus: 0,
            code: 100,
            message:
                "Checking that server communications are open failed with message Connection refused after 5 retries. Check that https://node2.local:10943 can be reached, or give --server-comms-address or --server-comms-port."
        ),
        Refusal(
            arguments: command,
            trusted: [TrustedServer(thumbprint: "AA", communicationStyle: .polling, subscriptionID: "poll://x/")],
            message:
                "The Octopus Server with the thumbprint '\(FakeOctopus.serverThumbprint)' is not yet trusted. \nTrust this Octopus Server using 'Tentacle configure --trust=\"\(FakeOctopus.serverThumbprint)\" --instance Tentacle'"
        ),
        Refusal(
            arguments: command,
            trusted: [TrustedServer(thumbprint: FakeOctopus.serverThumbprint, communicationStyle: .listening)],
            message: """
                This Tentacle has not been configured to connect to the specified Octopus Server as a polling Tentacle. \

                Reconfigure this Tentacle to poll the server using either:
                'Tentacle server-comms --thumbprint="\(FakeOctopus.serverThumbprint)" --style=TentacleActive --instance Tentacle --host node2.local' or \

                'Tentacle server-comms --thumbprint="\(FakeOctopus.serverThumbprint)" --style=TentacleActive --instance Tentacle --web-socket <web-socket-address>'
                """
        ),
        Refusal(
            arguments: ["poll-server", "--reuse-server-thumbprint"],
            code: 100,
            message: "You must specify either a WebSocketAddress or a ServerCommsAddress"
        ),
        Refusal(
            arguments: ["poll-server", "--reuse-server-thumbprint", "--server-comms-address=https://x"],
            trusted: [],
            code: 100,
            message:
                "No server is trusted yet, so there is no thumbprint to reuse. Register this Tentacle first, or run the configure command with --trust."
        ),
        Refusal(
            arguments: command + ["--apiKey=API-BAD"],
            message:
                "You must be logged in to perform this action.\nThe Octopus Server at http://node2.local/ did not accept the credentials (401). Check the API key, the token or the password."
        ),
    ]

    @Test("a refusal changes nothing", arguments: refusals)
    func refusal(refusal: Refusal) async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.handshakeStatus = refusal.handshakeStatus
        try await TestWorld.with(FakeOctopus(behaviour)) { world in
            try world.makeInstance()
            try TentacleConfiguration.update(world.path + "/home/x.config", host: world.context.host) {
                $0.setTrustedServers(refusal.trusted)
            }
            let before = try world.text("home/x.config")
            let outcome = world.run(refusal.arguments)
            #expect(outcome.exitCode == refusal.code)
            #expect(outcome.errors == refusal.message + "\n")
            #expect(try world.text("home/x.config") == before)
        }
    }
}
