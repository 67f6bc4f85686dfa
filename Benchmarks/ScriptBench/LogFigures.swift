import BenchmarkSupport
import Foundation
import LauncherProtocol
import ScriptExecution

/// Megabytes of a script's output a second, into `Output.log` and out of it.
struct LogFigures {
    private static let megabytes = 512
    /// With its newline, 80 bytes.
    private static let line = String(repeating: "0123456789 abcde", count: 5).dropLast()
    private static let producer = "yes '\(line)' | head -c \(megabytes)M"

    let stage: ScriptStage

    func run() async throws {
        let limit = try bare("\(Self.producer) | cat >'\(stage.path("copy"))'")
        unlink(stage.path("copy"))
        try await stage.withService(policy: "standard", limits: BenchedService.unlimited) { benched in
            let written = try await write(benched)
            Figure("output written", written, "MB/s", against: "the same producer | cat > file", limit).report()
            let log = try benched.logPath("written")
            let counted = try bare("wc -l <'\(log)'")
            let readBack = try await read(benched, "written")
            Figure("output read back by status calls", readBack, "MB/s", against: "wc -l < Output.log", counted)
                .report()
            await benched.end("written")
            let through = try await writeAndRead(benched)
            Figure("output written and read at once", through, "MB/s", against: "the same producer | cat > file", limit)
                .report()
            await benched.end("through")
        }
    }

    private static func rate(_ startedAt: ContinuousClock.Instant) -> Double {
        Double(megabytes) * 1.048576 / (ContinuousClock.now - startedAt).seconds
    }

    private func bare(_ command: String) throws -> Double {
        let startedAt = ContinuousClock.now
        try Tool.run("/bin/bash", ["-c", command])
        return Self.rate(startedAt)
    }

    /// With a wait for the end, but of no longer than the answer's first page.
    private func write(_ benched: BenchedService) async throws -> Double {
        let startedAt = ContinuousClock.now
        try await benched.start(Self.producer, "written")
        await benched.service.waitUntilOver(ticket: "written")
        return Self.rate(startedAt)
    }

    private func read(_ benched: BenchedService, _ ticket: String) async throws -> Double {
        let startedAt = ContinuousClock.now
        try await readAll(benched, ticket)
        return Self.rate(startedAt)
    }

    private func writeAndRead(_ benched: BenchedService) async throws -> Double {
        let startedAt = ContinuousClock.now
        try await benched.start(Self.producer, "through")
        try await readAll(benched, "through")
        return Self.rate(startedAt)
    }

    /// As a server does that asks again at once; every line is counted.
    private func readAll(_ benched: BenchedService, _ ticket: String) async throws {
        var (next, lines) = (Int64(0), 0)
        while true {
            let status = try await benched.service.status(ticket: ticket, after: next, generation: .v2)
            next = status.nextLogSequence
            lines += status.logs.count { $0.text.utf8.count == Self.line.utf8.count }
            if status.state == .complete { break }
        }
        let expected = Self.megabytes << 20 / (Self.line.utf8.count + 1)
        guard lines == expected else {
            throw Tool.Failure(description: "\(lines) of \(expected) lines were read")
        }
    }
}
