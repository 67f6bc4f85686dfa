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

    @Test("an answer about the name that nobody can read counts as: not taken")
    func unreadableName() async throws {
        let server = FakeOctopus(.init(oddities: ["GET /api/Spaces-1/machines": (200, "<html>")]))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(["register-with"] + target).exitCode == 0)
        }
    }
}

@Suite struct ServerCredentialTests {
    private static let bare = ["register-with", "--server=http://octopus.local", "--env=Test", "--role=r", "--force"]

    @Test("a token or a password from an option, a file, standard input or the environment")
    func sources() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            try world.write("\u{FEFF}TOKEN-GOOD \r\n", "cwd/token")
            try world.write("pass word\n", "cwd/password")
            let bytes = Array("pass word\n".utf8)
            world.context.readStandardInput = { bytes }
            for options in [
                ["--bearerToken=TOKEN-GOOD"], ["--bearer-token-file=token"], ["-u=admin", "--password=pass word"],
                ["--username=admin", "--password-file", "password"], ["--user=admin", "--password-file=-"],
            ] {
                let outcome = world.run(Self.bare + options)
                #expect(outcome.exitCode == 0, "\(options): \(outcome)")
            }
            #expect(world.run(Self.bare + ["--user=admin"]).exitCode == 1)
            world.context.host.environment["OCTOPUS_PASSWORD"] = "pass word"
            #expect(world.run(Self.bare + ["--user=admin"]).exitCode == 0)
            // A password that is around asks for nothing by itself.
            #expect(world.run(Self.bare).errors.hasPrefix("Please specify an Octopus API key, a Bearer Token"))
            world.context.host.environment["OCTOPUS_ACCESS_TOKEN"] = "TOKEN-GOOD"
            #expect(world.run(Self.bare).exitCode == 0)
            world.context.host.environment["OCTOPUS_API_KEY"] = "API-BAD"
            #expect(world.run(Self.bare).exitCode == 1)
            #expect(world.run(Self.bare + ["--bearer-token-file=token"]).exitCode == 0)
        }
    }

    @Test(
        "what is not enough, or too much",
        arguments: [
            (
                ["--bearer-token-file=x", "--api-key-file=y"],
                "Please specify a Bearer Token, API Key or username and password - not multiple."
            ),
            (
                ["--api-key-file=x", "--user=me"],
                "Please specify a Bearer Token, API Key or username and password - not multiple."
            ),
            (["--password-file=x"], "Please specify a username for the specified password"),
            (["--user=me"], "Please specify a password for the specified user account"),
            (["--user=me", "--password-file=empty"], "The password file 'empty' is empty."),
            (["--bearer-token-file=empty"], "The bearer token file 'empty' is empty."),
            (
                ["--user=admin", "--password=wrong"],
                "Invalid username or password.\nThe Octopus Server at http://octopus.local/ did not accept the credentials (401). Check the API key, the token or the password."
            ),
        ]
    )
    func refusals(options: [String], message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("\n", "cwd/empty")
            let outcome = world.run(Self.bare + options)
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors == message + "\n")
        }
    }

    @Test("the authorities of a file are those that the requests trust, not those of the port check")
    func authorities() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            try world.write("-----BEGIN CERTIFICATE-----\n", "cwd/ca.pem")
            let options = ["register-with"] + target + ["--comms-style=TentacleActive", "--serverCa=ca.pem"]
            #expect(world.run(options).exitCode == 0)
            #expect(
                server.options.map(\.acceptsAnyCertificate) == [true] + server.options.dropFirst().map { _ in false }
            )
            #expect(server.options.allSatisfy { $0.authorities == world.path + "/cwd/ca.pem" })
            #expect(world.run(["register-with", "--ignoreSslErrors", "--force"] + target).exitCode == 0)
            #expect(server.options.last?.acceptsAnyCertificate == true)
        }
    }
}

/// Which proxy each caller uses (spec tentacle-cli.md 11.3).
@Suite struct RequestProxyTests {
    enum Setting: String, Sendable, CaseIterable {
        case standard, none, custom

        var options: [String] {
            switch self {
            case .standard: ["--proxyEnable=true"]
            case .none: ["--proxyEnable=false"]
            case .custom:
                [
                    "--proxyEnable=true", "--proxyHost=p.local", "--proxyPort=3128", "--proxyUsername=u",
                    "--proxyPassword=s",
                ]
            }
        }
    }

    private static let custom = TransportOptions.Proxy.custom(host: "p.local", port: 3128, username: "u", password: "s")

    private static func own(_ worker: Bool = false) throws -> JSONValue {
        FakeOctopus.machine("Machines-3", "m", thumbprint: try TestIdentity.shared.get().thumbprint.description)
    }

    /// Proxies of all requests of a command, the handshake first.
    private func proxies(_ setup: [[String]], _ command: [String]) async throws -> [TransportOptions.Proxy] {
        let fake = FakeOctopus(machines: [try Self.own()])
        return try await TestWorld.with(fake) { world in
            try world.makeInstance()
            try world.trust(
                TrustedServer(
                    thumbprint: FakeOctopus.serverThumbprint,
                    communicationStyle: .polling,
                    address: "https://first:10943",
                    subscriptionID: "poll://s/"
                )
            )
            for options in setup { #expect(world.run(options).exitCode == 0) }
            let outcome = world.run(command + server)
            #expect(outcome.exitCode == 0, "\(outcome)")
            return fake.options.map(\.proxy)
        }
    }

    @Test(
        "a polling agent's registration: the polling proxy, or the environment; its port check: never the environment"
    )
    func polling() async throws {
        let command = ["register-with", "--env=Test", "--role=r", "--comms-style=TentacleActive"]
        for (setting, check, rest) in [
            (Setting.standard, TransportOptions.Proxy.direct, TransportOptions.Proxy.fromEnvironment),
            (.none, .direct, .direct), (.custom, Self.custom, Self.custom),
        ] {
            // The other proxy is not looked at.
            let other = ["proxy", "--proxyEnable=true", "--proxyHost=other"]
            let used = try await self.proxies([other, ["polling-proxy"] + setting.options], command)
            #expect(used.first == check, "\(setting)")
            #expect(Set(used.dropFirst()) == [rest], "\(setting)")
        }
    }

    @Test("a listening agent's registration: never the polling proxy")
    func listening() async throws {
        for (setting, rest) in [
            (Setting.standard, TransportOptions.Proxy.fromEnvironment), (.none, .direct), (.custom, Self.custom),
        ] {
            let other = ["polling-proxy", "--proxyEnable=true", "--proxyHost=other"]
            let used = try await self.proxies(
                [other, ["proxy"] + setting.options],
                ["register-with", "--env=Test", "--role=r"]
            )
            #expect(Set(used) == [rest], "\(setting)")
        }
    }

    @Test(
        "poll-server, deregister and show-configuration: the polling proxy or none",
        arguments: [["poll-server"], ["deregister-from"], ["show-configuration"]]
    )
    func others(command: [String]) async throws {
        for (setting, expected) in [
            (Setting.standard, TransportOptions.Proxy.direct), (.none, .direct), (.custom, Self.custom),
        ] {
            let other = ["proxy", "--proxyEnable=true", "--proxyHost=other"]
            let used = try await self.proxies([other, ["polling-proxy"] + setting.options], command)
            #expect(Set(used) == [expected], "\(setting)")
        }
    }
}

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
