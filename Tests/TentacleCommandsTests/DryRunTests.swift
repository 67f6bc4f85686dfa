import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

private let server = ["--server=http://octopus.local", "--apiKey=API-GOOD"]
private let target = server + ["--env=Test", "--role=web-server"]

/// `--dry-run`: everything is asked and printed, nothing changed (issue 6, item 1).
@Suite struct DryRunTests {
    @Test("the request and the entry are printed, nothing is changed", arguments: ["register", "register-with"])
    func registration(command: String) async throws {
        let fake = FakeOctopus()
        try await TestWorld.with(fake) { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            let outcome = world.run([command] + target + ["--comms-style=TentacleActive", "--dry-run"])
            #expect(outcome.exitCode == 0, "\(outcome)")
            let thumbprint = try TestIdentity.shared.get().thumbprint
            let start = try #require(outcome.output.firstRange(of: "Dry run: nothing is changed.\n"))
            #expect(
                outcome.output[start.upperBound...] == """
                    POST http://octopus.local/api/Spaces-1/machines
                    {
                      "Endpoint" : {
                        "CommunicationStyle" : "TentacleActive",
                        "Thumbprint" : "\(thumbprint)",
                        "Uri" : "poll://bcdfghjkmnpqrstvwxyz/"
                      },
                      "EnvironmentIds" : [
                        "Environments-1"
                      ],
                      "MachinePolicyId" : null,
                      "Name" : "web01",
                      "Roles" : [
                        "web-server"
                      ],
                      "SkipInitialHealthCheck" : false,
                      "SpaceId" : "Spaces-1",
                      "TenantIds" : [

                      ],
                      "TenantTags" : [

                      ],
                      "TenantedDeploymentParticipation" : "Untenanted"
                    }
                    Would be saved in \(world.path)/home/x.config:
                    {"Thumbprint":"\(FakeOctopus.serverThumbprint)","CommunicationStyle":2,"Address":"https://octopus.local:10943","Squid":null,"SubscriptionId":"poll://bcdfghjkmnpqrstvwxyz/"}
                    Tentacle.Communication.PollingConnectionCount=1

                    """
            )
            #expect(!outcome.output.contains("API-GOOD"))
            #expect(try fake.writes.isEmpty)
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("a worker, and one that is changed")
    func workers() async throws {
        let fake = FakeOctopus(machines: [FakeOctopus.machine("Workers-5", "web01", worker: true)])
        try await TestWorld.with(fake) { world in
            try world.makeInstance()
            let options = ["register-worker", "--workerpool=WorkerPools-1", "--dry-run"] + server
            #expect(
                world.run(options + ["--name=new"]).output.contains("POST http://octopus.local/api/Spaces-1/workers\n")
            )
            let change = world.run(options + ["--force"])
            #expect(change.output.contains("PUT http://octopus.local/api/Spaces-1/workers/Workers-5\n"))
            #expect(world.run(options).errors.hasPrefix("A worker named 'web01' already exists"))
            #expect(try fake.writes.isEmpty)
        }
    }

    @Test("deregistration: the requests, one a machine")
    func deregistration() async throws {
        let thumbprint = try TestIdentity.shared.get().thumbprint.description
        let fake = FakeOctopus(
            machines: (0..<2).map { FakeOctopus.machine("Machines-\($0)", "m\($0)", thumbprint: thumbprint) }
        )
        try await TestWorld.with(fake) { world in
            try world.makeInstance()
            let outcome = world.run(["deregister-from", "--dry-run", "-m"] + server)
            #expect(
                outcome.output == """
                    Dry run: nothing is changed.
                    DELETE http://octopus.local/api/Spaces-1/machines/Machines-0
                    DELETE http://octopus.local/api/Spaces-1/machines/Machines-1

                    """
            )
            #expect(fake.registered.count == 2)
        }
    }

    @Test("poll-server: the entry")
    func pollServer() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(
                TrustedServer(
                    thumbprint: "AA",
                    communicationStyle: .polling,
                    address: "https://a:1",
                    subscriptionID: "poll://s/"
                )
            )
            let before = try world.text("home/x.config")
            let outcome = world.run(
                "poll-server",
                "--reuse-server-thumbprint",
                "--server-comms-address=https://b",
                "--dry-run"
            )
            #expect(
                outcome.output == """
                    Dry run: nothing is changed.
                    Would be saved in \(world.path)/home/x.config:
                    {"Thumbprint":"AA","CommunicationStyle":2,"Address":"https://b:443","Squid":null,"SubscriptionId":"poll://s/"}

                    """
            )
            #expect(try world.text("home/x.config") == before)
        }
    }
}
