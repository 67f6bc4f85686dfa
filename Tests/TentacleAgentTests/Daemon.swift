import AgentConfiguration
import BSON
import Foundation
import Halibut
import Logging
import ProcessTesting
import SecureTransport
import Testing

/// The built `tentacle-agent`, configured in a folder of its own, and a client that it trusts.
struct Daemon {
    let port: Int
    let client: HalibutClient
    let endPoint: ServiceEndPoint
    let home: URL
    let agentThumbprint: Thumbprint
    let program: RunningProgram

    /// Shared by all tests: making an RSA key takes a while.
    static let serverIdentity = Result { try TLSIdentity.generate(commonName: "Octopus Server") }
    static let agentIdentity = Result { try TLSIdentity.generate() }

    /// Built into the same folder as the tests.
    static let executable = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "tentacle-agent").path

    /// Starts a listening agent, stops it with SIGTERM after the body, and returns how it ended.
    @discardableResult
    static func with(
        environment: [String: String] = [:],
        configure: (inout TentacleConfiguration) throws -> Void = { _ in },
        _ body: (Daemon) async throws -> Void
    ) async throws -> RunningProgram.Outcome {
        let folder = ScratchFolder.url("agent")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = try serverIdentity.get()
        let agent = try agentIdentity.get()
        let configuration = try write(folder, agent: agent, server: server.thumbprint, configure)
        let program = try RunningProgram(
            executable,
            ["--config", configuration, "--noninteractive"],
            environment: environment
        )
        try await program.whileRunning {
            let line = await program.line(containing: "Listener started")
            let port = line?.firstMatch(of: /listen:\/\/.*:(\d+)\//).flatMap { Int($0.1) }
            let bound = try #require(port, "the agent did not start to listen")
            let client = try HalibutClient(
                identity: server,
                configuration: HalibutConfiguration(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            )
            let daemon = Daemon(
                port: bound,
                client: client,
                endPoint: try ServiceEndPoint("https://localhost:\(bound)/", remoteThumbprint: agent.thumbprint),
                home: folder,
                agentThumbprint: agent.thumbprint,
                program: program
            )
            let result: Result<Void, any Error>
            do { result = .success(try await body(daemon)) } catch { result = .failure(error) }
            await client.close()
            try result.get()
        }
        return await program.outcome()
    }

    /// Runs it to its end, which must come by itself.
    static func run(_ arguments: [String]) async throws -> RunningProgram.Outcome {
        try await RunningProgram(executable, arguments).outcome()
    }

    static func write(
        _ folder: URL,
        agent: TLSIdentity?,
        server: Thumbprint?,
        _ configure: (inout TentacleConfiguration) throws -> Void = { _ in }
    ) throws -> String {
        let path = folder.appending(path: "tentacle.config").path
        var configuration = TentacleConfiguration(
            path: path,
            document: SettingsDocument(),
            host: HostFiles(root: folder.path)
        )
        // The key for secrets is this machine's, as it is for the daemon.
        configuration = TentacleConfiguration(path: path, document: configuration.document, host: HostFiles.current())
        configuration.set(.home, folder.path)
        configuration.set(.port, 0)
        if let agent { try configuration.setIdentity(agent) }
        if let server {
            configuration.setTrustedServers([
                TrustedServer(thumbprint: server.description, communicationStyle: .listening)
            ])
        }
        try configure(&configuration)
        try configuration.save()
        return path
    }
}

/// A folder that is removed when the body ends.
func withScratch<Value>(_ body: (URL) async throws -> Value) async throws -> Value {
    let folder = ScratchFolder.url("agent")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}
