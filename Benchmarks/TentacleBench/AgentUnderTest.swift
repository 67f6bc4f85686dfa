import BenchmarkSupport
import Foundation
import Halibut
import SecureTransport

/// A listening agent as a user would set it up, in memory-backed storage so that no disk is measured.
struct AgentUnderTest {
    let folder: URL
    let port: Int
    let identity: TLSIdentity
    let thumbprint: Thumbprint
    private let programs: URL
    private let environment: [String: String]

    /// Sets up an instance; nothing runs yet.
    init(programs: URL) throws {
        let memory = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        let folder = "\(memory)/tentacle-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        self.folder = URL(fileURLWithPath: folder)
        self.programs = programs
        environment = ["TentacleMachineConfigurationHomeDirectory": folder]
        let port = Int.random(in: 20000..<32000)
        let identity = try TLSIdentity.generate()
        self.port = port
        self.identity = identity
        let tentacle = programs.appending(path: "tentacle").path
        let instance = ["--instance", "bench"]
        func run(_ arguments: [String]) throws -> String {
            try Tool.run(tentacle, arguments, environment: ["TentacleMachineConfigurationHomeDirectory": folder])
        }
        _ = try run(
            ["create-instance"] + instance + ["--config", "\(folder)/bench.config", "--home", folder]
        )
        _ = try run(["new-certificate"] + instance)
        _ = try run(
            ["configure"] + instance
                + ["--port", "\(port)", "--listenIpAddress", "127.0.0.1", "--trust", identity.thumbprint.description]
        )
        let text = try run(["show-thumbprint"] + instance)
        guard let thumbprint = Thumbprint(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Tool.Failure(description: "show-thumbprint printed \(text)")
        }
        self.thumbprint = thumbprint
    }

    /// Starts the daemon; returns when it says that it listens.
    func start() throws -> (process: Process, took: Duration) {
        try Tool.start(
            programs.appending(path: "tentacle-agent").path,
            ["--instance", "bench", "--noninteractive"],
            environment: environment,
            until: "Agent listening on"
        )
    }

    func remove() {
        try? FileManager.default.removeItem(at: folder)
    }
}
