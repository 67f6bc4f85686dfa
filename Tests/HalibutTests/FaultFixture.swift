import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import Logging
import SecureTransport
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// A client and a service in either mode with a forwarder between them, and everything that must be gone after a fault.
struct FaultFixture: Sendable {
    enum Mode: Sendable, CaseIterable {
        case listening, polling

        /// Which way requests go.
        var requests: FaultyForwarder.Direction { self == .listening ? .toListener : .toDialler }
        var responses: FaultyForwarder.Direction { self.requests.opposite }
    }

    static let subscription = "poll://abc123/"

    let mode: Mode
    let service: EchoService
    let client: HalibutClient
    let trust: TrustedPeers
    let endPoint: ServiceEndPoint
    let forwarder: FaultyForwarder
    let log: LogCollector
    /// Where data streams of both sides are spooled.
    let spoolPath: String
    /// The polling service's task.
    private let running: Task<Void, any Error>
    /// Connections of our subscription at the listener.
    let subscriberCount: @Sendable () -> Int

    /// Runs client, service and forwarder until the body returns; then looks for what they left behind.
    ///
    /// The forwarder is armed with `trigger`, or holds the first connect, before the service dials.
    static func with(
        _ mode: Mode,
        client clientLimits: HalibutLimits = .brisk,
        service serviceLimits: HalibutLimits = .brisk,
        connections: Int = 1,
        refusing: Bool = false,
        trigger: FaultyForwarder.Trigger? = nil,
        holdsFirstConnect: Bool = false,
        disk: Disk = Disk(),
        _ body: @Sendable (FaultFixture) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "faults-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (service, log) = (EchoService(), LogCollector())
        func configuration(_ limits: HalibutLimits) -> HalibutConfiguration {
            let spool = SpoolDirectory(parent: directory) { disk.write($0, $1) }
            return HalibutConfiguration(limits: limits, spool: spool, logger: log.logger)
        }
        let client = try HalibutClient(
            identity: TestIdentities.client,
            configuration: configuration(clientLimits)
        )
        let trust = TrustedPeers([TestIdentities.client.thumbprint, TestIdentities.service.thumbprint])
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: mode == .listening ? TestIdentities.service : TestIdentities.client,
            trust: trust,
            dispatcher: mode == .listening ? service : nil,
            pollingQueues: mode == .listening ? nil : client.pollingQueues,
            configuration: configuration(mode == .listening ? serviceLimits : clientLimits)
        )
        let serviceConfiguration = configuration(serviceLimits)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            let target = try await listener.boundPort
            try await FaultyForwarder.with(to: target, refusing: refusing) { forwarder in
                if let trigger { forwarder.arm(trigger) }
                if holdsFirstConnect { forwarder.armHeldConnect() }
                let through = "https://127.0.0.1:\(forwarder.port)/"
                var endPoint = try ServiceEndPoint(
                    mode == .listening ? through : Self.subscription,
                    remoteThumbprint: TestIdentities.service.thumbprint
                )
                endPoint.retryListeningSleepInterval = .milliseconds(1)
                endPoint.retryCountLimit = 100
                var server = try ServiceEndPoint(through, remoteThumbprint: TestIdentities.client.thumbprint)
                server.retryListeningSleepInterval = .milliseconds(1)
                let polling = try PollingService(
                    subscription: Self.subscription,
                    server: server,
                    identity: TestIdentities.service,
                    dispatcher: service,
                    connections: connections,
                    configuration: serviceConfiguration
                )
                let running = Task { if mode == .polling { try await polling.run() } }
                let fixture = FaultFixture(
                    mode: mode,
                    service: service,
                    client: client,
                    trust: trust,
                    endPoint: endPoint,
                    forwarder: forwarder,
                    log: log,
                    spoolPath: directory,
                    running: running,
                    subscriberCount: { listener.connectionCount(ofSubscription: Self.subscription) }
                )
                do {
                    try await body(fixture)
                } catch {
                    await fixture.stopService()
                    throw error
                }
                try await fixture.expectNothingLeft()
            }
            group.cancelAll()
            while let _ = await group.nextResult() {}
        }
    }

    /// Tells the polling service to stop, as its owner does.
    func cancelService() { self.running.cancel() }

    func stopService() async {
        self.running.cancel()
        _ = await self.running.result
    }

    /// After everybody has stopped: no connection, no file, no queued call.
    private func expectNothingLeft() async throws {
        await self.stopService()
        await self.client.close()
        try await self.forwarder.untilOpen(atMost: 0)
        try await untilAsync { self.trust.openConnectionCount == 0 }
        try await untilAsync { self.spooledFiles.isEmpty }
        #expect(self.subscriberCount() == 0)
        #expect(self.client.idleConnectionCount == 0)
        #expect(self.client.pollingQueues.depth(ofSubscription: Self.subscription) == 0)
    }

    var spooledFiles: [String] {
        let files = FileManager.default
        let directories = (try? files.contentsOfDirectory(atPath: self.spoolPath)) ?? []
        return directories.flatMap { (try? files.contentsOfDirectory(atPath: "\(self.spoolPath)/\($0)")) ?? [] }
    }

    // MARK: Calls

    func call(
        _ method: String,
        _ parameters: [BSONValue] = [],
        _ streams: [OutgoingDataStream] = [],
        to endPoint: ServiceEndPoint? = nil
    ) async throws -> RPCResponse {
        try await self.client.call(
            endPoint ?? self.endPoint,
            service: "IEchoService",
            method: method,
            parameters: parameters,
            streams: streams
        )
    }

    @discardableResult
    func hello(_ text: String = "x") async throws -> Bool {
        try await self.call("SayHello", [.string(text)]).value == .string("\(text)...")
    }

    /// A call that may meet what the fault left of a connection; it fails as a network error until that is cleared away.
    func helloAtLast(_ text: String = "after") async throws {
        while true {
            do {
                #expect(try await self.hello(text))
                return
            } catch let error as HalibutError where error.isNetworkError {
                try Task.checkCancellation()
            }
        }
    }

    /// Makes a call that waits at a gate, and does something once it is there; `body` opens the gate.
    func waiting<Result: Sendable>(
        _ name: String,
        _ body: @Sendable (Gate) async throws -> Result
    ) async throws -> Result {
        let gate = self.service.gate(name)
        async let response = self.call("Wait", [.string(name)])
        await gate.untilArrivals(1)
        let result = try await body(gate)
        _ = try await response
        return result
    }

    /// How often a call with this first argument was executed.
    func executions(_ text: String) -> Int {
        self.service.received.count { $0.parameters.first == .string(text) }
    }

    /// What became of a call.
    enum Outcome: Equatable, CustomStringConvertible {
        case answered
        case failed(HalibutError.Code, HalibutError.Phase)

        var description: String {
            switch self {
            case .answered: "answered"
            case .failed(let code, let phase): "\(code) while \(phase)"
            }
        }

        static let brokeWhileTransferring = Outcome.failed(.network, .transferring)
        static let brokeWhileConnecting = Outcome.failed(.network, .connecting)

        init(_ body: () async throws -> Void) async throws {
            do {
                try await body()
                self = .answered
            } catch let error as HalibutError {
                self = .failed(error.code, error.phase)
            }
        }
    }
}

/// The disk under both sides' spool directories.
final class Disk: Sendable {
    private let full = Atomic<Bool>(false)

    var isFull: Bool {
        get { self.full.load(ordering: .relaxed) }
        set { self.full.store(newValue, ordering: .relaxed) }
    }

    /// As `SpoolDirectory` wants it.
    func write(_ descriptor: CInt, _ vectors: UnsafeBufferPointer<iovec>) -> Int {
        if self.isFull { return -Int(ENOSPC) }
        let count = writev(descriptor, vectors.baseAddress, CInt(vectors.count))
        return count < 0 ? -Int(errno) : count
    }
}

/// Where the records of a clean conversation lie: two calls over one connection.
///
/// Everything up to the first request has the same length each time; a request's own length depends a little on how well
/// its random id is compressed.
struct CleanRun: Sendable {
    /// By direction: the identity (with the opening, if it goes to the listener), then the rest of the conversation.
    private(set) var identity: [FaultyForwarder.Direction: Range<Int>]
    /// Bytes of the whole conversation.
    private(set) var total: [FaultyForwarder.Direction: Int]

    /// Where the first request or response begins.
    func message(_ direction: FaultyForwarder.Direction) -> Int { self.identity[direction]?.upperBound ?? 0 }

    private static let listening = Task { try await CleanRun(.listening) }
    private static let polling = Task { try await CleanRun(.polling) }

    static func of(_ mode: FaultFixture.Mode) async throws -> CleanRun {
        try await (mode == .listening ? Self.listening : Self.polling).value
    }

    private init(_ mode: FaultFixture.Mode) async throws {
        let found = Watched(CleanRun(identity: [:], total: [:]))
        try await FaultFixture.with(mode) { fixture in
            let connection = try await fixture.waiting("g") { gate in
                let connection = try await fixture.forwarder.connection(1)
                let (requests, responses) = (connection.records(mode.requests), connection.records(mode.responses))
                let (request, response) = (try #require(requests.dropLast().last), try #require(responses.last))
                found.change { $0.identity = [mode.requests: request, mode.responses: response] }
                gate.open()
                return connection
            }
            try await fixture.hello()
            for direction in FaultyForwarder.Direction.allCases {
                found.change { $0.total[direction] = connection.bytes(direction) }
            }
        }
        self = found.value
    }

    private init(identity: [FaultyForwarder.Direction: Range<Int>], total: [FaultyForwarder.Direction: Int]) {
        self.identity = identity
        self.total = total
    }
}
