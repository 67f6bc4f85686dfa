import BSON
import Halibut
import HalibutProtocol
import HalibutTesting
import SecureTransport
import Testing

@Suite("Dialling through an HTTP proxy", .timeLimit(.minutes(4)))
struct ProxyTests {
    private func hello(_ client: HalibutClient, _ endPoint: ServiceEndPoint) async throws -> BSONValue {
        try await client.call(endPoint, service: "IEchoService", method: "SayHello", parameters: ["x"]).value
    }

    private func failure(
        _ proxy: HTTPProxy,
        attempts: Int = 1,
        limits: HalibutLimits = .brisk
    ) async throws -> HalibutError {
        try await ListeningPair.with(limits: limits) { pair in
            var endPoint = pair.endPoint
            endPoint.proxy = proxy
            endPoint.retryCountLimit = attempts
            let error = try await #require(throws: HalibutError.self) { try await hello(pair.client, endPoint) }
            #expect(pair.service.received.isEmpty)
            #expect(error.phase == .connecting)
            return error
        }
    }

    @Test(
        "a call to a listening service, with and without credentials, with the reply in one piece or byte by byte",
        arguments: [nil, "dXNlcjpzZWNyZXQ="],
        [false, true]
    )
    func listening(_ credentials: String?, _ inPieces: Bool) async throws {
        try await FakeProxy.with(.tunnel(credentials: credentials, replyInPieces: inPieces)) { proxy in
            var settings = HTTPProxy(host: "127.0.0.1", port: proxy.port)
            if credentials != nil { (settings.userName, settings.password) = ("user", "secret") }
            let log = LogCollector()
            try await ListeningPair.with(logger: log.logger) { [settings] pair in
                try await exercise(pair, through: settings, proxy)
                let seen = pair.service.received.map { "\($0)" } + log.messages
                #expect(!seen.contains { $0.contains("secret") })
            }
        }
    }

    private func exercise(_ pair: ListeningPair, through settings: HTTPProxy, _ proxy: FakeProxy) async throws {
        var endPoint = pair.endPoint
        endPoint.proxy = settings
        #expect(try await hello(pair.client, endPoint) == "x...")
        #expect(try await hello(pair.client, endPoint) == "x...")
        // The second call took the first one's connection; a direct one is another endpoint to the pool.
        #expect(proxy.requests.count == 1)
        #expect(try await hello(pair.client, pair.endPoint) == "x...")
        #expect(proxy.requests.count == 1)
        let address = "127.0.0.1:\(pair.port)"
        #expect(proxy.requests[0].hasPrefix("CONNECT \(address) HTTP/1.0\r\nHost: \(address)\r\n"))
    }

    @Test("a polling service reaches its server")
    func polling() async throws {
        try await FakeProxy.with(.tunnel(credentials: "dXNlcjpzZWNyZXQ=")) { proxy in
            let through = HTTPProxy(host: "localhost", port: proxy.port, userName: "user", password: "secret")
            let said = try await PollingPair.with(proxy: through) { pair in
                try await hello(pair.client, pair.endPoint)
            }
            #expect(said == "x...")
            #expect(proxy.requests.count == 1)
        }
    }

    @Test("the certificate asked for is the endpoint's")
    func certificate() async throws {
        try await FakeProxy.with(.tunnel()) { proxy in
            try await ListeningPair.with(expecting: TestIdentities.stranger.thumbprint) { pair in
                var endPoint = pair.endPoint
                endPoint.proxy = HTTPProxy(host: "127.0.0.1", port: proxy.port)
                let error = try await #require(throws: HalibutError.self) { try await hello(pair.client, endPoint) }
                #expect(error.code == .unexpectedCertificate)
                #expect(proxy.requests.count == 1)
            }
        }
    }

    @Test("wrong credentials: upstream's text, one attempt")
    func wrongCredentials() async throws {
        try await FakeProxy.with(.tunnel(credentials: "dXNlcjpzZWNyZXQ=")) { proxy in
            let settings = HTTPProxy(host: "127.0.0.1", port: proxy.port, userName: "user", password: "hunter2")
            let error = try await failure(settings, attempts: 3)
            #expect(error.code == .proxy)
            #expect(error.retryability == .notANetworkError)
            #expect(
                error.message.hasSuffix(
                    "Proxy destination 127.0.0.1 on port \(proxy.port) responded with a 407 code - Proxy Authentication Required"
                )
            )
            #expect(!error.message.contains("hunter2"))
            #expect(proxy.requests.count == 1)
        }
    }

    @Test("a proxy that cannot reach the endpoint is asked again")
    func badGateway() async throws {
        try await FakeProxy.with(.reply("HTTP/1.1 502 Bad Gateway\r\n\r\n")) { proxy in
            let error = try await failure(HTTPProxy(host: "127.0.0.1", port: proxy.port), attempts: 3)
            #expect(error.code == .network)
            #expect(error.retryability == .networkError)
            #expect(
                error.message.hasSuffix(
                    "Proxy destination 127.0.0.1 on port \(proxy.port) responded with a 502 code - Bad Gateway.  If you are connecting to a Microsoft ISA destination please refer to knowledge based article Q283284 for more information.  Server response: Bad Gateway"
                )
            )
            #expect(proxy.requests.count == 3)
        }
    }

    @Test("something that is no HTTP proxy")
    func garbage() async throws {
        try await FakeProxy.with(.reply("220 mail.example ESMTP\r\n")) { proxy in
            let error = try await failure(HTTPProxy(host: "127.0.0.1", port: proxy.port))
            #expect(
                error.message.hasSuffix(
                    "No HTTP response received from proxy destination.  Server response: 220 mail.example ESMTP."
                )
            )
            #expect(error.code == .proxy)
            #expect(error.retryability == .notANetworkError)
        }
    }

    @Test("a proxy that hangs up in the middle", arguments: ["", "HTTP/1.1 200 OK\r\nVia: x\r\n"])
    func earlyEnd(_ reply: String) async throws {
        try await FakeProxy.with(.replyAndClose(Array(reply.utf8))) { proxy in
            let error = try await failure(HTTPProxy(host: "127.0.0.1", port: proxy.port), attempts: 2)
            #expect(
                error.message.hasSuffix(
                    "Proxy destination 127.0.0.1 on port \(proxy.port) closed the connection before its response was complete."
                )
            )
            #expect(error.isNetworkError)
            #expect(proxy.requests.count == 2)
        }
    }

    @Test("a proxy that falls silent, before and in the middle of its reply", arguments: ["", "HTTP/1.1 200 OK\r\n"])
    func stall(_ reply: String) async throws {
        var limits = HalibutLimits.brisk
        limits.proxyReadTimeout = .milliseconds(100)
        try await FakeProxy.with(.reply(reply)) { proxy in
            let error = try await failure(HTTPProxy(host: "127.0.0.1", port: proxy.port), limits: limits)
            #expect(
                error.message.hasSuffix(
                    "A timeout while waiting for the proxy server at 127.0.0.1 on port \(proxy.port) to respond."
                )
            )
            #expect(error.isNetworkError)
        }
    }

    @Test("what comes behind the reply is TLS's")
    func glued() async throws {
        let alert: [UInt8] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]
        try await FakeProxy.with(.replyAndClose(Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + alert)) { proxy in
            let error = try await failure(HTTPProxy(host: "127.0.0.1", port: proxy.port))
            #expect(error.message.contains("the TLS handshake failed"))
            #expect(error.message.contains("handshake failure"))
        }
    }

    @Test("a proxy that is not there, has no such name, or is written as a URL")
    func unreachable() async throws {
        // One on which nobody listens, and which no other test is given meanwhile.
        let port = 1
        let refused = try await failure(HTTPProxy(host: "127.0.0.1", port: port))
        #expect(
            refused.message.hasSuffix(
                ": Connection to proxy host 127.0.0.1 on port \(port) failed: Connection refused (127.0.0.1:\(port))"
            )
        )
        #expect(refused.isNetworkError)
        let unknown = try await failure(HTTPProxy(host: "no-such-host.invalid", port: 80))
        #expect(
            unknown.message.hasSuffix(
                ": Connection to proxy host no-such-host.invalid on port 80 failed: No such host is known: no-such-host.invalid"
            )
        )
        let url = try await failure(HTTPProxy(host: "http://proxy", port: 80), attempts: 3)
        #expect(url.message.hasSuffix(": The proxy's hostname cannot contain a protocol prefix (eg http://)"))
        #expect(url.retryability == .notANetworkError)
    }

    @Test("a call cancelled while the proxy thinks ends at once")
    func cancelled() async throws {
        try await FakeProxy.with(.reply("")) { proxy in
            try await ListeningPair.with { pair in
                var endPoint = pair.endPoint
                endPoint.proxy = HTTPProxy(host: "127.0.0.1", port: proxy.port)
                let error = try await withThrowingTaskGroup(of: HalibutError.self) { [endPoint] group in
                    group.addTask {
                        try await #require(throws: HalibutError.self) { try await hello(pair.client, endPoint) }
                    }
                    try await proxy.untilAsked()
                    group.cancelAll()
                    return try await #require(group.next())
                }
                #expect(error.message == "The Request was cancelled while Connecting.")
            }
        }
    }
}
