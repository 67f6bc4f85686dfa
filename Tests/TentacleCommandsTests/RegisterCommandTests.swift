import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import Synchronization
import TentacleCommands
import Testing

@Suite struct RegisterCommandTests {
    private static let passive = [
        "register-with", "--server=http://octopus.local", "--apiKey=API-GOOD", "--environment", "Test", "--role",
        "web-server",
    ]
    private static let active = passive + ["--comms-style=TentacleActive"]
    private static let worker = [
        "register-worker", "--server=http://octopus.local", "--apiKey=API-GOOD", "--workerPool", "default-worker-pool",
    ]

    private var thumbprint: String {
        get throws { try TestIdentity.shared.get().thumbprint.description }
    }

    // MARK: The way it goes well

    @Test("a listening target: requests in order, minimal body, then the trust")
    func listening() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(Self.passive + ["--name", "db 01", "-h", "Web01.Example.com"])
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: """
                            Registering the tentacle with the server at http://octopus.local/
                            Machine registered successfully
                            These changes require a restart of the Tentacle.

                            """,
                        errors: ""
                    )
            )
            #expect(
                server.lines == [
                    "GET /api", "GET /api/users/me", "GET /api/users/Users-1/spaces", "GET /api/Spaces-1",
                    "GET /api/configuration/certificates/certificate-global", "GET /api/Spaces-1/machines?name=db%2001",
                    "GET /api/Spaces-1/environments/v2?skip=0&take=2147483647", "POST /api/Spaces-1/machines",
                    "GET /api/Spaces-1/machines/Machines-1",
                ]
            )
            let expected = """
                {"EnvironmentIds":["Environments-1"],"Roles":["web-server"],"TenantedDeploymentParticipation":"Untenanted",
                "TenantIds":[],"TenantTags":[],"Name":"db 01","SpaceId":"Spaces-1","MachinePolicyId":null,
                "SkipInitialHealthCheck":false,"Endpoint":{"CommunicationStyle":"TentaclePassive","ProxyId":null,
                "Thumbprint":"\(try self.thumbprint)","Uri":"https://web01.example.com:10933/"}}
                """
            #expect(try server.writes == [JSONValue(bytes: Array(expected.utf8))])
            let configuration = try world.configuration()
            #expect(
                try configuration.trustedServers()
                    == [TrustedServer(thumbprint: FakeOctopus.serverThumbprint, communicationStyle: .listening)]
            )
            // Only scripts decide about ports.
            #expect(configuration.text(.port) == nil && configuration.text(.noListen) == nil)
            #expect(configuration.text(.pollingConnectionCount) == nil)
            #expect(world.names(in: "home") == ["x.config"])
        }
    }

    @Test("a polling target: port checked first, subscription made and kept")
    func polling() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(Self.active)
            #expect(
                outcome.output == """
                    Checking connectivity on the server communications port 10943...
                    Connected successfully
                    Registering the tentacle with the server at http://octopus.local/
                    Setting the polling connection count to 1
                    Machine registered successfully
                    These changes require a restart of the Tentacle.

                    """
            )
            #expect(server.lines.first == "POST https://octopus.local:10943/handshake")
            let body = try #require(try server.writes.first)
            #expect(
                body["Endpoint"]
                    == .object([
                        "CommunicationStyle": .string("TentacleActive"), "Uri": .string("poll://bcdfghjkmnpqrstvwxyz/"),
                        "Thumbprint": .string(try self.thumbprint),
                    ])
            )
            #expect(body.text("Name") == "web01")
            let trusted = TrustedServer(
                thumbprint: FakeOctopus.serverThumbprint,
                communicationStyle: .polling,
                address: "https://octopus.local:10943",
                subscriptionID: "poll://bcdfghjkmnpqrstvwxyz/"
            )
            let configuration = try world.configuration()
            #expect(try configuration.trustedServers() == [trusted])
            #expect(try configuration.integer(.pollingConnectionCount) == 1)

            // The same address again, with a new certificate: the subscription stays, a configured count too.
            try TentacleConfiguration.update(configuration.path, host: world.context.host) {
                $0.set(.pollingConnectionCount, 9)
            }
            world.context.makeSubscriptionID = { "poll://other/" }
            #expect(world.run(Self.active + ["--force"]).exitCode == 0)
            let again = try world.configuration()
            #expect(try again.trustedServers() == [trusted])
            #expect(try again.integer(.pollingConnectionCount) == 9)
            // Another address is another subscription.
            #expect(world.run(Self.active + ["--force", "--server-comms-port=443"]).exitCode == 0)
            let both = try world.configuration()
            #expect(try both.trustedServers().map(\.subscriptionID) == [trusted.subscriptionID, "poll://other/"])
            #expect(try both.trustedServers().last?.address == "https://octopus.local:443")
        }
    }

    @Test(
        "where to poll",
        arguments: [
            (["--server=http://localhost:8080"], "https://localhost:10943"),
            (["--server-comms-address=https://p.localhost/"], "https://p.localhost:443"),
            (["--server-comms-address=http://p.localhost"], "https://p.localhost:80"),
            (["--server-comms-address=https://p:123", "--server-comms-port=456"], "https://p:456"),
            (["--server-comms-port=11000"], "https://octopus.local:11000"),
        ]
    )
    func pollingAddress(options: [String], address: String) async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(Self.active + options).exitCode == 0)
            #expect(server.lines.first == "POST \(address)/handshake")
            let configuration = try world.configuration()
            #expect(try configuration.trustedServers().map(\.address) == [address])
        }
    }

    @Test("a polling worker: pools, and connections for many jobs")
    func pollingWorker() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(
                Self.worker + ["--comms-style=tentacleactive", "--server-subscription-id=poll://mine/"]
            )
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            #expect(server.lines.contains("POST /api/Spaces-1/workers"))
            let body = try #require(try server.writes.first)
            #expect(body["WorkerPoolIds"] == .strings(["WorkerPools-1"]))
            #expect(body["Roles"] == nil && body["EnvironmentIds"] == nil)
            #expect(body["Endpoint"]?.text("Uri") == "poll://mine/")
            let configuration = try world.configuration()
            #expect(try configuration.integer(.pollingConnectionCount) == 5)
        }
    }

    @Test("names of everything become ids")
    func allOptions() async throws {
        let server = FakeOctopus(.init(hasEnvironmentsV2: false))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(
                Self.passive + [
                    "--env=prod", "--env=Environments-1", "-r", "db", "--tenant=acme", "--tenantTag=customer/vip",
                    "--tenanted-deployment-participation=tenanted", "--policy=default machine policy",
                    "--proxy=Proxy ABC",
                    "--tentacle-comms-port=443",
                ]
            )
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            let body = try #require(try server.writes.first)
            #expect(body["EnvironmentIds"] == .strings(["Environments-1", "Environments-2"]))
            #expect(body["Roles"] == .strings(["web-server", "db"]))
            #expect(body["TenantIds"] == .strings(["Tenants-1"]))
            #expect(body["TenantTags"] == .strings(["Customer/VIP"]))
            #expect(body.text("TenantedDeploymentParticipation") == "Tenanted")
            #expect(body.text("MachinePolicyId") == "MachinePolicies-1")
            #expect(body["Endpoint"]?.text("ProxyId") == "Proxies-1")
            #expect(body["Endpoint"]?.text("Uri") == "https://web01/")
            #expect(server.lines.contains("GET /api/Spaces-1/environments"))
        }
    }

    @Test("with --force an existing machine is changed, the rest of it sent back as read")
    func force() async throws {
        let server = FakeOctopus(machines: [FakeOctopus.machine("Machines-5", "WEB01")])
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(Self.passive + ["-f"]).exitCode == 0)
            #expect(server.lines.contains("PUT /api/Spaces-1/machines/Machines-5"))
            let body = try #require(try server.writes.first)
            #expect(body.text("Custom") == "kept" && body.text("MachinePolicyId") == "MachinePolicies-7")
            #expect(body["EnvironmentIds"] == .strings(["Environments-1"]))
            #expect(body["Endpoint"]?.text("Thumbprint") == (try self.thumbprint))
            #expect(body["SkipInitialHealthCheck"] == nil)
        }
    }

    @Test("a space by name, id or slug", arguments: ["finance", "FINANCE ", "spaces-2"])
    func space(name: String) async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(Self.passive + ["--space", name]).exitCode == 0)
            #expect(server.lines.contains("POST /api/Spaces-2/machines"))
            #expect(try server.writes.first?.text("SpaceId") == "Spaces-2")
        }
    }

    @Test("the API key from a file or the environment, so that no command line shows it")
    func keySources() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let bare = Self.passive.filter { !$0.hasPrefix("--apiKey") }
            try world.write("\u{FEFF}API-GOOD\n", "cwd/key")
            #expect(world.run(bare + ["--api-key-file=key"]).exitCode == 0)
            world.context.host.environment["OCTOPUS_API_KEY"] = "API-GOOD"
            #expect(world.run(bare + ["--force"]).exitCode == 0)
            // What is typed counts more than what is around.
            world.context.host.environment["OCTOPUS_API_KEY"] = "API-BAD"
            #expect(world.run(Self.passive + ["--force"]).exitCode == 0)
            #expect(world.run(bare + ["--force"]).exitCode == 1)
        }
    }

    @Test("over a real connection")
    func overSockets() async throws {
        let server = FakeOctopus()
        try await TestWorld.with { world in
            try world.makeInstance()
            world.context.transport = CurlTransport()
            try SocketServer.with {
                server.answer($0)
            } _: { socket in
                let outcome = world.run(Self.passive + ["--server=\(socket.address)/api/"])
                #expect(outcome.exitCode == 0, "\(outcome.errors)")
            }
            #expect(server.lines.contains("POST /api/Spaces-1/machines"))
            #expect(try server.writes.count == 1)
        }
    }

    // MARK: What goes wrong, and what is left then

    struct Refusal: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var code: Int32 = 1
        var message: String
        var behaviour = FakeOctopus.Behaviour()
        var testDescription: String { self.message }
    }

    static let refusals: [Refusal] = [
        Refusal(
            arguments: passive + ["--bearerToken=x"],
            message: "Please specify a Bearer Token, API Key or username and password - not multiple."
        ),
        Refusal(
            arguments: passive.dropLast(5) + ["-u=me"],
            message: "Please specify a password for the specified user account"
        ),
        Refusal(
            arguments: passive.dropLast(5) + ["-p=pw"],
            message: "Please specify a username for the specified password"
        ),
        Refusal(
            arguments: ["register-with", "--apiKey=API-GOOD"],
            message: "Please specify an Octopus Server, e.g., --server=http://your-octopus-server"
        ),
        Refusal(
            arguments: ["register-with", "--server=http://o"],
            message:
                "Please specify an Octopus API key, a Bearer Token or a username and password. You can get an API key from the Octopus web portal. E.g., --apiKey=ABC1234"
        ),
        Refusal(
            arguments: ["register-with", "--server=http://o", "--apiKey=A", "--env=Test"],
            message: "Please specify a role name, e.g., --role=web-server"
        ),
        Refusal(
            arguments: ["register-with", "--server=http://o", "--apiKey=A", "--role=r"],
            message: "Please specify an environment name, slug or Id, e.g., --environment=Development"
        ),
        Refusal(
            arguments: ["register-worker", "--server=http://o", "--apiKey=A"],
            message: "Please specify a worker pool name, slug or Id, e.g., --workerpool=Default"
        ),
        Refusal(
            arguments: passive + ["--comms-style=Ssh"],
            message: "Please specify a valid communications style, e.g. --comms-style=TentaclePassive"
        ),
        Refusal(
            arguments: passive + ["--tenanted-deployment-participation=no"],
            message: "The value 'no' is not valid. Valid values are Untenanted, TenantedOrUntenanted and Tenanted."
        ),
        Refusal(
            arguments: active + ["--proxy=P"],
            message:
                "Option --proxy can only be used with --comms-style=TentaclePassive.  To set a proxy for a polling Tentacle use the polling-proxy command first and then register the Tentacle with register-with."
        ),
        Refusal(
            arguments: active + ["--server-web-socket=wss://x", "--server-comms-address=https://x"],
            message: "Please specify a --server-web-socket, or a --server-comms-address - not both."
        ),
        Refusal(
            arguments: active + ["--server-web-socket=wss://x"],
            message: "Websockets is only supported on Windows Server 2012 and later"
        ),
        Refusal(
            arguments: passive + ["--api-key-file=x"],
            message: "Please specify a --apiKey, or a --api-key-file - not both."
        ),
        Refusal(
            arguments: passive + ["--server-ca=/no/file"],
            message:
                "Could not read '/no/file': No such file or directory. Give the file with the certificates of the authorities as --server-ca."
        ),
        Refusal(
            arguments: passive + ["--server-ca=/dev/null"],
            message:
                "The file '/dev/null' holds no certificate in PEM form. Give the file with the certificates of the authorities as --server-ca; a DER file becomes one with: openssl x509 -inform DER -in FILE"
        ),
        Refusal(
            arguments: passive + ["--server-ca=/x", "--ignoreSslErrors"],
            message: "Please specify --server-ca, or --ignoreSslErrors - not both."
        ),
        Refusal(
            arguments: passive.filter { !$0.hasPrefix("--apiKey") } + ["--bearer-token=a b"],
            message:
                "The bearer token contains blanks or characters that no bearer token has. Check how it was copied."
        ),
        Refusal(
            arguments: passive + ["--tentacle-comms-port=0"],
            message: "The port 0 of --tentacle-comms-port is not valid. Give a port from 1 to 65535."
        ),
        Refusal(
            arguments: active + ["--server-comms-port=70000"],
            message: "The port 70000 of --server-comms-port is not valid. Give a port from 1 to 65535."
        ),
        Refusal(
            arguments: passive + ["--tenant=x", "--tenant=y"],
            message:
                "Could not find the tenants with names, slugs or Ids: x, y on the Octopus Server. Ensure the tenants exist and you have permission to access them."
        ),
        Refusal(
            arguments: passive,
            message:
                "No \"space\" was specified, and the default space is disabled or inaccessible to this user. Please select a space using the \"space\" parameter.",
            behaviour: .init(oddities: ["GET /api/users/Users-1/spaces": (200, "[]")])
        ),
        Refusal(
            arguments: passive,
            message:
                "Not for you.\nThe Octopus Server at http://octopus.local/ does not allow this user to do it (403). Use the API key of a user who may.",
            behaviour: .init(oddities: ["GET /api/Spaces-1/machines": (403, #"{"ErrorMessage":"Not for you."}"#)])
        ),
        Refusal(
            arguments: passive,
            message: "Bad.\n\n - one",
            behaviour: .init(
                oddities: ["GET /api/Spaces-1/environments/v2": (400, #"{"ErrorMessage":"Bad.","Errors":["one"]}"#)]
            )
        ),
        Refusal(
            arguments: passive,
            code: 100,
            message: "Broken \u{201C}here\u{201D}[31m",
            behaviour: .init(
                oddities: [
                    "GET /api/configuration/certificates/certificate-global": (
                        500, #"{"ErrorMessage":"Broken \u201Chere\u201D\u001B[31m"}"#
                    )
                ]
            )
        ),
        Refusal(
            arguments: passive,
            code: 100,
            message:
                "The server at http://octopus.local/ did not appear to be an Octopus Server: its answer is not JSON. Check the server URL and try again.",
            behaviour: .init(oddities: ["GET /api": (200, "<html>")])
        ),
        Refusal(
            arguments: active + ["--server-subscription-id=https://x/"],
            message: "The ServerSubscriptionId must start with poll://"
        ),
        Refusal(
            arguments: active + ["--server-comms-address=host:443"],
            message:
                "The --server-comms-address 'host:443' is not valid. Give it with its scheme, e.g. https://octopus:10943"
        ),
        Refusal(
            arguments: passive + ["--server=octopus"],
            code: 100,
            message:
                "The Octopus Server URI 'octopus' is invalid. The URI should start with http:// or https:// and be a valid URI."
        ),
        Refusal(
            arguments: passive.filter { !$0.hasPrefix("--apiKey") } + ["--api-key-file=/no/file"],
            message:
                "Could not read '/no/file': No such file or directory. Give the file that holds the API key and nothing else as --api-key-file."
        ),
        Refusal(
            arguments: passive + ["--instance=other"],
            message:
                "Instance other of Tentacle has not been configured on this machine. Available instances: Tentacle."
        ),
        Refusal(
            arguments: passive + ["--publicHostName=a b"],
            message:
                "The public host name 'a b' is not valid. Give a host name or an IP address, e.g. --publicHostName=web01.example.com"
        ),
        Refusal(
            arguments: passive + ["--apiKey=API-BAD"],
            message:
                "You must be logged in to perform this action.\nThe Octopus Server at http://octopus.local/ did not accept the credentials (401). Check the API key, the token or the password."
        ),
        Refusal(
            arguments: passive,
            code: 100,
            message:
                "Unable to connect to the Octopus Deploy server at http://octopus.local/: Connection refused. Check the server URL, the network and the proxy settings.",
            behaviour: .init(isReachable: false)
        ),
        Refusal(
            arguments: active,
            code: 100,
            message:
                "Checking that server communications are open failed with message Connection refused after 5 retries. Check that https://octopus.local:10943 can be reached, or give --server-comms-address or --server-comms-port.",
            behaviour: .init(handshakeStatus: 0)
        ),
        Refusal(
            arguments: passive + ["--env=Tset"],
            message:
                "Could not find the environment with name, slug or Id Tset on the Octopus Server. Ensure the environment exists and you have permission to access it."
        ),
        Refusal(
            arguments: passive + ["--env=a", "--env=b"],
            message:
                "Could not find the environments with names, slugs or Ids: a, b on the Octopus Server. Ensure the environments exist and you have permission to access them."
        ),
        Refusal(
            arguments: passive + ["--env=a"],
            message:
                "Could not find the environment with name, slug or Id a on the Octopus Server. Ensure the environment exists and you have permission to access it.",
            behaviour: .init(hasEnvironmentsV2: false)
        ),
        Refusal(
            arguments: worker + ["--workerpool=x"],
            message:
                "Could not find the worker pool with name, slug or Id x on the Octopus Server. Ensure the worker pool exists and you have permission to access it."
        ),
        Refusal(
            arguments: passive + ["--tenanttag=A/B"],
            message:
                "Could not find the tag named A/B on the Octopus Server. Ensure the tag exists and you have permission to access it."
        ),
        Refusal(
            arguments: passive + ["--policy=x"],
            message:
                "Could not find the machine policy named x on the Octopus Server. Ensure the machine policy exists and you have permission to access it."
        ),
        Refusal(
            arguments: passive + ["--proxy=x"],
            message:
                "Could not find the proxy name named x on the Octopus Server. Ensure the proxy exists and you have permission to access it."
        ),
        Refusal(
            arguments: passive + ["--space=x"],
            message:
                "A space with name \"x\" could not be found. Ensure you have spelled the space name correctly and that the user has access to this space."
        ),
        Refusal(
            arguments: passive + ["--space=x"],
            message:
                "A space with name \"x\" was requested, but this version of Octopus Server does not support spaces. Please upgrade Octopus Server to a version which supports spaces, or remove the \"space\" parameter.",
            behaviour: .init(hasSpaces: false)
        ),
        Refusal(
            arguments: passive,
            message: "You cannot register a 9.* Octopus Tentacle with a 2.* Octopus Server.",
            behaviour: .init(version: "2.6.5")
        ),
        Refusal(
            arguments: passive,
            message: "Unable to determine the Octopus Server version.",
            behaviour: .init(version: "")
        ),
        Refusal(
            arguments: passive,
            message: "There was a problem.\n\n - No such role.",
            behaviour: .init(writeStatus: 400)
        ),
        Refusal(
            arguments: active,
            code: 100,
            message:
                "Unable to connect to the Octopus Deploy server at http://octopus.local/: Connection reset by peer. Check the server URL, the network and the proxy settings.\nThe server may have registered this agent all the same. Repeat the command; add --force should it say that the name is taken.",
            behaviour: .init(writeStatus: 0)
        ),
    ]

    @Test("a refusal is said in one message and changes nothing on this host", arguments: refusals)
    func refusal(refusal: Refusal) async throws {
        let server = FakeOctopus(refusal.behaviour)
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            let outcome = world.run(refusal.arguments)
            #expect(outcome.exitCode == refusal.code)
            #expect(outcome.errors == refusal.message + "\n")
            #expect(!outcome.output.contains("successfully\n") || outcome.output.contains("Connected successfully\n"))
            #expect(try world.text("home/x.config") == before)
            #expect(world.names(in: "home") == ["x.config"])
            if (200...299).contains(refusal.behaviour.writeStatus) {
                #expect(try server.writes.isEmpty)
            }
        }
    }

    @Test("a name that is taken needs --force", arguments: zip([passive, worker], ["machine", "worker"]))
    func taken(arguments: [String], kind: String) async throws {
        let server = FakeOctopus(machines: [FakeOctopus.machine("X-1", "Web01", worker: kind == "worker")])
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(arguments)
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors == "A \(kind) named 'web01' already exists in the environment. "
                    + "Use the 'force' parameter if you intended to update the existing \(kind).\n"
            )
            #expect(try server.writes.isEmpty)
        }
    }

    @Test("without a certificate nothing is asked of anybody")
    func noCertificate() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            let outcome = world.run(Self.passive)
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors
                    == "No certificate has been generated for this Tentacle. Please run the new-certificate command first.\n"
            )
            #expect(server.lines.isEmpty)
        }
    }

    @Test("a configuration that cannot be saved is found out before the server is told")
    func unwritable() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            // A file name at the limit leaves no room for the temporary one beside it: fails for root as well.
            let name = String(repeating: "n", count: 250)
            try DurableFile.makeDirectory(world.path + "/long")
            try FileManager.default.copyItem(
                atPath: world.path + "/home/x.config",
                toPath: world.path + "/long/\(name)"
            )
            let outcome = world.run(Self.passive + ["--config=\(world.path)/long/\(name)"])
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors.contains("File name too long"))
            #expect(try server.writes.isEmpty)
            #expect(world.names(in: "long") == [name])
        }
    }

    @Test("while the server is told, the old configuration is in place, the new one safe beside it")
    func staging() async throws {
        let seen = Mutex<[String]>([])
        let directory = Mutex("")
        var behaviour = FakeOctopus.Behaviour()
        behaviour.beforeWrite = {
            let home = directory.withLock { $0 }
            let texts = (try? DurableFile.read(home + "/x.config")).map { String(decoding: $0, as: UTF8.self) }
            seen.withLock { $0.append(texts ?? "") }
        }
        try await TestWorld.with(FakeOctopus(behaviour)) { world in
            try world.makeInstance()
            directory.withLock { $0 = world.path + "/home" }
            let before = try world.text("home/x.config")
            #expect(world.run(Self.passive).exitCode == 0)
            #expect(seen.withLock { $0 } == [before])
            #expect(try world.text("home/x.config") != before)
        }
    }
}

@Suite struct DeregisterCommandTests {
    private static let deregister = ["deregister-from", "--server=http://octopus.local", "--apiKey=API-GOOD"]

    private func machines(_ count: Int, worker: Bool = false) throws -> [JSONValue] {
        let thumbprint = try TestIdentity.shared.get().thumbprint.description
        let own = (0..<count).map {
            FakeOctopus.machine("Machines-\($0)", "m\($0)", thumbprint: thumbprint.lowercased(), worker: worker)
        }
        return own + [FakeOctopus.machine("Machines-9", "other", thumbprint: "BB", worker: worker)]
    }

    @Test("the own machine is deleted, trust stays")
    func deregister() async throws {
        let server = FakeOctopus(machines: try self.machines(1))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            let outcome = world.run(Self.deregister)
            #expect(outcome.exitCode == 0)
            #expect(
                outcome.output == """
                    Deleting machine 'm0' from the Octopus Server...
                    The Octopus Server is still trusted. If you wish to remove trust for this Octopus Server, use \
                    'Tentacle configure --remove-trust=\(FakeOctopus.serverThumbprint) --instance Tentacle'
                    Machine deregistered successfully

                    """
            )
            let thumbprint = try TestIdentity.shared.get().thumbprint
            #expect(
                server.lines == [
                    "GET /api", "GET /api/users/me", "GET /api/users/Users-1/spaces", "GET /api/Spaces-1",
                    "GET /api/Spaces-1/machines/all?thumbprint=\(thumbprint)",
                    "DELETE /api/Spaces-1/machines/Machines-0",
                    "GET /api/configuration/certificates/certificate-global",
                ]
            )
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("several need --multiple")
    func multiple() async throws {
        let server = FakeOctopus(machines: try self.machines(2, worker: true))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let arguments = ["deregister-worker"] + Self.deregister.dropFirst()
            let outcome = world.run(arguments)
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("The worker matches more than one worker on the server."))
            #expect(!server.lines.contains { $0.hasPrefix("DELETE") })
            #expect(world.run(arguments + ["-m"]).output.hasSuffix("Worker deregistered successfully\n"))
            #expect(server.lines.filter { $0.hasPrefix("DELETE") }.count == 2)
        }
    }

    @Test("nothing to deregister")
    func none() async throws {
        try await TestWorld.with(FakeOctopus(machines: try self.machines(0))) { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            #expect(world.run(Self.deregister).errors.hasPrefix("This Tentacle does not have a thumbprint."))
            try world.makeInstance()
            #expect(
                world.run(Self.deregister)
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "No machine was found matching this Tentacle's thumbprint.\n"
                    )
            )
        }
    }
}
