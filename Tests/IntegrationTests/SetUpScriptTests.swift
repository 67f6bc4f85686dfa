import Foundation
import ProcessTesting
import Testing

/// The scripts with which people set agents up, unchanged, against our server: spec tentacle-cli.md 18 to 20, 24.8.
///
/// There is no systemd in these tests: where a script says `Tentacle service`, a stand-in of that name writes the words
/// down, and runs every other command with the real program. `make test-vm` has the real thing.
@Suite(.timeLimit(.minutes(3))) struct SetUpScriptTests {
    private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A folder with the stand-in under both of its names.
    private func makePrograms(_ fixture: TentacleFixture) throws -> URL {
        let folder = fixture.folder.appending(path: "bin")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let text = """
            #!/bin/bash
            # A stand-in in tests: this command is written down only.
            if [[ $1 == service ]]; then echo "$*" >> "$SERVICE_CALLS"; exit 0; fi
            exec '\(TentacleFixture.programs.appending(path: "tentacle").path)' "$@"

            """
        for name in ["Tentacle", "tentacle"] {
            let file = folder.appending(path: name)
            try text.write(to: file, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        }
        return folder
    }

    private func run(
        _ fixture: TentacleFixture,
        _ arguments: [String],
        environment: [String: String] = [:],
        input: String = "",
        folder: URL? = nil
    ) async throws -> RunningProgram.Outcome {
        try await start(fixture, arguments, environment: environment, input: input, folder: folder).outcome()
    }

    private func start(
        _ fixture: TentacleFixture,
        _ arguments: [String],
        environment: [String: String] = [:],
        input: String = "",
        folder: URL? = nil
    ) throws -> RunningProgram {
        let programs = try makePrograms(fixture)
        let all = [
            "PATH": "\(programs.path):/usr/local/bin:/usr/bin:/bin", "SUDO": "",
            "TENTACLE": programs.appending(path: "Tentacle").path, "SERVICE_CALLS": calls(fixture).path,
            "TentacleMachineConfigurationHomeDirectory": fixture.folder.appending(path: "machine").path,
        ]
        return try RunningProgram(
            arguments[0],
            Array(arguments.dropFirst()),
            environment: all.merging(environment) { _, given in given },
            folder: (folder ?? fixture.folder).path,
            input: input.isEmpty ? .none : .text(input)
        )
    }

    private func calls(_ fixture: TentacleFixture) -> URL { fixture.folder.appending(path: "service-calls") }

    private func machines(_ server: ServerUnderTest) async throws -> [JSON] {
        try await server.get("/api/Spaces-1/machines/all").elements
    }

    @Test("the documented quick start, polling and listening, from one directory without an index (rootless)")
    func quickStart() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let key = try String(contentsOfFile: server.keyFile, encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let home = fixture.folder.appending(path: "agent home")
            try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
            let script = """
                set -e
                Tentacle create-instance
                Tentacle new-certificate --if-blank
                Tentacle configure --noListen True --reset-trust --app "$PWD/apps"
                Tentacle register-with --server "$URL" --apiKey "$KEY" --space "Default" --name "rootless" \
                    --env "Test" --role "web" --comms-style "TentacleActive" --server-comms-port "$PORT"
                Tentacle service --install --start
                """
            let outcome = try await run(
                fixture,
                ["/bin/bash", "-c", script],
                environment: ["URL": server.address, "KEY": key, "PORT": "\(server.pollingPort)"],
                folder: home
            )
            #expect(outcome.status == 0, "\(outcome)")
            #expect(try await machines(server).count == 1)
            #expect(!FileManager.default.fileExists(atPath: fixture.folder.appending(path: "machine").path))
            #expect(try String(contentsOf: calls(fixture), encoding: .utf8) == "service --install --start\n")
        }
    }

    @Test("the wizard sets up a polling target whose names have blanks, and shows no secret")
    func wizard() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let key = try String(contentsOfFile: server.keyFile, encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let answers = [
                "My $(touch pwned) Agent", "2", fixture.folder.appending(path: "etc").path,
                fixture.folder.appending(path: "apps").path, server.address, "1",
                key, "", "", "blank name; 'x'", "1",
                "\(server.pollingPort)", "Test", "web server, db", "n", "",
            ]
            let outcome = try await run(
                fixture,
                [Self.repository.appending(path: "packaging/configure-tentacle.sh").path],
                input: answers.joined(separator: "\n") + "\n"
            )
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.output.hasSuffix("Tentacle instance 'My (touch pwned) Agent' is now installed\n"))
            #expect(!outcome.output.contains(key))
            #expect(outcome.output.contains("--api-key-file - --space Default"))
            #expect(!FileManager.default.fileExists(atPath: fixture.folder.appending(path: "pwned").path))
            let machine = try #require(try await machines(server).first)
            #expect(machine["Name"]?.text == "blank name; 'x'")
            #expect(machine["Roles"] == ["web server", "db"])
            #expect(
                try String(contentsOf: calls(fixture), encoding: .utf8)
                    == "service --install --start --instance My (touch pwned) Agent\n"
            )
        }
    }

    @Test("the wizard sets up a listening agent, with a proxy; it stops at the end of its answers")
    func listeningWizard() async throws {
        try await TentacleFixture.with { fixture in
            let script = [Self.repository.appending(path: "packaging/configure-tentacle.sh").path]
            let thumbprint = "9CF35A1E0A0B0C0D0E0F101112131415161718AB"
            let answers = [
                "", "", fixture.folder.path + "/etc", fixture.folder.path + "/apps", "99999", "10955", "y",
                "proxy.example",
                "8080", "user", "pass word", "not a thumbprint", thumbprint, "",
            ]
            let outcome = try await run(fixture, script, input: answers.joined(separator: "\n") + "\n")
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.output.contains("Proxy password set to: *******"))
            #expect(!outcome.output.contains("pass word"))
            let shown = try await fixture.succeed("tentacle", ["show-configuration", "--instance", "Tentacle"])
            #expect(shown.contains(thumbprint) && shown.contains("10955"))
            let short = try await run(fixture, script, input: "Other\n1\n")
            #expect(short.status == 1)
            #expect(short.errors == "configure-tentacle: the answers ended at: Directory for configuration and logs\n")
            let failing = try await run(
                fixture,
                script,
                environment: ["TENTACLE": "/bin/false"],
                input: answers.joined(separator: "\n") + "\n"
            )
            #expect(failing.status == 1)
            #expect(failing.errors == "configure-tentacle: the command failed: create-instance\n")
        }
    }

    @Test("the container sets itself up once, forgets its credentials and becomes the agent", arguments: [true, false])
    func container(isWorker: Bool) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let key = try String(contentsOfFile: server.keyFile, encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let root = fixture.folder.appending(path: "root")
            var variables = [
                "TENTACLE_ROOT": root.path, "ACCEPT_EULA": "Y", "DISABLE_DIND": "Y", "ServerUrl": server.address,
                "ServerApiKey": key, "TargetName": "box",
                "ServerCommsAddress": "https://127.0.0.1", "ServerPort": "\(server.pollingPort)",
            ]
            if isWorker {
                variables["TargetWorkerPool"] = "Default Worker Pool"
            } else {
                variables["TargetEnvironment"] = "Test"
                variables["TargetRole"] = "web, db"
            }
            let entry = [Self.repository.appending(path: "packaging/oci/entrypoint").path]
            for _ in 0..<2 {
                let agent = try start(fixture, entry, environment: variables)
                let line = await agent.line(containing: "Agent will not listen")
                if line == nil {
                    let outcome = await agent.outcome()
                    Issue.record("the container ended early: \(outcome)")
                    return
                }
                // The process itself is the agent, and nothing of the credentials is in its environment.
                let environment = try String(
                    contentsOfFile: "/proc/\(agent.processIdentifier)/environ",
                    encoding: .utf8
                )
                #expect(!environment.contains("ServerApiKey") && environment.contains("OCTOPUS_RUNNING_IN_CONTAINER=Y"))
                agent.send(signal: SIGTERM)
                let outcome = await agent.outcome()
                #expect(outcome.status == 0, "\(outcome)")
                variables["ServerUrl"] = "http://127.0.0.1:1"
            }
            let workers = try await server.get("/api/Spaces-1/workers/all").elements
            #expect(try await machines(server).count == (isWorker ? 0 : 1))
            #expect(workers.count == (isWorker ? 1 : 0))
            guard isWorker else { return }
            #expect(workers.first?["Name"]?.text == "box")
            #expect(workers.first?["WorkerPoolIds"] == ["WorkerPools-1"])
            #expect(workers.first?["Endpoint"]?["CommunicationStyle"]?.text == "TentacleActive")
        }
    }

    @Test(
        "the container says what is missing, and changes nothing",
        arguments: [
            (["ACCEPT_EULA=N"], "ACCEPT_EULA must be set to Y"),
            (["ServerUrl="], "Please specify an Octopus Server with the ServerUrl environment variable."),
            (
                ["ServerApiKey="],
                "Please specify ServerApiKey, BearerToken, or both of ServerUsername and ServerPassword."
            ),
            (["TargetWorkerPool=P"], "TargetEnvironment cannot be used with TargetWorkerPool."),
            (["TargetEnvironment="], "Please specify an environment with the TargetEnvironment environment variable."),
            (["TargetRole="], "Please specify a role with the TargetRole environment variable."),
            (["PublicHostNameConfiguration=Custom"], "Please specify CustomPublicHostName"),
            (["AsKubernetesTentacle=Y"], "AsKubernetesTentacle is not supported"),
            (["ServerUrl=", "ServerThumbprint=xyz"], "ServerThumbprint is not 40 hexadecimal digits."),
        ]
    )
    func incompleteContainer(changes: [String], message: String) async throws {
        try await TentacleFixture.with { fixture in
            var variables = [
                "TENTACLE_ROOT": fixture.folder.appending(path: "root").path, "ACCEPT_EULA": "Y", "DISABLE_DIND": "Y",
                "ServerUrl": "http://127.0.0.1:1", "ServerApiKey": "API-X", "TargetEnvironment": "Test",
                "TargetRole": "web",
            ]
            for change in changes {
                let parts = change.split(separator: "=", omittingEmptySubsequences: false)
                variables[String(parts[0])] = String(parts[1])
            }
            let entry = [Self.repository.appending(path: "packaging/oci/entrypoint").path]
            let outcome = try await run(fixture, entry, environment: variables)
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains(message), "\(outcome)")
            #expect(!FileManager.default.fileExists(atPath: fixture.folder.appending(path: "root").path))
        }
    }
}
