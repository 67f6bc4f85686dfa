import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import NIOCore
import SecureTransport
import Testing

@Suite("What a listener says to whom, byte for byte", .timeLimit(.minutes(4)))
struct ListenerWireTests {
    /// Opens a connection as the trusted client, or as somebody else.
    private func with(
        identity: TLSIdentity? = TestIdentities.client,
        tls: Bool = true,
        limits: HalibutLimits = .brisk,
        log: LogCollector = LogCollector(),
        _ body: @Sendable (RawConnection, ListeningPair) async throws -> Void
    ) async throws {
        try await ListeningPair.with(limits: limits, logger: log.logger) { pair in
            let connection = try await RawConnection.open(port: pair.port, identity: identity, tls: tls)
            try await body(connection, pair)
            await connection.close()
        }
    }

    private func request(_ method: String, _ parameters: [BSONValue] = []) throws -> [UInt8] {
        let message = RequestMessage(
            id: "1",
            activityID: UUID(),
            endPoint: nil,
            service: "IEchoService",
            method: method,
            parameters: parameters
        )
        var buffer = ByteBuffer()
        let encoder = MessageEncoder()
        try encoder.encode(.document(message.document), into: &buffer)
        return Array(buffer.readableBytesView)
    }

    @Test(
        "anybody gets the friendly page",
        arguments: [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /handshake HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "HELLO\r\n\r\n",
        ]
    )
    func friendlyPage(_ text: String) async throws {
        try await with(identity: nil) { connection, _ in
            connection.send(text)
            let page = await connection.untilClosed()
            #expect(
                page.hasPrefix("HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 39\r\n")
            )
            #expect(page.contains("\r\nX-Frame-Options: DENY\r\n"))
            #expect(page.hasSuffix("\r\n\r\n<html><body><p>Hello!</p></body></html>\r\n\r\n"))
        }
    }

    @Test("who sends no more still gets the whole page")
    func friendlyPageAfterHalfClosure() async throws {
        // More than what is written in one go.
        let html = String(repeating: "0123456789abcdef", count: 1 << 17)
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.service,
            trust: TrustedPeers([]),
            friendlyPage: FriendlyPage(html: html)
        )
        try await withThrowingTaskGroup { group in
            group.addTask { try await listener.run() }
            let connection = try await RawConnection.open(port: listener.boundPort, identity: nil)
            connection.send("GET / HTTP/1.0\r\n\r\n")
            connection.closeOutput()
            let page = await Array(connection.untilClosed().utf8)
            let isWhole = Array(page.suffix(html.utf8.count + 4)) == Array("\(html)\r\n\r\n".utf8)
            #expect(isWhole)
            group.cancelAll()
        }
    }

    @Test("a client without a certificate, or with an untrusted one, gets zero bytes")
    func zeroBytes() async throws {
        let log = LogCollector()
        for identity in [nil, TestIdentities.stranger] {
            try await with(identity: identity, log: log) { connection, _ in
                connection.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
                #expect(await connection.untilClosed().isEmpty)
            }
        }
        #expect(log.messages.contains { $0.contains("did not present a client certificate") })
        #expect(log.messages.contains { $0.contains("with the thumbprint '\(TestIdentities.stranger.thumbprint)'") })
    }

    @Test("bytes that are not TLS are closed at once")
    func notTLS() async throws {
        try await with(tls: false) { connection, _ in
            connection.send("GET / HTTP/1.0\r\n\r\n")
            #expect(!(await connection.untilClosed().contains("200 OK")))
        }
    }

    @Test(
        "openings of both kinds of newline, with the identity in the same record",
        arguments: ["MX\r\n\r\n", "MX\n\n"]
    )
    func openings(_ opening: String) async throws {
        try await with { connection, _ in
            connection.send(opening + "MX-CLIENT 1.0\r\n\r\n")
            try await connection.until("MX-SERVER 1.0\r\n\r\n")
        }
    }

    @Test("byte by byte, with a blank line before NEXT")
    func dripping() async throws {
        try await with { connection, pair in
            for byte in Array("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n".utf8) { connection.send([byte]) }
            try await connection.until("MX-SERVER 1.0\r\n\r\n")
            for byte in try request("Nothing") { connection.send([byte]) }
            for byte in Array("\r\nNEXT\r\n".utf8) { connection.send([byte]) }
            try await connection.until("PROCEED\r\n")
            #expect(pair.service.received.map(\.method) == ["Nothing"])
        }
    }

    @Test("END, a null request and the end of the stream close quietly")
    func quietEnds() async throws {
        let log = LogCollector()
        try await with(log: log) { connection, _ in
            connection.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
            connection.send(try request("Nothing") + Array("END\r\n".utf8))
            _ = await connection.untilClosed()
        }
        try await with(log: log) { connection, _ in
            connection.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
            connection.send(MessageEncoder.nullMessage)
            #expect(await connection.untilClosed() == "MX-SERVER 1.0\r\n\r\n")
        }
        #expect(!log.messages.contains { $0.contains("The connection ended") })
    }

    @Test(
        "a broken conversation is closed and its reason logged",
        arguments: [
            ("MX-FOO 1.0\r\n\r\n", "unknown identity type: 'MX-FOO'"), ("\r\n\r\n", "the identity line was empty"),
            ("MX-CLIENT 1.0\r\n\r\n\u{07}\u{07}\u{07}\u{07}", "not a valid deflate stream"),
            ("MX-SUBSCRIBER 1.0\r\n\r\n", "did not supply a subscription ID"),
            ("MX-SERVER 1.0\r\n\r\n", "Unexpected remote identity: Server"),
            (String(repeating: "x", count: 20_001), "longer than 20000 bytes"),
        ]
    )
    func broken(_ text: String, _ reason: String) async throws {
        let log = LogCollector()
        try await with(log: log) { connection, _ in
            connection.send("MX\r\n\r\n" + text)
            _ = await connection.untilClosed()
            try await log.until(reason)
        }
    }

    @Test("a word that is neither NEXT nor END is logged and closed")
    func wrongWord() async throws {
        let log = LogCollector()
        try await with(log: log) { connection, _ in
            connection.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
            connection.send(try request("Nothing") + Array("FOO\r\n".utf8))
            _ = await connection.untilClosed()
            try await log.until("Expected NEXT or END, got: FOO")
        }
    }

    @Test("a client that says nothing is dropped when its time is up")
    func silence() async throws {
        var limits = HalibutLimits.brisk
        limits.receiveTimeout = .milliseconds(100)
        let log = LogCollector()
        try await with(limits: limits, log: log) { connection, _ in
            #expect(await connection.untilClosed().isEmpty)
        }
    }

    @Test("a stranger cannot use up all places: one connection too many costs the oldest its own")
    func unidentifiedLimit() async throws {
        var limits = HalibutLimits.brisk
        limits.maximumUnidentifiedConnections = 1
        let log = LogCollector()
        try await with(limits: limits, log: log) { first, pair in
            let second = try await RawConnection.open(port: pair.port, identity: TestIdentities.client)
            #expect(await first.untilClosed().isEmpty)
            try await log.until("the oldest are reset")
            second.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
            try await second.until("MX-SERVER 1.0\r\n\r\n")
            // Who has identified itself does not count any more.
            let third = try await RawConnection.open(port: pair.port, identity: TestIdentities.client)
            third.send("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n")
            try await third.until("MX-SERVER 1.0\r\n\r\n")
            second.send(try request("Nothing") + Array("NEXT\r\n".utf8))
            try await second.until("PROCEED\r\n")
            await second.close()
            await third.close()
        }
    }

    @Test("an idle subscriber gets a NUL request from time to time")
    func nullRequests() async throws {
        var limits = HalibutLimits.brisk
        limits.pollingQueueWaitTimeout = .milliseconds(1)
        try await PollingPair.with(limits: limits, startsService: false) { pair in
            let connection = try await RawConnection.open(port: pair.port, identity: TestIdentities.service)
            connection.send("MX\r\n\r\nMX-SUBSCRIBER 1.0 poll://abc123/\r\n\r\n")
            var conversation = Array("MX-SERVER 1.0\r\n\r\n".utf8) + MessageEncoder.nullMessage
            try await connection.until(conversation)
            for _ in 0..<3 {
                connection.send("NEXT\r\n")
                conversation += Array("PROCEED\r\n".utf8) + MessageEncoder.nullMessage
                try await connection.until(conversation)
            }
            await connection.close()
        }
    }

    @Test("a subscriber that leaves while it waits does not take a call with it")
    func deadSubscriber() async throws {
        try await PollingPair.with(startsService: false) { pair in
            let connection = try await RawConnection.open(port: pair.port, identity: TestIdentities.service)
            connection.send("MX\r\n\r\nMX-SUBSCRIBER 1.0 poll://abc123/\r\n\r\n")
            try await connection.until("MX-SERVER 1.0\r\n\r\n")
            #expect(pair.listener.connectionCount(ofSubscription: "poll://abc123/") == 1)
            connection.send("END\r\n")
            #expect(await connection.untilClosed() == "MX-SERVER 1.0\r\n\r\n")
            try await untilAsync { pair.listener.connectionCount(ofSubscription: "poll://abc123/") == 0 }
        }
    }
}
