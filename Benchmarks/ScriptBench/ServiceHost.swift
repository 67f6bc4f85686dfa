import BenchmarkSupport
import Foundation
import LauncherProtocol
import ScriptExecution

/// The script service in a process of its own, so that what it has in memory is nobody else's.
enum ServiceHost {
    static let argument = "--service"
    /// As often as a server in a hurry asks.
    private static let pause = Duration.milliseconds(50)

    /// One line a script: its ticket and its body's file; answers with `started`, and with `over` at its end.
    static func run(_ arguments: [String]) async throws {
        let benched = BenchedService(
            home: arguments[0],
            launcher: arguments[1],
            arguments: ["--policy", "standard"] + BenchedService.unlimited
        )
        let lines = AsyncStream<String>.makeStream()
        Thread.detachNewThread {
            while let line = readLine() { lines.continuation.yield(line) }
            lines.continuation.finish()
        }
        try await withThrowingTaskGroup { group in
            group.addTask { await benched.service.run() }
            for await line in lines.stream {
                let words = line.split(separator: " ", maxSplits: 1).map(String.init)
                try await benched.start(String(contentsOfFile: words[1], encoding: .utf8), words[0])
                answer("started")
                var next: Int64 = 0
                while true {
                    let status = try await benched.service.status(ticket: words[0], after: next, generation: .v2)
                    next = status.nextLogSequence
                    if status.state == .complete { break }
                    try await Task.sleep(for: pause)
                }
                await benched.end(words[0])
                answer("over")
            }
            group.cancelAll()
        }
    }

    private static func answer(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }
}

/// The other end of a ``ServiceHost``.
final class HostedService {
    private let stage: ScriptStage
    private let home: String
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ stage: ScriptStage) throws {
        self.stage = stage
        home = stage.path("hosted")
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        process.executableURL = URL(fileURLWithPath: ScriptStage.ownPath)
        process.arguments = [ServiceHost.argument, home, stage.launcher]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    var processID: Int32 { process.processIdentifier }

    func start(_ body: String, _ ticket: String) throws {
        let file = stage.path("body")
        try body.write(toFile: file, atomically: false, encoding: .utf8)
        try input.fileHandleForWriting.write(contentsOf: Data("\(ticket) \(file)\n".utf8))
        try expect("started")
    }

    func end() throws { try expect("over") }

    private func expect(_ text: String) throws {
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard line == text + "\n" else { throw Tool.Failure(description: "the service says \(line), not \(text)") }
    }

    func supervisor(of ticket: String) throws -> Int32 {
        try BenchedService(home: home, launcher: stage.launcher, arguments: []).supervisor(of: ticket)
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
