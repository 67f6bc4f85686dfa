import AgentConfiguration
import BSON
import Foundation
import Halibut
import Logging
import SecureTransport
import Testing

/// The built `tentacle-agent`, configured in a folder of its own, and a client that it trusts.
struct Daemon {
    let port: Int
    let client: HalibutClient
    let endPoint: ServiceEndPoint
    let home: URL
    let agentThumbprint: Thumbprint
    let process: Process
    let end: AsyncStream<Int32>

    /// How the process ended.
    struct Ended: Sendable {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Shared by all tests: making an RSA key takes a while.
    static let serverIdentity = Result { try TLSIdentity.generate(commonName: "Octopus Server") }
    static let agentIdentity = Result { try TLSIdentity.generate() }

    /// Built into the same folder as the tests.
    static let executable = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "tentacle-agent")

    /// Starts a listening agent, stops it with SIGTERM after the body, and returns how it ended.
    @discardableResult
    static func with(
        configure: (inout TentacleConfiguration) throws -> Void = { _ in },
        _ body: (Daemon) async throws -> Void
    ) async throws -> Ended {
        let folder = FileManager.default.temporaryDirectory.appending(path: "agent-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = try serverIdentity.get()
        let agent = try agentIdentity.get()
        let configuration = try write(folder, agent: agent, server: server.thumbprint, configure)
        let running = try start(["--config", configuration, "--noninteractive"], in: folder)
        defer { if running.process.isRunning { kill(running.process.processIdentifier, SIGKILL) } }
        var lines = running.lines.makeAsyncIterator()
        var port: Int?
        while port == nil, let line = await lines.next() {
            port = line.firstMatch(of: /listen:\/\/.*:(\d+)\/ .*Listener started/).flatMap { Int($0.1) }
        }
        let bound = try #require(port, "the agent did not start to listen")
        let client = try HalibutClient(
            identity: server,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let daemon = Daemon(
            port: bound,
            client: client,
            endPoint: try ServiceEndPoint("https://localhost:\(bound)/", remoteThumbprint: agent.thumbprint),
            home: folder,
            agentThumbprint: agent.thumbprint,
            process: running.process,
            end: running.end
        )
        let result: Result<Void, any Error>
        do { result = .success(try await body(daemon)) } catch { result = .failure(error) }
        await client.close()
        kill(running.process.processIdentifier, SIGTERM)
        let ended = await running.ended(folder)
        try result.get()
        return ended
    }

    /// Runs it to its end, which must come by itself.
    static func run(_ arguments: [String], in folder: URL) async throws -> Ended {
        try await start(arguments, in: folder).ended(folder)
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

    /// A process whose output is read as it comes.
    struct Running {
        let process: Process
        let lines: AsyncStream<String>
        let end: AsyncStream<Int32>

        func ended(_ folder: URL) async -> Ended {
            var status: Int32 = -1
            for await value in end { status = value }
            let errors = (try? String(contentsOf: folder.appending(path: "stderr.txt"), encoding: .utf8)) ?? ""
            let output = (try? String(contentsOf: folder.appending(path: "stdout.txt"), encoding: .utf8)) ?? ""
            return Ended(status: status, output: output, errors: errors)
        }
    }

    static func start(_ arguments: [String], in folder: URL) throws -> Running {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        let errors = folder.appending(path: "stderr.txt")
        _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
        process.standardError = try FileHandle(forWritingTo: errors)
        let output = Pipe()
        process.standardOutput = output
        let (end, ended) = AsyncStream.makeStream(of: Int32.self)
        process.terminationHandler = {
            ended.yield($0.terminationReason == .uncaughtSignal ? 128 + $0.terminationStatus : $0.terminationStatus)
            ended.finish()
        }
        let (lines, arrived) = AsyncStream.makeStream(of: String.self)
        let copy = folder.appending(path: "stdout.txt")
        _ = FileManager.default.createFile(atPath: copy.path, contents: nil)
        let record = try FileHandle(forWritingTo: copy)
        try process.run()
        Thread.detachNewThread {
            // Ends with the process.
            var rest = Data()
            while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
                try? record.write(contentsOf: data)
                rest += data
                while let newline = rest.firstIndex(of: 0x0A) {
                    arrived.yield(String(decoding: rest[..<newline], as: UTF8.self))
                    rest = rest[rest.index(after: newline)...]
                }
            }
            arrived.finish()
        }
        return Running(process: process, lines: lines, end: end)
    }
}

/// A folder that is removed when the body ends.
func withScratch<Value>(_ body: (URL) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appending(path: "agent-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}
