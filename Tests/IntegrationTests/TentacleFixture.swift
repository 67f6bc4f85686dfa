import Foundation
import ProcessTesting
import Synchronization
import Testing

/// A server, its agents, and a folder of their own, all gone at the end.
final class TentacleFixture: Sendable {
    /// The programs under test: release builds under `make test`, else what `swift test` has built.
    static let programs =
        ProcessInfo.processInfo.environment["TENTACLE_BIN"].map { URL(fileURLWithPath: $0) }
        ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: ".build/debug")

    let folder: URL
    private let cleanUp = CleanUp()

    private init() throws {
        folder = ScratchFolder.url("tentacle-test")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    /// Runs `body` with a fixture; stops what it started, last first, and removes its folder.
    static func with(_ body: (TentacleFixture) async throws -> Void) async throws {
        let fixture = try TentacleFixture()
        do {
            try await body(fixture)
        } catch {
            await fixture.cleanUp.run()
            try? FileManager.default.removeItem(at: fixture.folder)
            throw error
        }
        await fixture.cleanUp.run()
        try FileManager.default.removeItem(at: fixture.folder)
    }

    /// Runs one of our programs to its end.
    func run(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) async throws
        -> RunningProgram.Outcome
    {
        try await launch(program, arguments, environment: environment).outcome()
    }

    /// Runs one of our programs and expects success.
    @discardableResult
    func succeed(_ program: String, _ arguments: [String]) async throws -> String {
        let outcome = try await run(program, arguments)
        try #require(outcome.status == 0, "\(program) \(arguments): \(outcome.output)\(outcome.errors)")
        return outcome.output
    }

    /// Starts one of our programs; it is ended with the fixture.
    func start(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> RunningProgram {
        let running = try launch(program, arguments, environment: environment)
        cleanUp.add {
            running.send(signal: SIGTERM)
            await running.exited()
        }
        return running
    }

    /// Where the server keeps its data, its certificate among them.
    var serverData: URL { folder.appending(path: "server") }

    /// Starts a server with an environment `Test`.
    func startServer(adminPasswordFile: String? = nil) async throws -> ServerUnderTest {
        let password = adminPasswordFile.map { ["--admin-password-file", $0] } ?? []
        let server = try await startServer(http: "127.0.0.1:0", pollingPort: 0, password)
        try await server.post("/api/Spaces-1/environments", ["Name": "Test"])
        return server
    }

    /// Ends a server and starts another one with its data and its ports.
    func restart(_ server: ServerUnderTest, betweenTheTwo: () throws -> Void) async throws -> ServerUnderTest {
        server.program.send(signal: SIGTERM)
        await server.program.exited()
        try betweenTheTwo()
        return try await startServer(
            http: String(server.address.trimmingPrefix("http://")),
            pollingPort: server.pollingPort
        )
    }

    private func startServer(
        http: String,
        pollingPort: Int,
        _ options: [String] = []
    ) async throws -> ServerUnderTest {
        let program = try start(
            "tentacle-server",
            ["run", "--data", serverData.path, "--http", http, "--polling", "127.0.0.1:\(pollingPort)"] + options
        )
        let line = try #require(await program.errorLine(containing: "\"httpUrl\""), "the server ended early")
        // A log line with the object as metadata.
        let json = try #require(line.firstMatch(of: #/\{.*\}/#)?.output)
        return try ServerUnderTest(ready: Data(json.utf8), program: program)
    }

    /// Creates, configures and registers an agent, and starts it.
    func startAgent(
        _ name: String,
        style: AgentUnderTest.Style,
        of server: ServerUnderTest
    ) async throws
        -> AgentUnderTest
    {
        let agent = try await AgentUnderTest(name: name, style: style, fixture: self)
        try await agent.register(with: server)
        try await agent.start()
        return agent
    }

    private func launch(
        _ program: String,
        _ arguments: [String],
        environment: [String: String]
    ) throws
        -> RunningProgram
    {
        let machine = ["TentacleMachineConfigurationHomeDirectory": folder.appending(path: "machine").path]
        return try RunningProgram(
            Self.programs.appending(path: program).path,
            arguments,
            environment: machine.merging(environment) { _, given in given },
            folder: folder.path
        )
    }
}

/// What is to be undone, last first.
private final class CleanUp: Sendable {
    private let steps = Mutex<[@Sendable () async -> Void]>([])

    func add(_ step: @escaping @Sendable () async -> Void) {
        steps.withLock { $0.append(step) }
    }

    func run() async {
        let all = steps.withLock { steps in
            defer { steps = [] }
            return steps
        }
        for step in all.reversed() { await step() }
    }
}
