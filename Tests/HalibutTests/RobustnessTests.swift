import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import Logging
import NIOCore
import NIOPosix
import SecureTransport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

@Suite("Connections that break, and peers that must not get in", .timeLimit(.minutes(4)))
struct RobustnessTests {
    private func hello(
        _ client: HalibutClient,
        _ endPoint: ServiceEndPoint,
        _ text: String = "x"
    ) async throws -> BSONValue {
        try await client.call(endPoint, service: "IEchoService", method: "SayHello", parameters: [.string(text)]).value
    }

    @Test("a pooled connection that died is replaced, and the call runs once")
    func redial() async throws {
        try await ListeningPair.with { pair in
            _ = try await hello(pair.client, pair.endPoint, "a")
            // Resets the pooled connection behind the client's back.
            pair.trust.removeTrust(TestIdentities.client.thumbprint)
            pair.trust.trust(TestIdentities.client.thumbprint)
            #expect(try await hello(pair.client, pair.endPoint, "b") == "b...")
            #expect(pair.service.received.map { $0.parameters } == [["a"], ["b"]])
        }
    }

    @Test("a connection that breaks after the request began is an error, and the call never runs twice")
    func neverTwice() async throws {
        try await ListeningPair.with { pair in
            let gate = pair.service.gate("g")
            let error = try await withThrowingTaskGroup(of: HalibutError.self) { group in
                group.addTask {
                    try await #require(throws: HalibutError.self) {
                        try await pair.client.call(
                            pair.endPoint,
                            service: "IEchoService",
                            method: "Wait",
                            parameters: ["g"]
                        )
                    }
                }
                await gate.untilArrivals(1)
                pair.trust.removeTrust(TestIdentities.client.thumbprint)
                return try await #require(group.next())
            }
            #expect(
                error.message.hasPrefix(
                    "An error occurred when sending a request to '\(pair.endPoint.baseURI)', after the request began: "
                )
            )
            #expect(error.phase == .transferring)
            #expect(error.isNetworkError)
            gate.open()
            pair.trust.trust(TestIdentities.client.thumbprint)
            _ = try await hello(pair.client, pair.endPoint)
            #expect(pair.service.received.count == 2)
        }
    }

    @Test("parallel calls to one service use parallel connections")
    func parallel() async throws {
        try await ListeningPair.with { pair in try await exerciseParallel(pair.client, pair.endPoint, pair.service) }
    }

    @Test("four polling connections run four calls at a time")
    func parallelPolling() async throws {
        try await PollingPair.with(connections: 4) { pair in
            try await exerciseParallel(pair.client, pair.endPoint, pair.service)
        }
    }

    private func exerciseParallel(
        _ client: HalibutClient,
        _ endPoint: ServiceEndPoint,
        _ service: EchoService
    ) async throws {
        let gate = service.gate("g")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    _ = try await client.call(endPoint, service: "IEchoService", method: "Wait", parameters: ["g"])
                }
            }
            await gate.untilArrivals(4)
            gate.open()
            try await group.waitForAll()
        }
    }

    @Test("cancelling a call closes its connection; the service keeps executing")
    func cancel() async throws {
        try await ListeningPair.with { pair in try await exerciseCancel(pair.client, pair.endPoint, pair.service) }
        try await PollingPair.with { pair in try await exerciseCancel(pair.client, pair.endPoint, pair.service) }
    }

    private func exerciseCancel(
        _ client: HalibutClient,
        _ endPoint: ServiceEndPoint,
        _ service: EchoService
    ) async throws {
        let gate = service.gate("g")
        let error = try await withThrowingTaskGroup(of: HalibutError.self) { group in
            group.addTask {
                try await #require(throws: HalibutError.self) {
                    try await client.call(endPoint, service: "IEchoService", method: "Wait", parameters: ["g"])
                }
            }
            await gate.untilArrivals(1)
            group.cancelAll()
            return try await #require(group.next())
        }
        gate.open()
        #expect(error.code == .cancelled)
        #expect(error.message == "The Request was cancelled while Transferring.")
        #expect(try await hello(client, endPoint) == "x...")
    }

    @Test("a polling service that lost its connection comes back")
    func reconnect() async throws {
        try await PollingPair.with { pair in
            _ = try await hello(pair.client, pair.endPoint)
            for _ in 0..<3 {
                pair.trust.removeTrust(TestIdentities.service.thumbprint)
                pair.trust.trust(TestIdentities.service.thumbprint)
                #expect(try await hello(pair.client, pair.endPoint) == "x...")
            }
        }
    }

    @Test("an idle polling connection lives on NUL requests")
    func nullRequests() async throws {
        var limits = HalibutLimits.brisk
        limits.pollingQueueWaitTimeout = .milliseconds(20)
        limits.receiveRequestTimeoutForPolling = .milliseconds(500)
        let log = LogCollector()
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        try await PollingPair.with(limits: limits, logger: log.logger) { pair in
            // It must live longer than the service waits for a first byte; on a busy machine not always at once.
            var failures: Int
            repeat {
                try await helloAtLast(pair)
                failures = log.count(of: "Halibut client exception")
                try await loop.scheduleTask(in: .milliseconds(700)) {}.futureResult.get()
            } while log.count(of: "Halibut client exception") > failures
                || pair.listener.connectionCount(ofSubscription: "poll://ABC123") != 1
        }
    }

    @Test("without NUL requests the polling service gives up and dials again")
    func silentServer() async throws {
        var limits = HalibutLimits.brisk
        limits.receiveRequestTimeoutForPolling = .milliseconds(100)
        let log = LogCollector()
        try await PollingPair.with(limits: limits, logger: log.logger) { pair in
            try await log.until("Connection timed out")
            try await helloAtLast(pair)
        }
    }

    /// A call may still be handed to a connection that is being given up at that moment.
    private func helloAtLast(_ pair: PollingPair) async throws {
        while true {
            do {
                #expect(try await hello(pair.client, pair.endPoint) == "x...")
                return
            } catch let error as HalibutError where error.isNetworkError {
                try Task.checkCancellation()
            }
        }
    }

    @Test("a request that nobody collects times out with upstream's text")
    func pickupTimeout() async throws {
        try await PollingPair.with(startsService: false) { pair in
            var endPoint = pair.endPoint
            endPoint.pollingRequestQueueTimeout = .milliseconds(50)
            let error = try await #require(throws: HalibutError.self) { try await hello(pair.client, endPoint) }
            #expect(error.code == .pickupTimeout)
            #expect(
                error.message
                    == "A request was sent to a polling endpoint, but the polling endpoint did not collect the request within the allowed time (00:00:00.0500000), so the request timed out."
            )
        }
    }

    @Test("a queued call can be cancelled before it is collected")
    func cancelQueued() async throws {
        try await PollingPair.with(startsService: false) { pair in
            let error = try await withThrowingTaskGroup(of: HalibutError.self) { group in
                group.addTask {
                    try await #require(throws: HalibutError.self) { try await hello(pair.client, pair.endPoint) }
                }
                try await untilAsync { pair.client.pollingQueues.depth(ofSubscription: "poll://abc123/") == 1 }
                group.cancelAll()
                return try await #require(group.next())
            }
            #expect(error.message == "The Request was cancelled while Connecting.")
            #expect(pair.client.pollingQueues.depth(ofSubscription: "poll://abc123/") == 0)
        }
    }

    @Test("a wrong server certificate: upstream's text, one attempt")
    func wrongCertificate() async throws {
        let wrong = TestIdentities.stranger.thumbprint
        try await ListeningPair.with(expecting: wrong) { pair in
            let error = try await #require(throws: HalibutError.self) { try await hello(pair.client, pair.endPoint) }
            #expect(error.code == .unexpectedCertificate)
            #expect(error.phase == .connecting)
            #expect(!error.isNetworkError)
            #expect(
                error.message.contains(
                    "presented an unexpected security certificate. We expected the server to present a certificate with the thumbprint '\(wrong)'. Instead, it presented a certificate with a thumbprint of '\(TestIdentities.service.thumbprint)' and subject 'CN=Service'."
                )
            )
        }
    }

    @Test("an untrusted client is told by its own side what that usually means")
    func untrustedClient() async throws {
        let log = LogCollector()
        try await ListeningPair.with(clientIdentity: TestIdentities.stranger, logger: log.logger) { pair in
            let error = try await #require(throws: HalibutError.self) { try await hello(pair.client, pair.endPoint) }
            let thumbprint = TestIdentities.stranger.thumbprint
            #expect(error.message.contains("before the request could begin"))
            #expect(error.message.hasSuffix("We provided a certificate with a thumbprint of '\(thumbprint)'."))
            #expect(pair.service.received.isEmpty)
            try await log.until(
                "presented a client certificate with the thumbprint '\(thumbprint)' which is not in the list of thumbprints that we trust"
            )
        }
    }

    @Test("a refused connection is tried again and reported")
    func refused() async throws {
        let client = try HalibutClient(identity: TestIdentities.client, configuration: .quiet)
        var endPoint = try ServiceEndPoint("https://127.0.0.1:1/", remoteThumbprint: TestIdentities.service.thumbprint)
        endPoint.retryListeningSleepInterval = .milliseconds(1)
        let error = try await #require(throws: HalibutError.self) { try await hello(client, endPoint) }
        #expect(
            error.message
                == "An error occurred when sending a request to 'https://127.0.0.1:1/', before the request could begin: Connection refused (127.0.0.1:1)"
        )
    }

    @Test("discovery finds the thumbprint without showing a certificate")
    func discovery() async throws {
        try await ListeningPair.with { pair in
            let thumbprint = try await pair.client.discover(host: "127.0.0.1", port: pair.port)
            #expect(thumbprint == TestIdentities.service.thumbprint)
        }
    }

    @Test("a subscription is its owner's alone")
    func foreignSubscription() async throws {
        let log = LogCollector()
        let authorise: @Sendable (String, Thumbprint) -> Bool = { subscription, _ in subscription != "poll://abc123/" }
        try await PollingPair.with(logger: log.logger, authorise: authorise) { _ in
            try await log.until("is not the owner of subscription poll://abc123/")
        }
    }

    @Test("one connection more per subscription than allowed is turned away")
    func connectionLimit() async throws {
        var limits = HalibutLimits.brisk
        limits.maximumConnectionsPerSubscription = 2
        let log = LogCollector()
        try await PollingPair.with(limits: limits, connections: 3, logger: log.logger) { pair in
            try await log.until(
                "has exceeded the maximum number of active connections (2) for subscription poll://abc123/"
            )
            #expect(pair.listener.connectionCount(ofSubscription: "poll://abc123/") <= 2)
            #expect(try await hello(pair.client, pair.endPoint) == "x...")
        }
    }

    @Test("a port in use is one line that says what to do")
    func portInUse() async throws {
        try await ListeningPair.with { pair in
            let second = HalibutListener(
                host: "127.0.0.1",
                port: pair.port,
                identity: TestIdentities.service,
                trust: TrustedPeers(),
                dispatcher: EchoService(),
                configuration: .quiet
            )
            let error = try await #require(throws: HalibutError.self) { try await second.run() }
            #expect(
                error.message
                    == "Port \(pair.port) on 127.0.0.1 is in use: stop the program that listens there, or choose another port."
            )
            await #expect(throws: HalibutError.self) { try await second.boundPort }
        }
    }

    @Test("the default address takes IPv6 and IPv4")
    func dualStack() async throws {
        let service = HalibutListener(
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers([TestIdentities.client.thumbprint]),
            dispatcher: EchoService(),
            configuration: .quiet
        )
        let client = try HalibutClient(identity: TestIdentities.client, configuration: .quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            let endPoint = try ServiceEndPoint(
                "https://127.0.0.1:\(try await service.boundPort)/",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            #expect(try await hello(client, endPoint) == "x...")
            await client.close()
            group.cancelAll()
        }
    }

    private func option(_ descriptor: CInt, _ level: CInt, _ name: CInt) -> CInt {
        var value: CInt = -1
        var size = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(descriptor, level, name, &value, &size) == 0 ? value : -1
    }

    @Test("sockets are closed in programs that we start, and notice dead peers at both ends")
    func closeOnExec() async throws {
        try await ListeningPair.with { pair in
            _ = try await hello(pair.client, pair.endPoint)
            var found = 0
            // Among many tests descriptors have high numbers.
            let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap {
                CInt($0)
            }
            for descriptor in descriptors where self.isTCP(descriptor, port: pair.port) {
                found += 1
                #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0, "socket \(descriptor) would be inherited")
                guard option(descriptor, SOL_SOCKET, SO_ACCEPTCONN) == 0 else { continue }
                #expect(option(descriptor, SOL_SOCKET, SO_KEEPALIVE) != 0)
                #expect(option(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY) != 0)
                #expect(option(descriptor, CInt(IPPROTO_TCP), TCP_KEEPIDLE) == 15)
                #expect(option(descriptor, CInt(IPPROTO_TCP), TCP_KEEPINTVL) == 5)
                #expect(option(descriptor, CInt(IPPROTO_TCP), TCP_KEEPCNT) == 10)
            }
            // The listening socket and both ends of the connection.
            #expect(found == 3)
        }
    }

    /// Whether a descriptor is a TCP socket with this port at either end.
    private func isTCP(_ descriptor: CInt, port: Int) -> Bool {
        var ports: [Int] = []
        for name in [getsockname, getpeername] {
            var address = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name(descriptor, $0, &length) }
            }
            if status == 0, address.sin_family == AF_INET { ports.append(Int(UInt16(bigEndian: address.sin_port))) }
        }
        return ports.contains(port)
    }

    @Test("a file that shrank, or does not exist, fails the call and not the next one")
    func brokenFile() async throws {
        try await ListeningPair.with { pair in
            let stream = OutgoingDataStream(file: "/proc/self/cmdline", length: 1 << 20)
            let error = try await #require(throws: HalibutError.self) {
                try await pair.client.call(
                    pair.endPoint,
                    service: "IEchoService",
                    method: "CountBytes",
                    parameters: [stream.reference(typed: true)],
                    streams: [stream]
                )
            }
            #expect(error.message.contains("Data stream size mismatch detected during send."))
            #expect(throws: HalibutError.self) { try OutgoingDataStream(file: "/no/such/file") }
            #expect(try await hello(pair.client, pair.endPoint) == "x...")
        }
    }

    @Test("received files are private, outlive the call only by being moved or held")
    func spoolFiles() async throws {
        try await ListeningPair.with { pair in
            let path: String
            do {
                let response = try await pair.client.call(
                    pair.endPoint,
                    service: "IEchoService",
                    method: "Download",
                    parameters: [.int64(100_000)]
                )
                let stream = try #require(response.streams.values.first)
                path = stream.path
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
                #expect(throws: HalibutError.self) { try stream.readAll(limit: 99_999) }
            }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }
}

/// Keeps what is logged.
final class LogCollector: Sendable {
    private let lines = Watched<[String]>([])

    var messages: [String] { self.lines.value }

    func count(of part: String) -> Int { self.messages.count { $0.contains(part) } }

    /// Waits for a line, or finds one that came already.
    func until(_ part: String) async throws {
        try await self.lines.until { lines in lines.contains { $0.contains(part) } }
    }

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(collector: self) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let collector: LogCollector
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = self.metadata.merging(event.metadata ?? [:]) { $1 }
            self.collector.lines.change { $0.append("\(event.message) \(metadata)") }
        }
    }
}

/// Waits for a moment's work of other tasks that says nothing when it is done.
func untilAsync(_ condition: () -> Bool) async throws {
    while !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}
