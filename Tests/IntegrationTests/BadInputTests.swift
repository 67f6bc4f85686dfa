import Foundation
import ProcessTesting
import Testing

/// What a user gets who types something wrong: one line that says what to do, the exit code of the spec, no traces.
@Suite(.timeLimit(.minutes(3))) struct BadInputTests {
    @Test("an unknown command is named, with exit code 2")
    func unknownCommand() async throws {
        try await TentacleFixture.with { fixture in
            let outcome = try await fixture.run("tentacle", ["frobnicate"])
            #expect(outcome.status == 2)
            #expect(outcome.errors.contains("Command 'frobnicate' is not supported"))
        }
    }

    @Test("an unknown option is named, with exit code 1")
    func unknownOption() async throws {
        try await TentacleFixture.with { fixture in
            let outcome = try await fixture.run("tentacle", ["version", "--frobnicate"])
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains("Unrecognized command line arguments: --frobnicate"))
        }
    }

    @Test("a registration that fails leaves nothing half done", arguments: RegistrationFault.all)
    func registration(fault: RegistrationFault) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let agent = try await AgentUnderTest(name: "web01", style: .listening, fixture: fixture)
            let configuration = agent.home.appending(path: "tentacle.config")
            let before = try Data(contentsOf: configuration)
            let wrongKey = fixture.folder.appending(path: "wrong-key")
            try "API-WRONGWRONGWRONG".write(to: wrongKey, atomically: true, encoding: .utf8)
            let options = fault.change(agent.registration(with: server), wrongKey.path)
            let outcome = try await fixture.run("tentacle", options)
            #expect(fault.exitCodes.contains(outcome.status), "\(outcome)")
            #expect(outcome.errors.contains(fault.message), "\(outcome)")
            #expect(try Data(contentsOf: configuration) == before)
            #expect(try await server.get("/api/Spaces-1/machines/all").elements.isEmpty)
        }
    }

    struct RegistrationFault: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var message: String
        var exitCodes: [Int32]
        var change: @Sendable (_ options: [String], _ wrongKeyFile: String) -> [String]

        static let all = [
            RegistrationFault(
                testDescription: "unreachable server",
                message: "http://127.0.0.1:1",
                exitCodes: [1, 100],
                change: { options, _ in
                    replacing("--server", by: "http://127.0.0.1:1", in: options) + ["--server-timeout", "0"]
                }
            ),
            RegistrationFault(
                testDescription: "wrong API key",
                message: "API key",
                exitCodes: [1],
                change: { options, wrongKeyFile in replacing("--api-key-file", by: wrongKeyFile, in: options) }
            ),
            RegistrationFault(
                testDescription: "unknown environment",
                message: "Could not find the environment with name, slug or Id Nowhere on the Octopus Server.",
                exitCodes: [1],
                change: { options, _ in replacing("--environment", by: "Nowhere", in: options) }
            ),
        ]

        private static func replacing(_ option: String, by value: String, in options: [String]) -> [String] {
            var options = options
            if let index = options.firstIndex(of: option) { options[index + 1] = value }
            return options
        }
    }

    @Test("a port in use is named, with exit code 100")
    func portInUse() async throws {
        try await TentacleFixture.with { fixture in
            let first = try await AgentUnderTest(name: "first", style: .listening, fixture: fixture)
            let second = try await AgentUnderTest(name: "second", style: .listening, fixture: fixture)
            try await fixture.succeed("tentacle", ["configure", "--instance", "second", "--port", "\(first.port)"])
            try await first.start()
            let outcome = try await fixture.run("tentacle", ["agent", "--instance", second.name, "--noninteractive"])
            #expect(outcome.status == 100)
            #expect((outcome.output + outcome.errors).contains("port is already in use"), "\(outcome)")
            #expect((outcome.output + outcome.errors).contains("\(first.port)"))
        }
    }
}
