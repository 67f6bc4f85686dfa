import AgentConfiguration
import FoundationEssentials
import OctopusClient
import Synchronization
import TentacleCommands
import TentacleLog
import Testing

/// A host of its own for one test: files, console, network, clock.
final class TestWorld {
    let path: String
    var context: CommandContext
    /// Where a failure is to say that its log is; none but in tests of the log.
    var logDirectories: [String] = []
    private let recorder = Recorder()

    /// What the commands did, from whatever thread.
    final class Recorder: Sendable {
        let printed = Mutex("")
        let errors = Mutex("")
        let pauses = Mutex<[Duration]>([])
        let executed = Mutex<[[String]]>([])
    }

    var pauses: [Duration] { self.recorder.pauses.withLock { $0 } }
    /// Programs that a command wanted to become, with their arguments.
    var executed: [[String]] { self.recorder.executed.withLock { $0 } }

    /// Without the lines that close an unexpected failure, which are the same always.
    struct Outcome: Equatable {
        var exitCode: Int32
        var output: String
        var errors: String
    }

    static func newPath() -> String {
        FileManager.default.temporaryDirectory.path + "/tentacle-test-\(UUID().uuidString)"
    }

    /// A world that outlives this process; whoever made the path removes it.
    init(at path: String, transport: any HTTPTransport) throws {
        self.path = path
        let host = HostFiles(root: self.path, environment: ["USER": "tester"], currentDirectory: self.path + "/cwd")
        let recorder = self.recorder
        self.context = CommandContext(
            host: host,
            console: Console(
                output: { text in
                    recorder.printed.withLock { $0 += text }
                    return 0
                },
                errorOutput: { text in recorder.errors.withLock { $0 += text } }
            ),
            transport: transport,
            programPath: "/opt/octopus/tentacle/Tentacle",
            hostName: "web01",
            processorCount: 2,
            makeSubscriptionID: { "poll://bcdfghjkmnpqrstvwxyz/" },
            pause: { duration in recorder.pauses.withLock { $0.append(duration) } },
            replaceProcess: { path, arguments in
                recorder.executed.withLock { $0.append([path] + arguments) }
                return 2
            }
        )
        for directory in ["cwd", "etc"] { try DurableFile.makeDirectory(self.path + "/" + directory) }
        try self.write("816490f117f14c7a8fa2697781ed795b\n", "etc/machine-id")
    }

    /// Runs the test with a host that is gone afterwards.
    static func with<Result>(
        _ transport: any HTTPTransport = FakeOctopus(),
        _ body: (TestWorld) async throws -> Result
    ) async throws -> Result {
        let world = try TestWorld(at: Self.newPath(), transport: transport)
        defer { try? FileManager.default.removeItem(atPath: world.path) }
        return try await body(world)
    }

    func run(_ arguments: String...) -> Outcome { self.run(arguments) }

    func run(_ arguments: [String]) -> Outcome {
        self.recorder.printed.withLock { $0 = "" }
        self.recorder.errors.withLock { $0 = "" }
        let code = TentacleProgram(self.context).run(arguments)
        var errors = self.recorder.errors.withLock { $0 }
        let report = FailureReport.lines(exitCode: code.rawValue, logDirectories: self.logDirectories)
        let closing = report.map { $0 + "\n" }.joined()
        #expect(errors.hasSuffix(closing), "\(errors) does not end as a failure with code \(code.rawValue) does")
        errors.removeLast(closing.count)
        return Outcome(exitCode: code.rawValue, output: self.recorder.printed.withLock { $0 }, errors: errors)
    }

    func write(_ text: String, _ name: String) throws {
        let path = self.path + "/" + name
        try DurableFile.makeDirectory(FilePathText.directory(of: path))
        try DurableFile.write(Array(text.utf8), to: path, mode: 0o600)
    }

    func text(_ name: String) throws -> String {
        String(decoding: try DurableFile.read(self.path + "/" + name), as: UTF8.self)
    }

    func names(in directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: self.path + "/" + directory)) ?? []).sorted()
    }

    func configuration(_ name: String = "home/x.config") throws -> TentacleConfiguration {
        try TentacleConfiguration.load(from: self.path + "/" + name, host: self.context.host)
    }

    /// An instance with a certificate, as most commands want one.
    func makeInstance(_ name: String = "Tentacle") throws {
        let config = self.path + "/home/x.config"
        _ = self.run("create-instance", "--instance", name, "--config", config)
        try TentacleConfiguration.update(config, host: self.context.host) { configuration in
            try configuration.setIdentity(TestIdentity.shared.get())
        }
    }

    /// What the instance trusts, instead of what it trusted.
    func trust(_ servers: TrustedServer...) throws {
        try TentacleConfiguration.update(self.path + "/home/x.config", host: self.context.host) {
            $0.setTrustedServers(servers)
        }
    }

    func trustedServers() throws -> [TrustedServer] { try self.configuration().trustedServers() }
}
