import BenchmarkSupport
import Dispatch
import Foundation
import LauncherProtocol
import Logging
import ScriptExecution

/// What all figures share: a folder in memory, so that no disk is measured, and the release launcher.
struct ScriptStage: Sendable {
    /// What a script's environment is, here and of the bare shell.
    static let environment = ["PATH": "/usr/bin:/bin"]

    let launcher: String
    let folder: String

    init(launcher: String) throws {
        guard access(launcher, X_OK) == 0 else { throw Tool.Failure(description: "\(launcher) is not there") }
        self.launcher = URL(fileURLWithPath: launcher).path
        let memory = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        folder = "\(memory)/script-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    /// This program, which is also the producer of output and the process that is looked at.
    static var ownPath: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    func path(_ name: String) -> String { folder + "/" + name }

    /// Runs a body beside a script service of its own; what is running behind it is cancelled.
    func withService<Value: Sendable>(
        policy: String,
        limits: [String] = [],
        _ body: @Sendable (BenchedService) async throws -> Value
    ) async throws -> Value {
        let home = path(UUID().uuidString)
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let benched = BenchedService(home: home, launcher: launcher, arguments: ["--policy", policy] + limits)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await benched.service.run() }
            let result: Result<Value, any Error>
            do { result = .success(try await body(benched)) } catch { result = .failure(error) }
            for ticket in benched.workspaces.tickets() {
                _ = try? await benched.service.cancel(ticket: ticket.description, after: 0, generation: .v2)
            }
            group.cancelAll()
            return try result.get()
        }
    }
}

/// The agent's side of scripts over the real launcher, which it starts itself.
struct BenchedService: Sendable {
    /// No log limit and no reserve: a figure's output is all of it.
    static let unlimited = ["--log-limit", "0", "--disk-reserve", "0"]

    let workspaces: ScriptWorkspaces
    let launcher: LauncherClient
    let service: ScriptService

    init(home: String, launcher: String, arguments: [String]) {
        workspaces = ScriptWorkspaces(homeDirectory: home) { text, _ in text }
        self.launcher = LauncherClient(
            workDirectory: home + "/Work",
            socketPath: home + "/absent.sock",
            executable: launcher,
            arguments: arguments
        )
        service = ScriptService(
            workspaces: workspaces,
            launcher: self.launcher,
            configuration: .init(environment: ScriptStage.environment),
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    func start(_ body: String, _ ticket: String, wait: Duration? = nil) async throws {
        let status = try await service.start(
            ScriptStart(body: body, taskID: "ServerTasks-1", wait: wait),
            ticket: ticket
        )
        guard wait == nil || (status.state == .complete && status.exitCode == 0) else {
            let text = status.logs.map(\.text).joined(separator: "\n")
            throw Tool.Failure(description: "a script ended with \(status.exitCode): \(text.prefix(2000))")
        }
    }

    /// Waits for a script and forgets it.
    func end(_ ticket: String) async {
        await service.waitUntilOver(ticket: ticket)
        await service.complete(ticket: ticket)
    }

    /// The launcher that runs a script.
    func supervisor(of ticket: String) throws -> Int32 {
        guard let directory = try workspaces.open(ScriptTicketName(ticket)),
            case .launcher(let process) = try directory.lockHolder()
        else { throw Tool.Failure(description: "no launcher holds the lock of \(ticket)") }
        return process
    }

    func logPath(_ ticket: String) throws -> String {
        workspaces.path(of: try ScriptTicketName(ticket)) + "/" + ScriptSpecification.logFileName
    }
}

/// Blocks a thread of its own, not one of the few that run all tasks.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "bench.blocking").async { continuation.resume(with: Result(catching: body)) }
    }
}

/// Median and 99th percentile, beside those of the reference.
func report(_ name: String, _ values: [Duration], _ unit: FigureUnit, against reference: String, _ others: [Duration]) {
    for (percentile, share) in [("p50", 0.5), ("p99", 0.99)] {
        Figure(
            "\(name), \(percentile)",
            values.percentile(share) / unit.microseconds,
            unit.rawValue,
            against: reference,
            others.percentile(share) / unit.microseconds
        ).report()
    }
}

enum FigureUnit: String {
    case microseconds = "µs"
    case milliseconds = "ms"

    var microseconds: Double { self == .microseconds ? 1 : 1000 }
}
