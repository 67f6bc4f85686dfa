import Dispatch
import Foundation
import Glibc
import LauncherProtocol
import Logging
import ProcessTesting
import Testing

@testable import ScriptExecution

/// One agent's script side over the real launcher, in a directory of its own; nothing is left behind.
struct ScriptFixture: Sendable {
    let home: String
    let workspaces: ScriptWorkspaces
    let launcher: any ScriptLauncher
    let service: ScriptService

    static let isRoot = geteuid() == 0
    static let environment = ["PATH": "/usr/bin:/bin"]

    /// Beside the test bundle, where `swift build` puts every program.
    static let launcherPath = program("tentacle-launcher")

    static func program(_ name: String) -> String? {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let folders = [CommandLine.arguments[0], own ?? ""].map { URL(filePath: $0).deletingLastPathComponent().path }
        return (folders + [FileManager.default.currentDirectoryPath + "/.build/debug"])
            .map { $0 + "/" + name }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// `policies` are names and texts of policy files for the launcher.
    init(
        home: String,
        policy: String = "standard",
        policies: [String: String] = [:],
        launcherArguments: [String] = [],
        launcher: (any ScriptLauncher)? = nil,
        environment: [String: String] = environment,
        disk: DiskSpaceCheck = DiskSpaceCheck()
    ) throws {
        self.home = home
        workspaces = ScriptWorkspaces(homeDirectory: home, disk: disk) { text, password in
            Array("IV__\(password):".utf8) + text
        }
        let program = try #require(Self.launcherPath, "tentacle-launcher is not beside the tests: build it first")
        let arguments = try Self.arguments(policy, policies, home) + launcherArguments
        self.launcher =
            launcher
            ?? LauncherClient(
                workDirectory: home + "/Work",
                socketPath: home + "/absent.sock",
                executable: program,
                arguments: arguments
            )
        service = ScriptService(
            workspaces: workspaces,
            launcher: self.launcher,
            configuration: .init(environment: environment, pastScripts: PastScripts(homeDirectory: home)),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private static func arguments(
        _ policy: String,
        _ policies: [String: String],
        _ home: String
    ) throws -> [String] {
        let choice = ["--policy", policy]
        guard !policies.isEmpty else { return choice }
        let folder = home + "/policies"
        // Whatever the umask is: files that others can write are refused.
        let mode = [FileAttributeKey.posixPermissions: 0o700]
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: mode)
        for (name, text) in policies {
            let path = folder + "/\(name).toml"
            try #require(
                FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: mode)
            )
        }
        return choice + ["--policies", folder]
    }

    /// A new home; the service runs while the body does; what the body leaves running is cancelled.
    static func with(
        policy: String = "standard",
        policies: [String: String] = [:],
        launcherArguments: [String] = [],
        launcher: (any ScriptLauncher)? = nil,
        environment: [String: String] = environment,
        disk: DiskSpaceCheck = DiskSpaceCheck(),
        _ body: @Sendable @escaping (ScriptFixture) async throws -> Void
    ) async throws {
        try await withHome { home in
            let fixture = try ScriptFixture(
                home: home,
                policy: policy,
                policies: policies,
                launcherArguments: launcherArguments,
                launcher: launcher,
                environment: environment,
                disk: disk
            )
            try await fixture.running(body)
        }
    }

    /// A new home without a service, for tests that run one elsewhere or later.
    static func withHome(_ body: (_ home: String) async throws -> Void) async throws {
        let home = ScratchFolder.url("scripts").path
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        try await body(home)
    }

    func running(_ body: @Sendable @escaping (ScriptFixture) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.service.run() }
            let result: Result<Void, any Error>
            do {
                try await body(self)
                result = .success(())
            } catch {
                result = .failure(error)
            }
            // Through the service, which also waits for scripts that are only being launched.
            for ticket in workspaces.tickets() {
                _ = try? await service.cancel(ticket: ticket.description, after: 0, generation: .v2)
            }
            group.cancelAll()
            try result.get()
        }
    }

    /// Starts a script and waits for its end through the service's own wait.
    func run(
        _ body: String,
        ticket: String = "abc",
        wait: Duration = .seconds(60),
        change: (inout ScriptStart) -> Void = { _ in }
    ) async throws -> ScriptStatus {
        var start = ScriptStart(body: body, taskID: "ServerTasks-1", wait: wait)
        change(&start)
        return try await service.start(start, ticket: ticket)
    }

    /// Starts a script and returns when it has reached the gate.
    func runToGate(
        _ gate: Gate,
        _ body: String = "",
        ticket: String = "abc",
        change: (inout ScriptStart) -> Void = { _ in }
    ) async throws {
        var start = ScriptStart(body: body + "\n" + gate.script, taskID: "ServerTasks-1")
        change(&start)
        _ = try await service.start(start, ticket: ticket)
        try await gate.reached()
    }

    func status(_ ticket: String = "abc", after: Int64 = 0) async throws -> ScriptStatus {
        try await service.status(ticket: ticket, after: after, generation: .v2)
    }

    /// All entries in the form "source text", but for what a busy machine adds.
    static func lines(_ status: ScriptStatus) -> [String] {
        status.logs.filter { !$0.text.hasPrefix("Waiting for tentacle-launcher") }.map {
            "\(["out", "err", "dbg"][$0.source.rawValue]) \($0.text)"
        }
    }

    /// Standard output without the entries around the isolation mutex.
    static func output(_ status: ScriptStatus) -> [String] {
        status.logs.filter { $0.source == .standardOutput }.map(\.text).filter {
            !$0.hasPrefix("##octopus[stdout-") && !$0.hasPrefix("Acquiring isolation mutex")
        }
    }
}

/// A place in a script where it waits for the test: two FIFOs.
struct Gate: Sendable {
    private let arrived: String
    private let released: String

    init(_ fixture: ScriptFixture, _ name: String = "gate") throws { try self.init(home: fixture.home, name) }

    init(home: String, _ name: String) throws {
        arrived = home + "/\(name).arrived"
        released = home + "/\(name).released"
        for path in [arrived, released] { try #require(mkfifo(path, 0o600) == 0) }
    }

    /// The redirections open and close the FIFOs at once, so that nothing else of the script holds them.
    var script: String { "echo here > '\(arrived)'; read -r _ < '\(released)'" }

    func reached() async throws {
        let path = arrived
        try await Self.blocking {
            // Foundation refuses to read a FIFO.
            let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            var buffer = [UInt8](repeating: 0, count: 16)
            try #require(read(file, &buffer, buffer.count) > 0)
        }
    }

    func open() async throws {
        let path = released
        try await Self.blocking {
            let file = Glibc.open(path, O_WRONLY | O_CLOEXEC)
            defer { close(file) }
            try #require(write(file, "go\n", 3) == 3)
        }
    }

    private static func blocking(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "gate").async { continuation.resume(with: Result(catching: body)) }
        }
    }
}

/// Processes whose command line contains a text that only the test's script has.
func processes(containing marker: String) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap(Int32.init).filter { id in
        let arguments = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") ?? Data()
        return String(decoding: arguments, as: UTF8.self).contains(marker)
    }
}
