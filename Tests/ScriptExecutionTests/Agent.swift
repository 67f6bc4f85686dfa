import CLinux
import Foundation
import Glibc
import ProcessTesting
import Testing

/// The script service in a process that is killed and started again; whoever asked one that was killed asks the next.
actor Agent {
    struct Gone: Error {}

    struct Answer: Decodable, Sendable {
        var id: Int
        var error: String?
        var state: Int?
        var exitCode: Int32?
        var next: Int64?
        var lines: [String]?
    }

    private let program: String
    private let arguments: [String]
    private let marker: String
    private var process: RunningProgram?
    private var input: Int32 = -1
    private var nextID = 0
    private var waiting: [Int: CheckedContinuation<Answer, any Error>] = [:]

    init(program: String, arguments: [String], marker: String) {
        self.program = program
        self.arguments = arguments
        self.marker = marker
        signal(SIGPIPE, SIG_IGN)
    }

    var processIdentifier: Int32? { process?.processIdentifier }

    func start() throws {
        var ends: [Int32] = [-1, -1]
        try #require(clinux_pipe(&ends) == 0)
        defer { close(ends[0]) }
        input = ends[1]
        let process = try RunningProgram(
            program,
            arguments,
            environment: ["MARKER": marker],
            input: .descriptor(ends[0])
        )
        self.process = process
        Task {
            while let line = await process.line(containing: "{") {
                if let answer = try? JSONDecoder().decode(Answer.self, from: Data(line.utf8)) { self.arrived(answer) }
            }
            let outcome = await process.outcome()
            if self.process === process {
                Issue.record("the agent ended by itself: \(outcome.status) \(outcome.errors.suffix(2000))")
                await self.kill()
            }
        }
    }

    /// From its start to its end, also when the body fails.
    nonisolated func whileRunning<Value>(_ body: () async throws -> Value) async throws -> Value {
        try await start()
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await kill()
        return try result.get()
    }

    private func arrived(_ answer: Answer) { waiting.removeValue(forKey: answer.id)?.resume(returning: answer) }

    func kill() async {
        guard let process else { return }
        self.process = nil
        process.send(signal: SIGKILL)
        close(input)
        await process.exited()
        let left = waiting
        waiting = [:]
        for continuation in left.values { continuation.resume(throwing: Gone()) }
    }

    func ask(
        _ operation: String,
        _ ticket: String,
        after: Int64 = 0,
        body: String = "",
        full: Bool = false,
        file: String? = nil
    ) async throws -> Answer {
        guard process != nil else { throw Gone() }
        nextID += 1
        let id = nextID
        var members: [String: Any] = [
            "id": id, "operation": operation, "ticket": ticket, "after": after, "body": body, "full": full,
        ]
        members["file"] = file
        let line = Array(try JSONSerialization.data(withJSONObject: members)) + [0x0A]
        return try await withCheckedThrowingContinuation { continuation in
            waiting[id] = continuation
            _ = write(input, line, line.count)
        }
    }
}
