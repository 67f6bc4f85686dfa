import Foundation
import ProcessTesting
import SecureTransport
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

    @Test("a server that is told by hand, as in its portal, loses no call", arguments: AgentUnderTest.Style.allCases)
    func toldByHand(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let agent = try await fixture.startAgent("web01", style: style, of: server)
            _ = try await server.createProject("Short", script: "echo short")
            let before = try await server.finish(try await server.deploy("Short"))
            #expect(before.state == "Success", "\(before.log)")
            let output = try await fixture.succeed(
                "tentacle",
                ["new-certificate", "--overlap", "--instance", agent.name]
            )
            let next = try #require(output.firstMatch(of: #/[0-9A-F]{40}/#)?.output)
            #expect(await agent.line(containing: "0 of 1 trusted servers know the new one") != nil)
            let machines = try await server.get("/api/Spaces-1/machines/all")
            var machine = try #require(machines.first)
            machine["Endpoint"]?["Thumbprint"] = .string(String(next))
            let id = try #require(machine["Id"]?.text)
            try await server.put("/api/Spaces-1/machines/\(id)", machine)
            let after = try await server.finish(try await server.deploy("Short"))
            #expect(after.state == "Success", "\(after.log)")
            #expect(!after.log.contains("unexpected security certificate"), "\(after.log)")
        }
    }

    @Test(
        "a server changes its certificate: both are trusted, then the old one no more, and the agent runs on",
        arguments: AgentUnderTest.Style.allCases
    )
    func serversCertificate(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            var server = try await fixture.startServer()
            let agent = try await fixture.startAgent("web01", style: style, of: server)
            let process = agent.processIdentifier
            _ = try await server.createProject("Short", script: "echo short")
            func deploy() async throws -> (state: String, log: String) {
                try await server.finish(try await server.deploy("Short"))
            }
            let certificate = fixture.serverData.appending(path: "server-identity.pem")
            let (kept, fresh) = (certificate.appendingPathExtension("old"), certificate.appendingPathExtension("next"))
            let old = try TLSIdentity(pem: String(contentsOf: certificate, encoding: .utf8))
            let new = try TLSIdentity.generate(commonName: "Octopus Server")
            try new.pem(includingPrivateKey: true).write(to: fresh, atomically: true, encoding: .utf8)
            // Two ways to say it; a polled server has an address and a subscription, which only the one keeps.
            let update = ["update-trust", "--oldThumbprint=\(old.thumbprint)", "--newThumbprint=\(new.thumbprint)"]
            let (begin, end) =
                style == .polling
                ? (update + ["--overlap"], update)
                : (["configure", "--trust=\(new.thumbprint)"], ["configure", "--remove-trust=\(old.thumbprint)"])
            let instance = ["--instance", agent.name]
            try await fixture.succeed("tentacle", begin + instance)
            #expect(
                await agent.line(containing: "will trust Octopus Servers with the thumbprint: \(new.thumbprint)") != nil
            )
            let with = try await deploy()
            #expect(with.state == "Success", "\(with.log)")
            server = try await fixture.restart(server) {
                try FileManager.default.moveItem(at: certificate, to: kept)
                try FileManager.default.moveItem(at: fresh, to: certificate)
            }
            let changed = try await deploy()
            #expect(changed.state == "Success", "\(changed.log)")
            try await fixture.succeed("tentacle", end + instance)
            #expect(await agent.line(containing: "no longer that have the thumbprint: \(old.thumbprint)") != nil)
            let without = try await deploy()
            #expect(without.state == "Success", "\(without.log)")
            // The old certificate comes back: whoever has it is nobody any more.
            server = try await fixture.restart(server) {
                try FileManager.default.removeItem(at: certificate)
                try FileManager.default.moveItem(at: kept, to: certificate)
            }
            let task = try await server.deploy("Short")
            let refusal =
                style == .listening
                ? "'\(old.thumbprint)' which is not in the list of thumbprints that we trust"
                : "presented an unexpected security certificate"
            #expect(await agent.line(containing: refusal) != nil)
            // The server does not give up for minutes.
            #expect(try await server.get("/api/tasks/\(task)")["State"]?.text == "Executing")
            try await server.post("/api/tasks/\(task)/cancel", .null)
            #expect(agent.processIdentifier == process)
            #expect(process.map { kill($0, 0) } == 0)
        }
    }
}
