import BenchmarkSupport
import CBenchmark
import Foundation
import Halibut
import HalibutProtocol
import NIOPosix
import SecureTransport

/// How often a call allocates memory, and how much of a processor it takes, on each side.
struct AllocationFigures {
    private static let calls = 2000

    let stage: Stage

    func run() async throws {
        let service = try OtherSide(stage)
        defer { try? service.stop() }
        let client = try stage.makeClient()
        let listening = try stage.listening(Int(try service.ask(.listen)))
        let polling = try stage.polling()
        let bare = try await BareTLS.Connection(
            port: Int(try service.ask(.listenBare)),
            context: TLSContext(client: stage.client),
            group: MultiThreadedEventLoopGroup.singleton
        )
        let trust = TrustedPeers([stage.service.thumbprint])
        let listener = stage.makePollingListener(client, trust: trust)
        try await withThrowingTaskGroup { group in
            group.addTask { try await listener.run() }
            try await service.ask(.poll(port: listener.boundPort, count: 1, withoutPause: false))
            let limit = try await measure(service) { _ = try await bare.exchanges(count: $0, bytes: 400) }
            let listeningCosts = try await measure(service) {
                for _ in 0..<$0 { try await client.echo(listening) }
            }
            let pollingCosts = try await measure(service) {
                for _ in 0..<$0 { try await client.echo(polling) }
            }
            listeningCosts.report("call, listening, warm", limit)
            pollingCosts.report("call, polling, warm", limit)
            group.cancelAll()
            while await group.nextResult() != nil {}
        }
        try await bare.close()
        await client.close()
    }

    /// Per call.
    private struct Costs {
        var near = 0.0
        var far = 0.0
        var nearMicroseconds = 0.0
        var farMicroseconds = 0.0

        func report(_ name: String, _ limit: Costs) {
            let bare = "TLS round trip"
            Figure("\(name), client's allocations", near, "", against: bare, limit.near).report()
            Figure("\(name), service's allocations", far, "", against: bare, limit.far).report()
            Figure("\(name), client's CPU", nearMicroseconds, "µs", against: bare, limit.nearMicroseconds).report()
            Figure("\(name), service's CPU", farMicroseconds, "µs", against: bare, limit.farMicroseconds).report()
        }
    }

    private func measure(_ service: OtherSide, _ calls: (Int) async throws -> Void) async throws -> Costs {
        try await calls(Self.calls)
        let (near, far) = (benchmark_allocations(), try service.ask(.allocations))
        try await calls(Self.calls)
        let (nearAfter, farAfter) = (benchmark_allocations(), try service.ask(.allocations))
        let (usage, farUsage) = (try Usage.now(), try service.usage())
        try await calls(Self.calls)
        let (usageAfter, farUsageAfter) = (try Usage.now(), try service.usage())
        let number = Double(Self.calls)
        return Costs(
            near: Double(nearAfter - near) / number,
            far: (farAfter - far) / number,
            nearMicroseconds: (usageAfter.cpuSeconds - usage.cpuSeconds) / number * 1_000_000,
            farMicroseconds: (farUsageAfter.cpuSeconds - farUsage.cpuSeconds) / number * 1_000_000
        )
    }
}
