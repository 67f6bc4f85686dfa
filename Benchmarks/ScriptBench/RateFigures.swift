import BenchmarkSupport
import Foundation
import ScriptExecution

/// How many scripts a second one agent runs, each from its start to its removal.
struct RateFigures {
    private static let scripts = 200
    private static let atOnce = 8
    private static let body = "true\n"

    let stage: ScriptStage

    func run() async throws {
        let script = stage.path("true")
        try Self.body.write(toFile: script, atomically: false, encoding: .utf8)
        for (name, width) in [("one after the other", 1), ("\(Self.atOnce) at once", Self.atOnce)] {
            let bare = try await blocking { try Self.bare(script, width: width) }
            for policy in ["none", "standard"] {
                let rate = try await stage.withService(policy: policy) { try await Self.rate($0, width: width) }
                Figure(
                    "scripts a second, \(policy), \(name)",
                    rate,
                    "1/s",
                    against: "fork and exec of bash, \(name)",
                    bare
                ).report()
            }
        }
    }

    private static func rate(_ benched: BenchedService, width: Int) async throws -> Double {
        let startedAt = ContinuousClock.now
        try await withThrowingTaskGroup { group in
            for lane in 0..<width {
                group.addTask {
                    for number in 0..<scripts / width {
                        let ticket = "\(lane)-\(number)"
                        try await benched.start(body, ticket, wait: .seconds(60))
                        await benched.service.complete(ticket: ticket)
                    }
                }
            }
            try await group.waitForAll()
        }
        return Double(scripts) / (ContinuousClock.now - startedAt).seconds
    }

    private static func bare(_ script: String, width: Int) throws -> Double {
        let startedAt = ContinuousClock.now
        var running: [pid_t] = []
        for _ in 0..<scripts {
            if running.count == width { try BareShell.end(running.removeFirst()) }
            running.append(try BareShell.start(script))
        }
        for child in running { try BareShell.end(child) }
        return Double(scripts) / (ContinuousClock.now - startedAt).seconds
    }
}
