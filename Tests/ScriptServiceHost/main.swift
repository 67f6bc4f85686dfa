import Foundation
import Glibc
import Logging
import ScriptExecution

// The script service as a program of its own, so that a test can kill it: one JSON request a line on standard input, one
// JSON answer a line on standard output. Arguments: home, launcher, and more arguments for the launcher.

struct Request: Decodable, Sendable {
    var id: Int
    var operation: String
    var ticket: String
    var after: Int64?
    var body: String?
    var full: Bool?
    /// Path of a file that was received, moved into the workspace as `sub/received`.
    var file: String?
}

struct Answer: Encodable, Sendable {
    var id: Int
    var error: String?
    var state: Int?
    var exitCode: Int32?
    var next: Int64?
    var lines: [String]?
}

let home = CommandLine.arguments[1]
let workspaces = ScriptWorkspaces(homeDirectory: home) { text, _ in text }
let logger = Logger(label: "host") { StreamLogHandler.standardError(label: $0) }
let service = ScriptService(
    workspaces: workspaces,
    launcher: LauncherClient(
        workDirectory: home + "/Work",
        socketPath: home + "/absent.sock",
        executable: CommandLine.arguments[2],
        arguments: Array(CommandLine.arguments.dropFirst(3))
    ),
    configuration: .init(
        environment: ["PATH": "/usr/bin:/bin", "TENTACLE_TEST": ProcessInfo.processInfo.environment["MARKER"] ?? ""],
        pastScripts: PastScripts(homeDirectory: home)
    ),
    logger: logger
)
let cleaner = WorkspaceCleaner(service: service, workspaces: workspaces, logger: logger)

@Sendable func answer(_ request: Request) async -> Answer {
    do {
        let status: ScriptStatus
        switch request.operation {
        case "start":
            let start = ScriptStart(
                body: request.body ?? "",
                taskID: "ServerTasks-1",
                isolation: request.full == true ? .full : .none,
                mutexName: "torture",
                files: request.file.map { [.init(name: "sub/received", contents: .file(path: $0, length: 5))] } ?? []
            )
            status = try await service.start(start, ticket: request.ticket)
        case "cancel":
            status = try await service.cancel(ticket: request.ticket, after: request.after ?? 0, generation: .v2)
        case "complete":
            await service.complete(ticket: request.ticket)
            return Answer(id: request.id)
        case "clean":
            // Whatever is there is older than tomorrow.
            await cleaner.clean(olderThan: Date(timeIntervalSinceNow: 86_400))
            return Answer(id: request.id)
        default:
            if request.operation == "wait" { await service.waitUntilOver(ticket: request.ticket) }
            status = try await service.status(ticket: request.ticket, after: request.after ?? 0, generation: .v2)
        }
        return Answer(
            id: request.id,
            state: status.state.rawValue,
            exitCode: status.exitCode,
            next: status.nextLogSequence,
            lines: status.logs.map { "\($0.source.rawValue) \($0.text)" }
        )
    } catch {
        return Answer(id: request.id, error: "\(error)")
    }
}

let requests = AsyncStream<Request>.makeStream()
Thread.detachNewThread {
    while let line = readLine() {
        if let request = try? JSONDecoder().decode(Request.self, from: Data(line.utf8)) {
            requests.continuation.yield(request)
        }
    }
    requests.continuation.finish()
}
let answers = AsyncStream<[UInt8]>.makeStream()
await withDiscardingTaskGroup { group in
    group.addTask { await service.run() }
    // One writer, so that answers do not mix.
    group.addTask {
        for await line in answers.stream {
            var rest = line[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
    for await request in requests.stream {
        group.addTask {
            let text = (try? JSONEncoder().encode(await answer(request))) ?? Data()
            answers.continuation.yield(Array(text) + [0x0A])
        }
    }
    group.cancelAll()
}
