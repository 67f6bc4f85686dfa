import BenchmarkSupport
import Foundation

/// What launcher and service have in memory, while a script sleeps and while it prints 100 MB/s.
///
/// The service is this program once more (``ServiceHost``): only it and the launchers are in that process, no network.
struct MemoryFigures {
    private static let launcherBudget = 4.0
    private static let growthBudget = 8.0
    /// 100 MB/s for six seconds.
    private static let stream = Producer(milliseconds: 2, bytes: 200_000, pieces: 3000)
    private static let looks = 100

    let stage: ScriptStage

    func run() async throws {
        let host = try HostedService(stage)
        defer { host.stop() }
        let signpost = try Signpost(stage.path("signpost"))
        for round in 1...2 {
            try host.start(signpost.script + signpost.waiting, "idle")
            _ = try await signpost.passed()
            // Behind a quiet time it gives back what only the start needed.
            try await Task.sleep(for: .seconds(1))
            // The second time: what the first script needed for ever is not this one's.
            if round == 2 { try reportIdle(host) }
            signpost.release()
            try host.end()
        }
        try await stream(host)
    }

    private func reportIdle(_ host: HostedService) throws {
        let launcher = try host.supervisor(of: "idle")
        let memory = try Memory(of: launcher)
        let budget = Self.launcherBudget
        Figure("launcher of a sleeping script, RSS", memory.resident, "MB", against: "budget", budget).report()
        guard let keeper = try Memory.children(of: launcher).first else { return }
        let shell = try Memory.children(of: keeper).first.map { try Memory(of: $0) }
        let bash = "bash that sleeps"
        let kept = try Memory(of: keeper)
        Figure("launcher of a sleeping script, PSS", memory.proportional, "MB", against: bash, shell?.proportional ?? 0)
            .report()
        Figure("its keeper, RSS", kept.resident, "MB", against: bash, shell?.resident ?? 0).report()
        Figure("its keeper, PSS", kept.proportional, "MB", against: bash, shell?.proportional ?? 0).report()
    }

    private func stream(_ host: HostedService) async throws {
        let service = host.processID
        try Memory.forgetPeak(of: service)
        let before = try Memory(of: service)
        try host.start(Self.stream.script, "stream")
        var launcher: [Memory] = []
        while launcher.count < Self.looks {
            try await Task.sleep(for: .milliseconds(50))
            guard let process = try? host.supervisor(of: "stream"), let memory = try? Memory(of: process) else { break }
            launcher.append(memory)
        }
        try host.end()
        let after = try Memory(of: service)
        guard launcher.count > Self.looks / 2, let last = launcher.last else {
            throw Tool.Failure(description: "the script that prints 100 MB/s ended early")
        }
        let name = "while 100 MB/s are printed and read"
        Figure("launcher's peak RSS \(name)", last.peak, "MB", against: "budget", Self.launcherBudget).report()
        Figure("launcher's PSS \(name)", last.proportional, "MB", against: "budget", Self.launcherBudget).report()
        Figure("service's peak RSS \(name)", after.peak, "MB", against: "before", before.resident).report()
        Figure(
            "growth of the service's RSS \(name)",
            after.peak - before.resident,
            "MB",
            against: "budget",
            Self.growthBudget
        ).report()
    }
}
