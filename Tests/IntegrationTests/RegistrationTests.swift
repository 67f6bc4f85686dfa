import Foundation
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

    @Test("what our server does not know is refused with its words, and nothing is half done")
    func unsupported() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let agent = try await AgentUnderTest(name: "web01", style: .polling, fixture: fixture)
            let configuration = agent.home.appending(path: "tentacle.config")
            let before = try Data(contentsOf: configuration)

            // Workers.
            var worker = agent.registration(with: server)
            worker[0] = "register-worker"
            for (option, count) in [("--environment", 2), ("--role", 2)] {
                let index = try #require(worker.firstIndex(of: option))
                worker.removeSubrange(index..<index + count)
            }
            let refused = try await fixture.run("tentacle", worker + ["--workerpool", "Default Worker Pool"])
            #expect(refused.status == 100, "\(refused)")
            #expect(refused.errors.contains("workers"), "\(refused)")

            #expect(try Data(contentsOf: configuration) == before)
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
