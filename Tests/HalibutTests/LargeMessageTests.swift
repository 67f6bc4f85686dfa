import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import NIOCore
import NIOPosix
import Testing

@Suite("Large messages", .timeLimit(.minutes(4)))
struct LargeMessageTests {
    @Test("while a large message is decoded, other connections of its event loop are served")
    func doesNotHoldUpOthers() async throws {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let service = EchoService()
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers([TestIdentities.client.thumbprint]),
            dispatcher: service,
            configuration: HalibutConfiguration(eventLoopGroup: loops, logger: .quiet)
        )
        // A few packets on the wire, and a long time to decode.
        let element = BSONDocument.Element(key: "a", value: .null)
        let request = RequestMessage(
            id: "large",
            activityID: .zero,
            endPoint: nil,
            service: "IEchoService",
            method: "Nothing",
            parameters: [.document(BSONDocument(elements: Array(repeating: element, count: 1_000_000)))]
        )
        let bytes = try Array(MessageEncoder().encoded(request.document).readableBytesView)
        try await withThrowingTaskGroup { group in
            group.addTask { try await listener.run() }
            let port = try await listener.boundPort
            let large = try await RawConnection.open(port: port, identity: TestIdentities.client)
            large.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
            try await large.until("MX-SERVER 1.0\r\n\r\n")
            let probe = try HalibutClient(identity: TestIdentities.client)
            let endPoint = try ServiceEndPoint(
                "https://127.0.0.1:\(port)",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            func call() async throws {
                _ = try await probe.call(endPoint, service: "IEchoService", method: "SayHello", parameters: ["x"])
            }
            try await call()
            let pulse = Watched(Pulse())
            let ticks = loops.next().scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(1)) { _ in
                pulse.change { $0.beat() }
            }
            try await pulse.until { $0.isBeating }
            large.send(bytes)
            while !service.received.contains(where: { $0.id == "large" }) { try await call() }
            ticks.cancel()
            // Decoded on the loop, most of the time would lie between two beats.
            #expect(pulse.value.longestPause < pulse.value.duration / 2, "\(pulse.value)")
            await large.close()
            await probe.close()
            group.cancelAll()
        }
        try await loops.shutdownGracefully()
    }

    /// When an event loop had time.
    private struct Pulse {
        private let began = ContinuousClock.now
        private var last: ContinuousClock.Instant?
        private(set) var longestPause = Duration.zero

        var isBeating: Bool { self.last != nil }
        var duration: Duration { self.last.map { $0 - self.began } ?? .zero }

        mutating func beat() {
            let now = ContinuousClock.now
            if let last { self.longestPause = max(self.longestPause, now - last) }
            self.last = now
        }
    }
}
