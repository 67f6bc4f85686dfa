import Foundation
import ProcessTesting
import Synchronization
import Testing

/// An agent, set up with the commands that a user types.
final class AgentUnderTest: Sendable {
    enum Style: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case listening = "TentaclePassive"
        case polling = "TentacleActive"

        var testDescription: String { self == .listening ? "listening" : "polling" }
    }

    let name: String
    let style: Style
    /// The instance's home directory.
    let home: URL
    let port: Int
    private let fixture: TentacleFixture
    private let running = Mutex<RunningProgram?>(nil)

    /// The daemon's process identifier.
    var processIdentifier: Int32? { running.withLock { $0?.processIdentifier } }

    init(name: String, style: Style, fixture: TentacleFixture) async throws {
        self.name = name
        self.style = style
        self.fixture = fixture
        home = fixture.folder.appending(path: name)
        port = FreePort.next()
        try await fixture.succeed(
            "tentacle",
            ["create-instance", "--instance", name, "--config", "\(home.path)/tentacle.config", "--home", home.path]
        )
        try await fixture.succeed("tentacle", ["new-certificate", "--instance", name])
        try await fixture.succeed(
            "tentacle",
            ["configure", "--instance", name, "--app", home.appending(path: "apps").path, "--port", "\(port)"]
                + ["--listenIpAddress", "127.0.0.1", "--noListen", style == .polling ? "true" : "false"]
        )
    }

    /// The options of `tentacle register` for this agent and server.
    func registration(with server: ServerUnderTest) -> [String] {
        registration(
            with: server,
            "register",
            access: ["--api-key-file", server.keyFile],
            scope: ["--environment", "Test", "--role", "web-server"]
        )
    }

    /// The options of any command that registers.
    func registration(
        with server: ServerUnderTest,
        _ command: String,
        access: [String],
        scope: [String]
    ) -> [String] {
        let common =
            [command, "--instance", name, "--server", server.address, "--name", name, "--comms-style", style.rawValue]
            + access + scope
        switch style {
        case .listening: return common + ["--publicHostName", "127.0.0.1"]
        case .polling:
            return common
                + ["--server-comms-address", "https://127.0.0.1", "--server-comms-port", "\(server.pollingPort)"]
        }
    }

    func register(with server: ServerUnderTest) async throws {
        try await fixture.succeed("tentacle", registration(with: server))
    }

    /// Starts the daemon; returns when it is ready.
    func start() async throws {
        let program = try fixture.start("tentacle", ["agent", "--instance", name, "--noninteractive"])
        running.withLock { $0 = program }
        let line = await program.line(containing: style == .listening ? "Agent listening on" : "Agent will not listen")
        let errors = line == nil ? await program.outcome().errors : ""
        try #require(line != nil, "the agent ended early: \(errors)")
    }

    /// The next line of the daemon's output that contains `text`; nil when it has ended.
    func line(containing text: String) async -> String? {
        await running.withLock { $0 }?.line(containing: text)
    }

    /// Ends the daemon with a signal and waits until it is gone.
    func end(signal: Int32) async {
        let program = running.withLock { $0 }
        program?.send(signal: signal)
        await program?.exited()
    }
}

/// Ports that no other test of this run uses.
enum FreePort {
    private static let last = Mutex(20000 + Int(getpid()) % 10000)

    static func next() -> Int {
        last.withLock { last in
            last += 1
            return last
        }
    }
}
