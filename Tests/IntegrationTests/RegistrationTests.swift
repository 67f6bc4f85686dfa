import Foundation
import HalibutTesting
import ProcessTesting
import Testing

/// The server-facing commands against our own server.
@Suite(.timeLimit(.minutes(3))) struct RegistrationTests {
    private static func access(_ server: ServerUnderTest) -> [String] {
        ["--server", server.address, "--api-key-file", server.keyFile]
    }

    private static func page(_ text: String) throws -> JSON {
        try #require(try JSONDecoder().decode(JSON.self, from: Data(text.utf8))["Tentacle"])
    }

    @Test("a target is registered, shown, changed and deregistered", arguments: AgentUnderTest.Style.allCases)
    func target(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            try await server.post("/api/Spaces-1/environments", ["Name": "Production"])
            let agent = try await AgentUnderTest(name: "web01", style: style, fixture: fixture)
            let selection = ["--instance", "web01"]
            var options = agent.registration(with: server)
            options[0] = "register-with"

            // Nothing is changed by a dry run.
            let dry = try await fixture.succeed("tentacle", options + ["--dry-run"])
            #expect(dry.contains("POST \(server.address)/api/Spaces-1/machines\n"))
            #expect(try await server.get("/api/Spaces-1/machines/all").elements.isEmpty)

            let output = try await fixture.succeed("tentacle", options)
            let end = "Machine registered successfully\nThese changes require a restart of the Tentacle.\n"
            #expect(output.hasSuffix(end))
            let machine = try #require(try await server.get("/api/Spaces-1/machines/all").elements.first)
            #expect(machine["Endpoint"]?["CommunicationStyle"]?.text == style.rawValue)
            let uri = try #require(machine["Endpoint"]?["Uri"]?.text)
            #expect(uri.hasPrefix(style == .listening ? "https://127.0.0.1:" : "poll://"))

            // Taken, as with the stock agent; --force replaces what it names.
            let taken = try await fixture.run("tentacle", options)
            #expect(taken.status == 1)
            #expect(taken.errors.contains("A machine named 'web01' already exists in the environment."))
            options[0] = "register"
            options[try #require(options.firstIndex(of: "Test"))] = "production"
            let summary = try await fixture.succeed("tentacle", options + ["--force"])
            #expect(summary.contains("Environments:          Production\n"), "\(summary)")

            let shown = try Self.page(
                try await fixture.succeed("tentacle", ["show-configuration"] + selection + Self.access(server))
            )
            #expect(shown["Environments"]?.first?["Name"]?.text == "Production")
            #expect(shown["Roles"]?.first?.text == "web-server")
            #expect(shown["DisplayName"]?.text == "web01")
            #expect(shown["MachinePolicy"]?["Name"]?.text == "Default Machine Policy")
            let host = shown["Communication"]?["PublicHostName"]?.text
            #expect(host == (style == .listening ? uri : nil))

            // Another address of the same server.
            if style == .polling {
                let other = ["--server-comms-address", "https://localhost:\(server.pollingPort)"]
                let polled = try await fixture.succeed(
                    "tentacle",
                    ["poll-server"] + selection + Self.access(server) + other
                )
                #expect(polled.contains("Polling endpoint configured"))
            }

            let deregister = ["deregister-from"] + selection + Self.access(server)
            let gone = try await fixture.succeed("tentacle", deregister)
            #expect(gone.contains("Deleting machine 'web01' from the Octopus Server...\n"))
            #expect(gone.hasSuffix("Machine deregistered successfully\n"))
            #expect(try await server.get("/api/Spaces-1/machines/all").elements.isEmpty)
            let again = try await fixture.run("tentacle", deregister)
            #expect(again.status == 1)
            #expect(again.errors == "No machine was found matching this Tentacle's thumbprint.\n")
        }
    }

    @Test("a worker is registered, checked, shown, changed and deregistered", arguments: AgentUnderTest.Style.allCases)
    func worker(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            try await server.post("/api/Spaces-1/workerpools", ["Name": "Linux"])
            let agent = try await AgentUnderTest(name: "build01", style: style, fixture: fixture)
            let selection = ["--instance", "build01"]
            func registration(pool: String) -> [String] {
                agent.registration(
                    with: server,
                    "register-worker",
                    access: ["--api-key-file", server.keyFile],
                    scope: ["--workerpool", pool]
                )
            }
            let unknown = try await fixture.run("tentacle", registration(pool: "Nowhere"))
            #expect(unknown.status == 1)
            #expect(unknown.errors.contains("Could not find the worker pool with name, slug or Id Nowhere"))

            let output = try await fixture.succeed("tentacle", registration(pool: "default-worker-pool"))
            #expect(output.contains("Machine registered successfully\n"))
            if style == .polling {
                // Seeded with the number of processors, but five at least.
                let count = max(5, ProcessInfo.processInfo.processorCount)
                #expect(output.contains("Setting the polling connection count to \(count)\n"))
                let configuration = agent.home.appending(path: "tentacle.config")
                let text = try String(contentsOf: configuration, encoding: .utf8)
                #expect(text.contains(">\(count)</set>"), "\(text)")
            }

            // The server trusts the worker as it is, and checks it like a target.
            try await agent.start()
            let check: JSON = ["Name": "Health", "Arguments": ["MachineIds": ["Workers-1"]]]
            let task = try #require(try await server.post("/api/Spaces-1/tasks", check)["Id"]?.text)
            let (state, log) = try await server.finish(task)
            #expect(state == "Success", "\(log)")
            let worker = try await server.get("/api/Spaces-1/workers/Workers-1")
            #expect(worker["HealthStatus"]?.text == "Healthy")
            #expect(worker["Endpoint"]?["CommunicationStyle"]?.text == style.rawValue)

            let taken = try await fixture.run("tentacle", registration(pool: "Linux"))
            #expect(taken.status == 1)
            #expect(taken.errors.contains("A worker named 'build01' already exists in the environment."))
            try await fixture.succeed("tentacle", registration(pool: "Linux") + ["--force"])

            let shown = try Self.page(
                try await fixture.succeed("tentacle", ["show-configuration"] + selection + Self.access(server))
            )
            #expect(shown["WorkerPools"]?.elements.compactMap { $0["Name"]?.text } == ["Linux"])
            #expect(shown["DisplayName"]?.text == "build01")
            #expect(shown["MachinePolicy"]?["Name"]?.text == "Default Machine Policy")

            let deregister = ["deregister-worker"] + selection + Self.access(server)
            let gone = try await fixture.succeed("tentacle", deregister)
            #expect(gone.contains("Deleting worker 'build01' from the Octopus Server...\n"))
            #expect(gone.hasSuffix("Worker deregistered successfully\n"))
            #expect(try await server.get("/api/Spaces-1/workers/all").elements.isEmpty)
            let again = try await fixture.run("tentacle", deregister)
            #expect(again.status == 1)
            #expect(again.errors == "No worker was found matching this Tentacle's thumbprint.\n")
        }
    }

    @Test("a tenanted target with a policy of its own, by user name and password")
    func tenanted() async throws {
        try await TentacleFixture.with { fixture in
            let file = fixture.folder.appending(path: "password")
            try "correct horse\n".write(to: file, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
            let server = try await fixture.startServer(adminPasswordFile: file.path)
            let tags: JSON = ["Name": "Region", "Tags": [["Name": "North"], ["Name": "South"]]]
            try await server.post("/api/Spaces-1/tagsets", tags)
            for name: JSON in ["Acme Corp", "Other"] { try await server.post("/api/Spaces-1/tenants", ["Name": name]) }
            try await server.post("/api/Spaces-1/machinepolicies", ["Name": "Lab"])
            let agent = try await AgentUnderTest(name: "web01", style: .polling, fixture: fixture)
            func register(password: String, _ more: [String]) async throws -> RunningProgram.Outcome {
                let options = agent.registration(
                    with: server,
                    "register-with",
                    access: ["--username", "admin"],
                    scope: ["--environment", "Test", "--role", "web-server"] + more
                )
                return try await fixture.run("tentacle", options, environment: ["OCTOPUS_PASSWORD": password])
            }
            let wish = [
                "--tenant", "acme-corp", "--tenanttag", "region/north", "--policy", "lab",
                "--tenanted-deployment-participation", "Tenanted",
            ]
            let wrong = try await register(password: "wrong horse", wish)
            #expect(wrong.status == 1)
            #expect(wrong.errors.hasPrefix("Invalid username or password."), "\(wrong)")
            #expect(!(wrong.output + wrong.errors).contains("wrong horse"))
            for (option, value) in [("--tenant", "Nobody"), ("--tenanttag", "Region/West"), ("--policy", "None")] {
                let unknown = try await register(password: "correct horse", [option, value])
                #expect(unknown.status == 1 && unknown.errors.contains(value), "\(unknown)")
            }
            #expect(try await server.get("/api/Spaces-1/machines/all").elements.isEmpty)

            let done = try await register(password: "correct horse", wish)
            #expect(done.status == 0, "\(done)")
            var machine = try await server.get("/api/Spaces-1/machines/Machines-1")
            #expect(machine["TenantIds"] == ["Tenants-1"])
            #expect(machine["TenantTags"] == ["Region/North"])
            #expect(machine["TenantedDeploymentParticipation"]?.text == "Tenanted")
            #expect(machine["MachinePolicyId"]?.text == "MachinePolicies-2")
            let show = ["show-configuration", "--instance", "web01"] + Self.access(server)
            let shown = try Self.page(try await fixture.succeed("tentacle", show))
            #expect(shown["Tenants"]?.elements.compactMap { $0["Name"]?.text } == ["Acme Corp"])
            #expect(shown["TenantTags"]?.elements.compactMap(\.text) == ["Region/North"])
            #expect(shown["MachinePolicy"]?["Name"]?.text == "Lab")

            // --force replaces tenants and tags; the policy only when one is named.
            let forced = try await register(password: "correct horse", ["--tenant", "Other", "--force"])
            #expect(forced.status == 0, "\(forced)")
            machine = try await server.get("/api/Spaces-1/machines/Machines-1")
            #expect(machine["TenantIds"] == ["Tenants-2"] && machine["TenantTags"] == [])
            #expect(machine["TenantedDeploymentParticipation"]?.text == "Untenanted")
            #expect(machine["MachinePolicyId"]?.text == "MachinePolicies-2")
        }
    }

    @Test("a listening target behind a proxy that the server knows, by bearer token", arguments: [true, false])
    func proxied(isWorker: Bool) async throws {
        try await FakeProxy.with(.tunnel(credentials: "b2N0bzpodW50ZXIy")) { proxy in
            try await TentacleFixture.with { fixture in
                let server = try await fixture.startServer()
                let known: JSON = [
                    "Name": "Lab", "Host": "127.0.0.1", "Port": .number(Double(proxy.port)), "Username": "octo",
                    "Password": "hunter2",
                ]
                try await server.post("/api/Spaces-1/proxies", known)
                let agent = try await AgentUnderTest(name: "web01", style: .listening, fixture: fixture)
                let token = try String(contentsOfFile: server.keyFile, encoding: .utf8)
                let target = ["--environment", "Test", "--role", "web-server"]
                let scope = isWorker ? ["--workerpool", "Default Worker Pool"] : target
                func register(_ more: [String]) async throws -> RunningProgram.Outcome {
                    let options = agent.registration(
                        with: server,
                        isWorker ? "register-worker" : "register-with",
                        access: [],
                        scope: scope + more
                    )
                    let environment = ["OCTOPUS_ACCESS_TOKEN": token.trimmingCharacters(in: .whitespacesAndNewlines)]
                    return try await fixture.run("tentacle", options, environment: environment)
                }
                let unknown = try await register(["--proxy", "None"])
                #expect(unknown.status == 1 && unknown.errors.contains("Could not find the proxy name named None"))
                let done = try await register(["--proxy", "lab"])
                try #require(done.status == 0, "\(done)")
                let path = "/api/Spaces-1/\(isWorker ? "workers/Workers" : "machines/Machines")-1"
                #expect(try await server.get(path)["Endpoint"]?["ProxyId"]?.text == "Proxies-1")
                try await agent.start()
                let id = isWorker ? "Workers-1" : "Machines-1"
                let check: JSON = ["Name": "Health", "Arguments": ["MachineIds": [.string(id)]]]
                let task = try #require(try await server.post("/api/Spaces-1/tasks", check)["Id"]?.text)
                let (state, log) = try await server.finish(task)
                #expect(state == "Success", "\(log)")
                #expect(proxy.requests.contains { $0.hasPrefix("CONNECT 127.0.0.1:\(agent.port) ") })
                // --force without a proxy: dialled directly from now on.
                let forced = try await register(["--force"])
                #expect(forced.status == 0, "\(forced)")
                #expect(try await server.get(path)["Endpoint"]?["ProxyId"] == .null)
            }
        }
    }

    @Test("a server's own authority is trusted for this one connection, from a file")
    func authority() async throws {
        try await TentacleFixture.with { fixture in
            let folder = fixture.folder.path
            let make = try await RunningProgram(
                "/usr/bin/openssl",
                ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
                    + ["-addext", "subjectAltName=DNS:localhost", "-keyout", "\(folder)/key.pem"]
                    + ["-out", "\(folder)/ca.pem"]
            )
            .outcome()
            try #require(make.status == 0, "\(make)")
            // Answers every path with the file of that name: a root document of another API.
            try "{}".write(toFile: "\(folder)/api", atomically: true, encoding: .utf8)
            let program = try RunningProgram(
                "/usr/bin/openssl",
                ["s_server", "-accept", "127.0.0.1:0", "-cert", "ca.pem", "-key", "key.pem", "-WWW"],
                folder: folder
            )
            let line = await program.line(containing: "ACCEPT")
            let port = line?.split(separator: ":").last.map(String.init)
            let instance = ["--instance", "web01"]
            _ = try await AgentUnderTest(name: "web01", style: .listening, fixture: fixture)
            let command = ["show-configuration", "--server", "https://localhost:\(port ?? "")"] + instance
            let key = ["OCTOPUS_API_KEY": "API-KEY"]
            let strange = try await fixture.run("tentacle", command, environment: key)
            let trusted = try await fixture.run(
                "tentacle",
                command + ["--server-ca", "\(folder)/ca.pem"],
                environment: key
            )
            program.send(signal: SIGTERM)
            await program.exited()
            #expect(port != nil)
            #expect(strange.status == 100)
            #expect(strange.errors.hasPrefix("No trusted connection to https://localhost:"), "\(strange)")
            #expect(strange.errors.contains("--server-ca"))
            #expect(strange.errors.contains("The server shows the certificate 'CN=localhost' with the thumbprint "))
            // It was read: it is not an Octopus Server's.
            #expect(trusted.status == 1)
            #expect(trusted.errors.contains("did not appear to be an Octopus Server"), "\(trusted)")
        }
    }
}
