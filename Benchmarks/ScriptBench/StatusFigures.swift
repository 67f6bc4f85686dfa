import BenchmarkSupport
import Foundation
import LauncherProtocol
import ScriptExecution

/// What a status call for the last record costs, by how much log is before it.
struct StatusFigures {
    private static let calls = 2000

    let stage: ScriptStage

    func run() async throws {
        try await stage.withService(policy: "standard") { benched in
            let small = try await cost(benched, megabytes: 1)
            let large = try await cost(benched, megabytes: 1024)
            let reference = "1 MB log"
            report("status call at the end of 1 GB of log", large.times, .microseconds, against: reference, small.times)
            Figure("bytes it reads", large.bytes, "B", against: reference, small.bytes).report()
        }
    }

    private func cost(
        _ benched: BenchedService,
        megabytes: Int
    ) async throws -> (times: [Duration], bytes: Double) {
        let ticket = "log-\(megabytes)"
        try await benched.start("true\n", ticket, wait: .seconds(60))
        guard let directory = try benched.workspaces.open(ScriptTicketName(ticket)) else {
            throw Tool.Failure(description: "the workspace of \(ticket) is gone")
        }
        let writer = try OutputLogWriter(directory)
        var batch = OutputLogBatch()
        batch.begin(at: .now)
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 80)
        while batch.bytes.count < 1 << 20 { batch.append(.standardOutput, line, endsLine: true) }
        for _ in 0..<megabytes { try writer.append(batch.bytes) }
        let recordBytes = Int64(OutputLogRecord.prefixBytes + line.count + 1)
        let after = writer.length - recordBytes
        var times: [Duration] = []
        var before = 0.0
        for number in 0..<100 + Self.calls {
            if number == 100 {
                times = []
                before = try Self.bytesRead()
            }
            let startedAt = ContinuousClock.now
            let status = try await benched.service.status(ticket: ticket, after: after, generation: .v2)
            times.append(ContinuousClock.now - startedAt)
            guard status.logs.count == 1, status.nextLogSequence == after + recordBytes else {
                throw Tool.Failure(description: "\(status.logs.count) records behind \(after)")
            }
        }
        let bytes = (try Self.bytesRead() - before) / Double(Self.calls)
        await benched.end(ticket)
        return (times, bytes)
    }

    /// By all of this process's reads, from wherever.
    private static func bytesRead() throws -> Double {
        let text = try String(contentsOfFile: "/proc/self/io", encoding: .utf8)
        return text.firstMatch(of: #/rchar: (\d+)/#).flatMap { Double($0.output.1) } ?? 0
    }
}
