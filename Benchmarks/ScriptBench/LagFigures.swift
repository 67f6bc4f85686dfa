import BenchmarkSupport
import Foundation
import ScriptExecution

/// How old a line is when a status call brings it.
struct LagFigures {
    private static let idle = Producer(milliseconds: 5, bytes: 0, pieces: 800)
    /// 50 MB/s.
    private static let flood = Producer(milliseconds: 2, bytes: 100_000, pieces: 2000)

    let stage: ScriptStage

    func run() async throws {
        for (name, producer) in [("idle", Self.idle), ("under 50 MB/s", Self.flood)] {
            let limit = try await ages(through: producer)
            let ages = try await stage.withService(policy: "standard", limits: BenchedService.unlimited) {
                try await self.ages($0, producer)
            }
            guard ages.count == producer.pieces, limit.count == producer.pieces else {
                throw Tool.Failure(description: "\(ages.count) of \(producer.pieces) lines came")
            }
            report("line to status call, \(name)", ages, .microseconds, against: "line through a pipe", limit)
        }
    }

    private func ages(_ benched: BenchedService, _ producer: Producer) async throws -> [Duration] {
        try await benched.start(producer.script, "lag")
        var (next, ages) = (Int64(0), [Duration]())
        while true {
            let status = try await benched.service.status(ticket: "lag", after: next, generation: .v2)
            next = status.nextLogSequence
            ages += status.logs.compactMap { Producer.age(of: $0.text.utf8) }
            if status.state == .complete { break }
        }
        await benched.end("lag")
        return ages
    }

    private func ages(through producer: Producer) async throws -> [Duration] {
        let script = stage.path("producer")
        try producer.script.write(toFile: script, atomically: false, encoding: .utf8)
        return try await blocking {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw Tool.Failure(description: "cannot make a pipe") }
            let child = try BareShell.start(script, output: ends[1])
            close(ends[1])
            defer { close(ends[0]) }
            var (ages, rest) = ([Duration](), [UInt8]())
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while case let count = read(ends[0], &buffer, buffer.count), count > 0 {
                rest += buffer[..<count]
                let end = rest.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
                ages += rest[..<end].split(separator: 0x0A).compactMap { Producer.age(of: $0) }
                rest.removeFirst(end)
            }
            try BareShell.end(child)
            return ages
        }
    }
}
