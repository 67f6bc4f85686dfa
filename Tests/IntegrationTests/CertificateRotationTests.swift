import Foundation
import ProcessTesting
import Testing

/// The certificate of an agent is changed while a deployment runs on it.
@Suite(.timeLimit(.minutes(3))) struct CertificateRotationTests {
    @Test(
        "a deployment runs through the change of its agent's certificate, and so does the next one",
        arguments: AgentUnderTest.Style.allCases
    )
    func change(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let agent = try await fixture.startAgent("web01", style: style, of: server)
            let proceed = fixture.folder.appending(path: "proceed")
            let started = fixture.folder.appending(path: "started")
            for pipe in [proceed, started] { try await fixture.makeFIFO(pipe) }
            _ = try await server.createProject(
                "Long",
                script: "echo first; echo up > \(started.path); cat \(proceed.path); echo last"
            )
            _ = try await server.createProject("Short", script: "echo short")
            let instance = ["--instance", agent.name]
            let old = try await fixture.succeed("tentacle", ["show-thumbprint"] + instance)
            let task = try await server.deploy("Long")
            _ = try await fixture.read(started)
            try await fixture.succeed("tentacle", ["new-certificate", "--overlap"] + instance)
            let told = try await fixture.succeed(
                "tentacle",
                ["tell-certificate", "--server", server.address, "--api-key-file", server.keyFile] + instance
            )
            #expect(told.contains("it has taken the old one's place"))
            let new = try await fixture.succeed("tentacle", ["show-thumbprint"] + instance)
            #expect(new != old && told.contains(new))
            try await fixture.write("across the change", to: proceed)
            let (state, log) = try await server.finish(task)
            #expect(state == "Success", "\(log)")
            for text in ["first", "across the change", "last"] { #expect(log.contains(text), "\(log)") }
            let next = try await server.finish(try await server.deploy("Short"))
            #expect(next.state == "Success", "\(next.log)")
            // The same agent, started again from what the commands have left.
            await agent.end(signal: SIGTERM)
            try await agent.start()
            let last = try await server.finish(try await server.deploy("Short"))
            #expect(last.state == "Success", "\(last.log)")
        }
    }
}
