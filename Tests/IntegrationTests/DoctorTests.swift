import Foundation
import ProcessTesting
import Testing

/// `tentacle doctor` with real agents: their certificates, their server's, the launcher and its sandbox.
@Suite(.timeLimit(.minutes(2))) struct DoctorTests {
    private struct Report: Decodable {
        struct Check: Decodable {
            var check: String
            var outcome: String
            var detail: String
        }

        var healthy: Bool
        var checks: [Check]

        func outcomes(_ names: String...) -> [String] {
            names.map { name in self.checks.first { $0.check == name }?.outcome ?? "missing" }
        }
    }

    private static func examine(_ fixture: TentacleFixture, _ agent: AgentUnderTest) async throws -> (Report, Int32) {
        let outcome = try await fixture.run("tentacle", ["doctor", "--instance", agent.name, "--format=json"])
        return (try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)), outcome.status)
    }

    @Test("an agent that runs passes, one that was killed does not", arguments: AgentUnderTest.Style.allCases)
    func agents(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let agent = try await fixture.startAgent("web01", style: style, of: server)
            let (well, status) = try await Self.examine(fixture, agent)
            #expect(status == 0, "\(well.checks)")
            #expect(
                well.outcomes("instance", "configuration", "permissions", "certificate", "trust", "home", "launcher")
                    .allSatisfy { $0 == "pass" },
                "\(well.checks)"
            )
            #expect(well.outcomes("port", "server") == (style == .listening ? ["pass", "missing"] : ["skip", "pass"]))
            await agent.end(signal: SIGKILL)
            if style == .listening {
                let (dead, failure) = try await Self.examine(fixture, agent)
                #expect(failure == 1)
                #expect(dead.outcomes("port") == ["fail"])
            }
            server.program.send(signal: SIGTERM)
            await server.program.exited()
            if style == .polling {
                let (alone, failure) = try await Self.examine(fixture, agent)
                #expect(failure == 1)
                #expect(alone.outcomes("server") == ["fail"], "\(alone.checks)")
            }
        }
    }
}
