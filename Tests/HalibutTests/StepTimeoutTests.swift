import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import NIOCore
import NIOPosix
import SecureTransport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Each step of halibut.md 4's second table, with its own limit short and all others long.
@Suite("Which time-out guards which step", .timeLimit(.minutes(4)))
struct StepTimeoutTests {
    private static let short = Duration.milliseconds(100)
    private static let opening = "MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n"
    private static let subscription = "MX\r\n\r\nMX-SUBSCRIBER 1.0 poll://abc123/\r\n\r\n"
    private static let server = Array("MX-SERVER 1.0\r\n\r\n".utf8)

    private func limits(_ change: (inout HalibutLimits) -> Void) -> HalibutLimits {
        var limits = HalibutLimits.brisk
        change(&limits)
        return limits
    }

    /// Tries a short receive time-out first, and longer ones until the conversation comes as far as it has to.
    ///
    /// A handshake has the same time-out as what the test is about, and on a busy machine may take long.
    private func growingReceiveTimeout(_ isGood: (HalibutLimits) async throws -> Bool) async throws -> Bool {
        for factor in [1, 8, 64] {
            if try await isGood(self.limits({ $0.receiveTimeout = Self.short * factor })) { return true }
        }
        return try await isGood(self.limits { $0.receiveTimeout = Self.short * 256 })
    }

    private func document(_ document: BSONDocument) throws -> [UInt8] {
        var buffer = ByteBuffer()
        try MessageEncoder().encode(.document(document), into: &buffer)
        return Array(buffer.readableBytesView)
    }

    private func request() throws -> [UInt8] {
        try document(
            RequestMessage(
                id: "1",
                activityID: UUID(),
                endPoint: nil,
                service: "IEchoService",
                method: "Nothing",
                parameters: []
            ).document
        )
    }

    // MARK: The listener's steps

    /// Says something to a listener and waits until it hangs up; what the listener had said.
    private func untilHungUp(
        _ limits: HalibutLimits,
        tls: Bool = true,
        _ converse: @Sendable (RawConnection) async throws -> Void = { _ in }
    ) async throws -> String {
        try await ListeningPair.with(limits: limits) { pair in
            let connection: RawConnection
            do {
                connection = try await RawConnection.open(port: pair.port, identity: TestIdentities.client, tls: tls)
            } catch is NIOConnectionError {
                // The listener was quicker than we.
                return ""
            }
            try await converse(connection)
            return await connection.untilClosed()
        }
    }

    @Test("listener: handshake, opening and identity have the receive time-out")
    func beforeIdentity() async throws {
        let limits = limits { $0.receiveTimeout = Self.short }
        #expect(try await untilHungUp(limits, tls: false) == "")
        #expect(try await untilHungUp(limits) { $0.send("MX\r\n") } == "")
        #expect(try await untilHungUp(limits) { $0.send("MX\r\n\r\nMX-CLI") } == "")
    }

    @Test("listener: all of that together has the identification time-out, however the bytes come")
    func identification() async throws {
        let limits = limits { $0.identificationTimeout = Self.short }
        #expect(try await untilHungUp(limits, tls: false) { $0.send([0x16, 0x03]) } == "")
        #expect(try await untilHungUp(limits) { $0.send("M") } == "")
        #expect(try await untilHungUp(limits) { $0.send("MX\r\n\r\nMX-CLI") } == "")
    }

    @Test("listener: the first byte of a request has the idle time-out")
    func idle() async throws {
        let limits = limits { $0.nextRequestIdleTimeout = Self.short }
        #expect(try await untilHungUp(limits) { $0.send(Self.opening) } == "MX-SERVER 1.0\r\n\r\n")
    }

    @Test("listener: the rest of a request, and NEXT after it, have the receive time-out")
    func insideRequest() async throws {
        let (opening, request) = (Array(Self.opening.utf8), try request())
        let server = String(decoding: Self.server, as: UTF8.self)
        let insideRequest = try await growingReceiveTimeout { limits in
            try await untilHungUp(limits) { $0.send(opening + request.dropLast()) } == server
        }
        #expect(insideRequest)
        let afterResponse = try await growingReceiveTimeout { limits in
            let said = try await untilHungUp(limits) { $0.send(opening + request) }
            return said.hasPrefix(server) && said != server
        }
        #expect(afterResponse)
    }

    @Test("listener: a subscriber's NEXT has the heartbeat time-out, its response the response time-out")
    func subscriber() async throws {
        let heartbeat = limits {
            $0.heartbeatTimeout = Self.short
            $0.pollingQueueWaitTimeout = .milliseconds(1)
        }
        try await PollingPair.with(limits: heartbeat, startsService: false) { pair in
            let connection = try await RawConnection.open(port: pair.port, identity: TestIdentities.service)
            connection.send(Self.subscription)
            #expect(await connection.untilClosed().hasPrefix("MX-SERVER 1.0\r\n\r\n"))
        }
        let response = limits { $0.receiveResponseTimeout = Self.short }
        try await PollingPair.with(limits: response, startsService: false) { pair in
            let connection = try await RawConnection.open(port: pair.port, identity: TestIdentities.service)
            connection.send(Self.subscription)
            let error = try await #require(throws: HalibutError.self) {
                try await pair.client.call(pair.endPoint, service: "IEchoService", method: "Nothing")
            }
            #expect(error.phase == .transferring)
            #expect(error.message.contains("Connection timed out"))
            _ = await connection.untilClosed()
        }
    }

    // MARK: The dialler's steps

    private func failure(
        _ limits: HalibutLimits,
        _ script: [RawListener.Line],
        versions: ClosedRange<TLSVersion> = .tls12 ... .tls13
    ) async throws -> HalibutError {
        let client = try HalibutClient(
            identity: TestIdentities.client,
            configuration: HalibutConfiguration(limits: limits, logger: .quiet)
        )
        return try await RawListener.with(identity: TestIdentities.service, versions: versions, script) { port in
            try await failure(client, port: port)
        }
    }

    private func failure(
        _ client: HalibutClient,
        port: Int,
        connectTimeout: Duration = .seconds(60)
    ) async throws -> HalibutError {
        var endPoint = try ServiceEndPoint(
            "https://127.0.0.1:\(port)/",
            remoteThumbprint: TestIdentities.service.thumbprint
        )
        endPoint.retryCountLimit = 1
        endPoint.tcpClientConnectTimeout = connectTimeout
        return try await #require(throws: HalibutError.self) {
            try await client.call(endPoint, service: "IEchoService", method: "Nothing")
        }
    }

    @Test("dialler: the TCP connection has the endpoint's own time-out, with upstream's text")
    func connecting() async throws {
        // Nobody accepts, and the one place in the queue is taken: the kernel ignores who comes after.
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var fillers: [CInt] = []
        defer { for filler in fillers { close(filler) } }
        let any = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        try #require(any.withSockAddr { bind(descriptor, $0, socklen_t($1)) } == 0)
        try #require(listen(descriptor, 0) == 0)
        let port = try #require(self.port(of: descriptor))
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        for _ in 0..<3 {
            let flags = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
            let filler = socket(AF_INET, flags, 0)
            fillers.append(filler)
            _ = address.withSockAddr { connect(filler, $0, socklen_t($1)) }
        }
        let client = try HalibutClient(
            identity: TestIdentities.client,
            configuration: HalibutConfiguration(limits: .brisk, logger: .quiet)
        )
        let error = try await failure(client, port: port, connectTimeout: .milliseconds(200))
        #expect(
            error.message
                == "An error occurred when sending a request to 'https://127.0.0.1:\(port)/', before the request could begin: The client was unable to establish the initial connection within the timeout 00:00:00.2000000."
        )
    }

    private func port(of descriptor: CInt) -> Int? {
        var address = [UInt8](repeating: 0, count: 128)
        var length = socklen_t(address.count)
        let status = address.withUnsafeMutableBytes { bytes in
            getsockname(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        return status == 0 ? Int(address[2]) << 8 | Int(address[3]) : nil
    }

    @Test("dialler: handshake and MX-SERVER have the receive time-out")
    func identity() async throws {
        let limits = limits { $0.receiveTimeout = Self.short }
        let client = try HalibutClient(
            identity: TestIdentities.client,
            configuration: HalibutConfiguration(limits: limits, logger: .quiet)
        )
        let handshake = try await FakeProxy.with(.reply("")) { silent in try await failure(client, port: silent.port) }
        #expect(handshake.message.hasSuffix("the peer did not finish the TLS handshake in time"))
        let identity = try await growingReceiveTimeout { limits in
            let message = try await failure(limits, []).message
            return message.contains("before the request could begin: ") && message.contains("Connection timed out")
        }
        #expect(identity)
    }

    @Test("dialler: the first byte of a response has the response time-out, the others the receive time-out")
    func response() async throws {
        let hello = RawListener.Line(after: Self.opening, say: Self.server)
        let first = try await failure(limits { $0.receiveResponseTimeout = Self.short }, [hello])
        #expect(first.message.contains("after the request began: "))
        let part = RawListener.Line(after: "", say: [0x63])
        let rest = try await growingReceiveTimeout { limits in
            let message = try await failure(limits, [hello, part]).message
            return message.contains("after the request began: ") && message.contains("Connection timed out")
        }
        #expect(rest)
    }

    @Test("polling service: PROCEED has the heartbeat time-out, the first byte of a request its own")
    func polling() async throws {
        let hello = RawListener.Line(after: Self.subscription, say: Self.server + MessageEncoder.nullMessage)
        let silent = RawListener.Line(after: Self.subscription, say: Self.server)
        for (limits, script) in [
            (limits { $0.heartbeatTimeout = Self.short }, [hello]),
            (limits { $0.receiveRequestTimeoutForPolling = Self.short }, [silent]),
        ] {
            let log = LogCollector()
            try await RawListener.with(identity: TestIdentities.client, script) { port in
                let service = try PollingService(
                    subscription: "poll://abc123/",
                    server: try ServiceEndPoint(
                        "https://127.0.0.1:\(port)/",
                        remoteThumbprint: TestIdentities.client.thumbprint
                    ),
                    identity: TestIdentities.service,
                    dispatcher: EchoService(),
                    configuration: HalibutConfiguration(limits: limits, logger: log.logger)
                )
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await service.run() }
                    try await log.until("Halibut client exception: Unable to read data from the transport connection")
                    group.cancelAll()
                }
            }
        }
    }

    @Test("a peer that speaks TLS 1.2 only, and hangs up without a word, is an ordinary one", arguments: [true, false])
    func oldPeer(_ old: Bool) async throws {
        let versions = old ? TLSVersion.tls12...TLSVersion.tls12 : .tls13 ... .tls13
        let bye = RawListener.Line(after: Self.opening, say: Self.server, hangsUp: true)
        let error = try await failure(.brisk, [bye], versions: versions)
        // A request that finds the peer gone already is answered by its kernel, with a reset.
        let ends = ["Attempted to read past the end of the stream", "Connection reset by peer", "Broken pipe"]
        #expect(ends.contains { error.message.contains("after the request began: \($0)") }, "\(error.message)")
        #expect(error.isNetworkError)
        let log = LogCollector()
        try await ListeningPair.with(logger: log.logger) { pair in
            let connection = try await RawConnection.open(
                port: pair.port,
                identity: TestIdentities.client,
                versions: versions
            )
            connection.send(Self.opening)
            try await connection.until(Self.server)
            connection.send(try request() + Array("NEXT\r\n".utf8))
            try await connection.until("PROCEED\r\n")
            try await connection.hangUp()
            _ = await connection.untilClosed()
        }
        #expect(!log.messages.contains { $0.contains("TLS") })
    }
}
