import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

private let server = ["--server=http://octopus.local", "--apiKey=API-GOOD"]
private let target = server + ["--env=Test", "--role=web-server"]

/// What registration asks, row by row (spec tentacle-cli.md 13.3; the documents that rows repeat are asked for once).
@Suite struct RegistrationSequenceTests {
    private static let start = [
        "GET /api", "GET /api/users/me", "GET /api/users/Users-1/spaces", "GET /api/Spaces-1",
        "GET /api/configuration/certificates/certificate-global",
    ]
    private static let environments = "GET /api/Spaces-1/environments/v2?skip=0&take=2147483647"

    struct Sequence: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var arguments: [String]
        var machines: [JSONValue] = []
        var hasEnvironmentsV2 = true
        var lines: [String]
    }

    static let sequences = [
        Sequence(
            testDescription: "polling: the port first",
            arguments: ["register-with"] + target + ["--comms-style=TentacleActive"],
            lines: ["POST https://octopus.local:10943/handshake"] + start + [
                "GET /api/Spaces-1/machines?name=web01", environments, "POST /api/Spaces-1/machines",
                "GET /api/Spaces-1/machines/Machines-1",
            ]
        ),
        Sequence(
            testDescription: "everything by name: proxy, policy, tags, environments, tenants",
            arguments: ["register-with"] + target + [
                "--tenant=Acme", "--tenanttag=Customer/VIP", "--policy=Default Machine Policy", "--proxy=Proxy ABC",
            ],
            lines: start + [
                "GET /api/Spaces-1/machines?name=web01", "GET /api/Spaces-1/proxies",
                "GET /api/Spaces-1/machinepolicies", "GET /api/Spaces-1/tagsets", environments,
                "GET /api/Spaces-1/tenants", "POST /api/Spaces-1/machines", "GET /api/Spaces-1/machines/Machines-1",
            ]
        ),
        Sequence(
            testDescription: "a server without environments v2",
            arguments: ["register-with"] + server + ["--role=r", "--env=Environments-1"],
            hasEnvironmentsV2: false,
            lines: start + [
                "GET /api/Spaces-1/machines?name=web01", environments, "GET /api/Spaces-1/environments",
                "POST /api/Spaces-1/machines", "GET /api/Spaces-1/machines/Machines-1",
            ]
        ),
        Sequence(
            testDescription: "--force",
            arguments: ["register-with"] + target + ["--force"],
            machines: [FakeOctopus.machine("Machines-5", "web01")],
            lines: start + [
                "GET /api/Spaces-1/machines?name=web01", environments, "PUT /api/Spaces-1/machines/Machines-5",
                "GET /api/Spaces-1/machines/Machines-5",
            ]
        ),
        Sequence(
            testDescription: "a worker",
            arguments: ["register-worker"] + server + ["--workerpool=Default Worker Pool"],
            lines: start + [
                "GET /api/Spaces-1/workers?name=web01", "GET /api/Spaces-1/workerpools", "POST /api/Spaces-1/workers",
                "GET /api/Spaces-1/workers/Machines-1",
            ]
        ),
        Sequence(
            testDescription: "a worker that exists",
            arguments: ["register-worker", "--force", "--comms-style=TentacleActive"] + server + [
                "--workerpool=Default Worker Pool"
            ],
            machines: [FakeOctopus.machine("Workers-5", "web01", worker: true)],
            lines: ["POST https://octopus.local:10943/handshake"] + start + [
                "GET /api/Spaces-1/workers?name=web01", "GET /api/Spaces-1/workerpools",
                "PUT /api/Spaces-1/workers/Workers-5", "GET /api/Spaces-1/workers/Workers-5",
            ]
        ),
        Sequence(
            testDescription: "user and password",
            arguments: ["register-with", "--server=http://octopus.local", "--env=Test", "--role=r", "--user=admin"]
                + ["--password=pass word"],
            lines: ["GET /api", "POST /api/users/login"] + start.dropFirst() + [
                "GET /api/Spaces-1/machines?name=web01", environments, "POST /api/Spaces-1/machines",
                "GET /api/Spaces-1/machines/Machines-1",
            ]
        ),
    ]

    @Test("the requests", arguments: sequences)
    func sequence(sequence: Sequence) async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.hasEnvironmentsV2 = sequence.hasEnvironmentsV2
        let server = FakeOctopus(behaviour, machines: sequence.machines)
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(sequence.arguments)
            #expect(outcome.exitCode == 0, "\(outcome)")
            #expect(server.lines == sequence.lines)
        }
    }

    @Test("the body of a worker: new, and one that is changed")
    func workerBody() async throws {
        let existing = FakeOctopus.machine("Workers-5", "old", thumbprint: "AA", worker: true)
        let fake = FakeOctopus(machines: [existing])
        try await TestWorld.with(fake) { world in
            try world.makeInstance()
            let options = ["register-worker", "--workerpool=WorkerPools-1"] + server
            #expect(world.run(options).exitCode == 0)
            #expect(world.run(options + ["--name=old", "--force", "--policy=Default Machine Policy"]).exitCode == 0)
            let endpoint = JSONValue.object([
                "CommunicationStyle": .string("TentaclePassive"), "ProxyId": .null,
                "Thumbprint": .string(try TestIdentity.shared.get().thumbprint.description),
                "Uri": .string("https://web01:10933/"),
            ])
            let new = JSONValue.object([
                "Endpoint": endpoint, "MachinePolicyId": .null, "Name": .string("web01"),
                "SkipInitialHealthCheck": .bool(false), "SpaceId": .string("Spaces-1"),
                "WorkerPoolIds": .strings(["WorkerPools-1"]),
            ])
            let changed = existing.replacing([
                "Endpoint": endpoint, "MachinePolicyId": .string("MachinePolicies-1"), "SpaceId": .string("Spaces-1"),
                "WorkerPoolIds": .strings(["WorkerPools-1"]),
            ])
            #expect(try fake.writes == [new, changed])
        }
    }

    @Test("ten minutes for a request, one for the first, seconds for the port check; the product's own name")
    func timeouts() async throws {
        let fake = FakeOctopus()
        try await TestWorld.with(fake) { world in
            try world.makeInstance()
            #expect(world.run(["register-with", "--comms-style=TentacleActive"] + target).exitCode == 0)
            #expect(fake.options.first?.requestTimeout == .seconds(15))
            // Whether there is a server at all is known after the time for which it is looked for (spec 12.2).
            #expect(fake.options.dropFirst().first?.requestTimeout == .seconds(60))
            #expect(Set(fake.options.dropFirst(2).map(\.requestTimeout)) == [.seconds(600)])
            let headers = try #require(fake.requests.last?.headers)
            #expect(headers.contains { $0.name == "Accept" && $0.value == "application/json" })
            #expect(headers.contains { $0.name == "User-Agent" && $0.value.hasPrefix("tentacle/") })
            let post = try #require(fake.requests.last { $0.method == "POST" })
            #expect(post.headers.contains { $0 == ("Content-Type", "application/json; charset=utf-8") })
        }
    }

    @Test("the server is waited for a minute, or as long as it is said", arguments: [nil, 3])
    func waiting(seconds: Int?) async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.isReachable = false
        try await TestWorld.with(FakeOctopus(behaviour)) { world in
            try world.makeInstance()
            let patience = seconds.map { ["--server-timeout=\($0)"] } ?? []
            let outcome = world.run(["register-with"] + target + patience)
            #expect(outcome.exitCode == 100)
            #expect(outcome.output.hasSuffix("Trying again for up to \(seconds ?? 60) seconds.\n"))
            // The time of the tries themselves counts too, so one fewer may fit.
            #expect(((seconds ?? 60) - 1...(seconds ?? 60)).contains(world.pauses.count))
            #expect(Set(world.pauses) == [.seconds(1)])
        }
    }

    @Test("a polling worker has a connection for each processor, five at least", arguments: [(2, 5), (8, 8)])
    func connections(processors: Int, count: Int) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            world.context.processorCount = processors
            let options = ["register-worker", "--comms-style=TentacleActive", "--workerpool=WorkerPools-1"] + server
            #expect(world.run(options).output.contains("Setting the polling connection count to \(count)\n"))
            let configuration = try world.configuration()
            #expect(try configuration.integer(.pollingConnectionCount) == count)
        }
    }

    @Test("an answer about the name that nobody can read counts as: not taken")
    func unreadableName() async throws {
        let server = FakeOctopus(.init(oddities: ["GET /api/Spaces-1/machines": (200, "<html>")]))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(["register-with"] + target).exitCode == 0)
        }
    }
}
