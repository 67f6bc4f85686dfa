import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

/// What a server adds to the page (spec tentacle-cli.md 14.3); the page itself is in `InstanceCommandTests`.
@Suite struct ShowConfigurationCommandTests {
    private static let command = ["show-configuration", "--server=http://octopus.local", "--apiKey=API-GOOD"]

    private static func own(
        _ members: [String: JSONValue] = [:],
        worker: Bool = false,
        id: String = "X-1"
    ) throws
        -> JSONValue
    {
        let thumbprint = try TestIdentity.shared.get().thumbprint.description
        return FakeOctopus.machine(id, "web 01", thumbprint: thumbprint, worker: worker).replacing(members)
    }

    private func tentacle(_ text: String) throws -> JSONValue {
        try #require(try JSONValue(bytes: Array(text.utf8))["Tentacle"])
    }

    @Test("a listening target")
    func target() async throws {
        let machine = try Self.own([
            "EnvironmentIds": .strings(["Environments-2"]), "Roles": .strings(["db", "web"]),
            "TenantIds": .strings(["Tenants-1"]), "TenantTags": .strings(["Customer/VIP"]),
            "Endpoint": .object([
                "Thumbprint": .string(try TestIdentity.shared.get().thumbprint.description),
                "CommunicationStyle": .string("TentaclePassive"), "Uri": .string("https://web01:10933/"),
            ]),
        ])
        let server = FakeOctopus(machines: [machine])
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let plain = try self.tentacle(world.run("show-configuration").output)
            #expect(server.lines.isEmpty)
            let outcome = world.run(Self.command)
            #expect(outcome.exitCode == 0 && outcome.errors.isEmpty, "\(outcome)")
            let tentacle = try self.tentacle(outcome.output)
            let thumbprint = try TestIdentity.shared.get().thumbprint
            #expect(
                server.lines == [
                    "GET /api", "GET /api/users/me", "GET /api/users/Users-1/spaces", "GET /api/Spaces-1",
                    "GET /api/Spaces-1/machines/all?thumbprint=\(thumbprint)",
                    "GET /api/Spaces-1/workers/all?thumbprint=\(thumbprint)",
                    "GET /api/Spaces-1/environments?ids=Environments-2", "GET /api/Spaces-1/tenants?ids=Tenants-1",
                    "GET /api/Spaces-1/machinepolicies/MachinePolicies-7",
                ]
            )
            func reference(_ id: String, _ name: String) -> JSONValue {
                .object(["Id": .string(id), "Name": .string(name)])
            }
            #expect(tentacle["Environments"] == .array([reference("Environments-2", "Production")]))
            #expect(tentacle["Tenants"] == .array([reference("Tenants-1", "Acme")]))
            #expect(tentacle["TenantTags"] == .strings(["Customer/VIP"]))
            #expect(tentacle["Roles"] == .strings(["db", "web"]))
            #expect(tentacle["MachinePolicy"] == reference("MachinePolicies-7", "Careful"))
            #expect(tentacle.text("DisplayName") == "web 01")
            #expect(tentacle["Communication"]?.text("PublicHostName") == "https://web01:10933/")
            #expect(tentacle["WorkerPools"] == nil)
            // Members are sorted, and what this host knows is as before.
            let lines = outcome.output.split(separator: "\n").drop { !$0.hasPrefix("  \"Tentacle\"") }
            let names = lines.filter { $0.hasPrefix("    \"") }
            #expect(names == names.sorted())
            #expect(tentacle["Services"] == plain["Services"])
        }
    }

    @Test("a polling worker, into a file")
    func worker() async throws {
        let machine = try Self.own(
            [
                "WorkerPoolIds": .strings(["WorkerPools-1"]),
                "Endpoint": .object([
                    "Thumbprint": .string(try TestIdentity.shared.get().thumbprint.description),
                    "CommunicationStyle": .string("TentacleActive"), "Uri": .string("poll://x/"),
                ]),
            ],
            worker: true
        )
        try await TestWorld.with(FakeOctopus(machines: [machine])) { world in
            try world.makeInstance()
            let outcome = world.run(Self.command + ["--file=out/page.json", "--space=default"])
            #expect(outcome == .init(exitCode: 0, output: "", errors: ""))
            let text = try world.text("cwd/out/page.json")
            #expect(!text.hasSuffix("\n"))
            let tentacle = try self.tentacle(text)
            #expect(tentacle["WorkerPools"]?.items?.first?.text("Name") == "Default Worker Pool")
            #expect(tentacle["Environments"] == nil && tentacle["Roles"] == nil)
            #expect(tentacle["Communication"]?["PublicHostName"] == nil)
        }
    }

    @Test("a server that does not know this agent: said, and the page is there all the same")
    func unknown() async throws {
        try await TestWorld.with(FakeOctopus(machines: [FakeOctopus.machine("M-1", "other")])) { world in
            try world.makeInstance()
            let plain = world.run("show-configuration")
            let outcome = world.run(Self.command)
            #expect(outcome.exitCode == 0 && outcome.output == plain.output)
            let thumbprint = try TestIdentity.shared.get().thumbprint
            #expect(
                outcome.errors == "No machines or workers were found on the specified server with the thumbprint "
                    + "'\(thumbprint)'. Unable to retrieve server side configuration.\n"
            )
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var copies = 0
        var behaviour = FakeOctopus.Behaviour()
        var message: String
        var testDescription: String { self.message }
    }

    static let refusals = [
        Refusal(
            arguments: ["show-configuration", "--apiKey=A"],
            message: "Please specify an Octopus Server, e.g., --server=http://your-octopus-server"
        ),
        Refusal(
            arguments: ["show-configuration", "--server=http://octopus.local"],
            message:
                "Please specify an Octopus API key, a Bearer Token or a username and password. You can get an API key from the Octopus web portal. E.g., --apiKey=ABC1234"
        ),
        Refusal(
            arguments: command,
            copies: 2,
            message: "This Tentacle is registered multiple times with the server. Unable to display configuration."
        ),
        Refusal(
            arguments: command,
            behaviour: .init(oddities: ["GET /api": (404, "")]),
            message:
                "The specified server 'http://octopus.local' did not appear to be an Octopus Server. Check the server URL and try again."
        ),
        Refusal(
            arguments: command,
            behaviour: .init(oddities: ["GET /api": (200, "<html>")]),
            message:
                "The specified server 'http://octopus.local' did not appear to be an Octopus Server. Check the server URL and try again."
        ),
        Refusal(
            arguments: command + ["--apiKey=API-BAD"],
            message:
                "You must be logged in to perform this action.\nThe Octopus Server at http://octopus.local/ did not accept the credentials (401). Check the API key, the token or the password."
        ),
        Refusal(
            arguments: command + ["--space=x"],
            message:
                "A space with name \"x\" could not be found. Ensure you have spelled the space name correctly and that the user has access to this space."
        ),
    ]

    @Test("a refusal writes no page", arguments: refusals)
    func refusal(refusal: Refusal) async throws {
        let machines = try (0..<refusal.copies).map { try Self.own(worker: $0 == 1, id: "X-\($0)") }
        try await TestWorld.with(FakeOctopus(refusal.behaviour, machines: machines)) { world in
            try world.makeInstance()
            let outcome = world.run(refusal.arguments + ["--file=page.json"])
            #expect(outcome == .init(exitCode: 1, output: "", errors: refusal.message + "\n"))
            #expect(!world.names(in: "cwd").contains("page.json"))
        }
    }

    @Test("a key in the environment alone asks no server; a server needs a certificate to look for")
    func certificate() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            world.context.host.environment["OCTOPUS_API_KEY"] = "API-GOOD"
            #expect(world.run("show-configuration").exitCode == 0)
            #expect(server.lines.isEmpty)
            #expect(
                world.run("show-configuration", "--server=http://octopus.local")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors:
                            "No certificate has been generated for this Tentacle. Unable to display configuration.\n"
                    )
            )
        }
    }
}
