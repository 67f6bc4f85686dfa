import Foundation
import ProcessTesting
import Testing

/// Deployments from our server through our agents: real programs, real sockets, real bash.
@Suite(.timeLimit(.minutes(3))) struct DeploymentTests {
    @Test("a release runs on a listening and a polling agent at the same time and its log comes back")
    func helloWorld() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            _ = try await fixture.startAgent("web01", style: .listening, of: server)
            _ = try await fixture.startAgent("web02", style: .polling, of: server)
            // Each opens a pipe that the other opens, too: only scripts that run at the same time can end.
            let pipe = fixture.folder.appending(path: "meeting")
            try await fixture.makeFIFO(pipe)
            let script = """
                echo "Hello from $TentacleInstanceName"
                if [ "$TentacleInstanceName" = web01 ]; then echo met > \(pipe.path); else cat \(pipe.path); fi
                printf 'tail without end'
                echo to-stderr >&2
                """
            _ = try await server.createProject("Hello World", script: script)
            let (state, log) = try await server.finish(try await server.deploy("Hello World"))
            #expect(state == "Success", "\(log)")
            for text in ["Hello from web01", "Hello from web02", "met", "tail without end", "to-stderr"] {
                #expect(log.contains(text), "\(log)")
            }
        }
    }

    @Test("a script that fails fails the deployment with its exit code", arguments: AgentUnderTest.Style.allCases)
    func failure(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            _ = try await fixture.startAgent("web01", style: style, of: server)
            _ = try await server.createProject("Broken", script: "echo before; exit 7; echo after")
            let (state, log) = try await server.finish(try await server.deploy("Broken"))
            #expect(state == "Failed")
            #expect(log.contains("before") && log.contains("7"))
            #expect(!log.contains("after"))
        }
    }

    @Test("cancelling a deployment kills the script and all it started", arguments: AgentUnderTest.Style.allCases)
    func cancel(style: AgentUnderTest.Style) async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            _ = try await fixture.startAgent("web01", style: style, of: server)
            // The second sleep leaves the script's session and process group. The marker is in its command line.
            let marker = "3600.\(Int.random(in: 100_000..<1_000_000))"
            let started = fixture.folder.appending(path: "started")
            try await fixture.makeFIFO(started)
            _ = try await server.createProject(
                "Endless",
                script: "sleep \(marker) & (setsid sleep \(marker) &) ; echo up > \(started.path); wait"
            )
            let task = try await server.deploy("Endless")
            _ = try await fixture.read(started)
            try await server.post("/api/tasks/\(task)/cancel", [:])
            let (state, _) = try await server.finish(task)
            #expect(state == "Canceled")
            #expect(try ProcessTable.commandLines(containing: marker).isEmpty)
        }
    }

    @Test("a script goes on when its agent is killed, and the agent that follows delivers all of its log")
    func agentKilled() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            let agent = try await fixture.startAgent("web01", style: .polling, of: server)
            let started = fixture.folder.appending(path: "started")
            let proceed = fixture.folder.appending(path: "proceed")
            try await fixture.makeFIFO(started)
            try await fixture.makeFIFO(proceed)
            _ = try await server.createProject(
                "Long",
                script: "echo first; echo up > \(started.path); cat \(proceed.path); echo last"
            )
            let task = try await server.deploy("Long")
            _ = try await fixture.read(started)
            await agent.end(signal: SIGKILL)
            try await fixture.write("while nobody watched", to: proceed)
            try await agent.start()
            let (state, log) = try await server.finish(task)
            #expect(state == "Success", "\(log)")
            for text in ["first", "while nobody watched", "last"] { #expect(log.contains(text), "\(log)") }
        }
    }

    @Test("the log of a running script can be followed on its host")
    func hostLog() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            _ = try await fixture.startAgent("web01", style: .listening, of: server)
            let proceed = fixture.folder.appending(path: "proceed")
            try await fixture.makeFIFO(proceed)
            _ = try await server.createProject("Long", script: "echo first; cat \(proceed.path); echo last")
            let logs = try fixture.start("tentacle", ["logs", "--instance", "web01", "--follow"])
            let task = try await server.deploy("Long")
            #expect(await logs.line(containing: "first") != nil)
            try await fixture.write("while it is followed", to: proceed)
            #expect(await logs.line(containing: "while it is followed") != nil)
            #expect(await logs.line(containing: "last") != nil)
            #expect(try await server.finish(task).state == "Success")
        }
    }

    @Test("the API answers nobody without a key")
    func authentication() async throws {
        try await TentacleFixture.with { fixture in
            let server = try await fixture.startServer()
            for path in ["/api/Spaces-1/machines", "/api/tasks", "/api/tasks/ServerTasks-1/raw"] {
                #expect(try await server.statusWithoutKey(path) == "401", "\(path)")
            }
        }
    }
}
