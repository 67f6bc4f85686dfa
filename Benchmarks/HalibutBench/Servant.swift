import BenchmarkSupport
import CBenchmark
import Foundation
import Halibut
import HalibutProtocol
import NIOCore
import NIOPosix
import SecureTransport

/// The process behind an ``OtherSide``.
final class Servant {
    private let stage: Stage
    private let client: HalibutClient
    private let trust: TrustedPeers

    init(_ stage: Stage) throws {
        self.stage = stage
        client = try stage.makeClient()
        trust = TrustedPeers([stage.client.thumbprint, stage.service.thumbprint])
    }

    /// Answers until the standard input ends.
    func run() async throws {
        while let line = readLine() {
            let question = try JSONDecoder().decode(Question.self, from: Data(line.utf8))
            do {
                if case .usage = question { try write(Usage.now()) } else { try write(await answer(question)) }
            } catch {
                try write("\(error)")
            }
        }
    }

    private func write(_ answer: some Encodable) throws {
        FileHandle.standardOutput.write(try JSONEncoder().encode(answer) + Data("\n".utf8))
    }

    private func answer(_ question: Question) async throws -> Double {
        switch question {
        case .listen:
            let service = HalibutListener(
                host: "127.0.0.1",
                port: 0,
                identity: stage.service,
                trust: trust,
                dispatcher: BenchService(),
                configuration: stage.configuration()
            )
            Task { try await service.run() }
            return Double(try await service.boundPort)
        case .listenBare:
            let listener = try await BareTLS.listen(
                identity: stage.service,
                group: MultiThreadedEventLoopGroup.singleton
            )
            return Double(listener.localAddress?.port ?? 0)
        case .acceptPolling:
            let listener = stage.makePollingListener(client, trust: trust)
            Task { try await listener.run() }
            return Double(try await listener.boundPort)
        case .poll(let port, let count, let withoutPause):
            var limits = HalibutLimits()
            if withoutPause {
                limits.minimumPollingBackoff = .milliseconds(1)
                limits.maximumPollingBackoff = .milliseconds(1)
            }
            for number in 0..<count {
                let service = try stage.makePollingService(number, port: port, limits: limits)
                Task { try await service.run() }
            }
        case .keepCalling:
            let (client, endPoint) = (client, try stage.polling())
            Task { while true { try? await client.echo(endPoint) } }
        case .callAll(let count): return try await callAll(count)
        case .cut:
            trust.trustOnly([])
            trust.trustOnly([stage.client.thumbprint, stage.service.thumbprint])
        case .slowDisk(let bytesPerSecond, let bytes): benchmark_slow_disk(UInt64(bytesPerSecond), UInt64(bytes))
        case .forgetPeak: try Usage.forgetPeak()
        case .allocations: return Double(benchmark_allocations())
        case .usage: break
        }
        return 0
    }

    private func callAll(_ count: Int) async throws -> Double {
        let client = client
        let endPoints = try (0..<count).map { try stage.polling($0) }
        let startedAt = ContinuousClock.now
        try await withThrowingTaskGroup { group in
            for endPoint in endPoints { group.addTask { try await client.echo(endPoint) } }
            try await group.waitForAll()
        }
        return (ContinuousClock.now - startedAt).seconds
    }
}
