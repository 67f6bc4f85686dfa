import HalibutProtocol
import NIOCore
import Testing

@Suite("What a dialler says to an HTTP proxy, and what it makes of the reply")
struct ProxyConnectTests {
    private let peer = ProxyPeer(address: "192.0.2.7", port: 3128)

    private func machine(
        _ destination: String = "https://agent.example:10933/",
        userName: String? = nil,
        password: String? = nil,
        limits: HalibutLimits = HalibutLimits()
    ) throws -> ProxyConnect {
        ProxyConnect(
            to: try #require(EndPointURI(destination)),
            through: HTTPProxy(host: "proxy", port: 3128, userName: userName, password: password),
            limits: limits
        )
    }

    @Test(
        "the request, with credentials only if there is a user name",
        arguments: [
            ("https://agent.example:10933/", nil, nil, "agent.example:10933", ""),
            ("https://Agent.Example/", "", "secret", "agent.example:443", ""),
            ("https://[::1]:10933/", " ", nil, "[::1]:10933", ""),
            ("https://a:1/", "user", "p:w", "a:1", "Proxy-Authorization: Basic dXNlcjpwOnc=\r\n"),
            ("https://a:1/", "user", nil, "a:1", "Proxy-Authorization: Basic dXNlcjo=\r\n"),
        ] as [(String, String?, String?, String, String)]
    )
    func request(
        _ destination: String,
        _ userName: String?,
        _ password: String?,
        _ address: String,
        _ credentials: String
    ) throws {
        let request = try machine(destination, userName: userName, password: password).request
        #expect(String(buffer: request) == "CONNECT \(address) HTTP/1.0\r\nHost: \(address)\r\n\(credentials)\r\n")
    }

    @Test(
        "a tunnel, wherever the reply is split; the endpoint's first bytes stay",
        arguments: [
            "HTTP/1.0 200 Connection established\r\n\r\n", "HTTP/1.1 200\r\nServer: x\r\nVia: y\r\n\r\n",
            "HTTP/1.1  200  OK\r\n\r\n", "HTTP/1.0 200 OK\nServer: x\n\n",
        ]
    )
    func tunnel(_ reply: String) throws {
        let bytes = Array(reply.utf8) + [0x16, 0x03, 0x0d, 0x0a]
        for split in 0...bytes.count {
            var machine = try machine()
            var first = ByteBuffer(bytes: bytes[..<split])
            var second = ByteBuffer(bytes: bytes[split...])
            let whole = split >= reply.utf8.count
            #expect(machine.received(&first, from: peer) == (whole ? .established : .needMoreBytes))
            if !whole { #expect(machine.received(&second, from: peer) == .established) }
            first.writeBuffer(&second)
            #expect(Array(first.readableBytesView) == [0x16, 0x03, 0x0d, 0x0a])
        }
        var machine = try machine()
        for byte in reply.utf8.dropLast() {
            var one = ByteBuffer(bytes: [byte])
            #expect(machine.received(&one, from: peer) == .needMoreBytes)
        }
    }

    @Test(
        "anything else fails with upstream's text",
        arguments: [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n", .misconfigured,
                "Proxy destination 192.0.2.7 on port 3128 responded with a 407 code - Proxy Authentication Required"
            ),
            (
                "HTTP/1.1 502 Bad luck \r\nContent-Length: 3\r\n\r\nabc", .refused,
                "Proxy destination 192.0.2.7 on port 3128 responded with a 502 code - Bad Gateway.  If you are connecting to a Microsoft ISA destination please refer to knowledge based article Q283284 for more information.  Server response: Bad luck"
            ),
            (
                "HTTP/1.1 503\r\n", .refused,
                "Proxy destination 192.0.2.7 on port 3128 responded with a 503 code - "
            ),
            (
                "SSH-2.0-OpenSSH\r\n", .misconfigured,
                "No HTTP response received from proxy destination.  Server response: SSH-2.0-OpenSSH."
            ),
            (
                "HTTP/1.1\r\n", .misconfigured,
                "An invalid response code was received from proxy destination.  Server response: HTTP/1.1."
            ),
            (
                "HTTP/1.1 OK 200\r\n", .misconfigured,
                "An invalid response code was received from proxy destination.  Server response: HTTP/1.1 OK 200."
            ),
        ] as [(String, ProxyError.Kind, String)]
    )
    func refusals(_ reply: String, _ kind: ProxyError.Kind, _ text: String) throws {
        let bytes = Array(reply.utf8)
        for split in 0..<bytes.count {
            var machine = try machine()
            var buffer = ByteBuffer(bytes: bytes[..<split])
            var outcome = machine.received(&buffer, from: peer)
            if outcome == .needMoreBytes {
                buffer = ByteBuffer(bytes: bytes[split...])
                outcome = machine.received(&buffer, from: peer)
            }
            #expect(outcome == .fail(ProxyError(kind, text)))
        }
    }

    @Test("an early end is an error wherever it comes, and a status line says more than the end")
    func earlyEnd() throws {
        let closed = ProxyError(
            .network,
            "Proxy destination 192.0.2.7 on port 3128 closed the connection before its response was complete."
        )
        let reply = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"
        for length in 0..<reply.utf8.count where !(1..<"HTTP/1.1 200".utf8.count).contains(length) {
            var machine = try machine()
            var buffer = ByteBuffer(bytes: reply.utf8.prefix(length))
            #expect(machine.received(&buffer, from: peer) == .needMoreBytes)
            #expect(machine.ended(peer) == closed)
        }
        var machine = try machine()
        var buffer = ByteBuffer(string: "HTTP/1.1 407 No")
        _ = machine.received(&buffer, from: peer)
        #expect(
            machine.ended(peer).wireMessage
                == "Proxy destination 192.0.2.7 on port 3128 responded with a 407 code - No"
        )
    }

    @Test("silence, and a reply without an end")
    func bounds() throws {
        var silent = try machine()
        let timeout = silent.timedOut(peer)
        #expect(timeout.kind == .network)
        #expect(
            timeout.wireMessage == "A timeout while waiting for the proxy server at 192.0.2.7 on port 3128 to respond."
        )
        var limits = HalibutLimits()
        limits.maximumProxyReplyBytes = 40
        for prefix in ["HTTP/1.1 200 OK\r\nX: ", ""] {
            var long = try machine(limits: limits)
            var buffer = ByteBuffer(string: prefix + String(repeating: "x", count: 40 - prefix.utf8.count))
            #expect(long.received(&buffer, from: peer) == .needMoreBytes)
            buffer = ByteBuffer(string: "x")
            #expect(
                long.received(&buffer, from: peer)
                    == .fail(
                        ProxyError(
                            .misconfigured,
                            "Proxy destination 192.0.2.7 on port 3128 sent a response longer than 40 bytes."
                        )
                    )
            )
        }
    }

    @Test("after its end the machine stays where it is")
    func afterwards() throws {
        var failed = try machine()
        _ = failed.timedOut(peer)
        var buffer = ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")
        guard case .fail = failed.received(&buffer, from: peer) else {
            Issue.record("went on")
            return
        }
        var established = try machine()
        buffer = ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")
        #expect(established.received(&buffer, from: peer) == .established)
        buffer = ByteBuffer(string: "x")
        #expect(established.received(&buffer, from: peer) == .established)
        #expect(buffer.readableBytes == 1)
    }

    @Test("settings that cannot work say so; nothing printed shows the password")
    func settings() {
        #expect(HTTPProxy(host: "p", port: 1).problem == nil)
        #expect(
            HTTPProxy(host: "http://p", port: 1).problem?.wireMessage
                == "The proxy's hostname cannot contain a protocol prefix (eg http://)"
        )
        #expect(HTTPProxy(host: "", port: 1).problem?.kind == .misconfigured)
        for port in [0, -1, 65_536] {
            #expect(
                HTTPProxy(host: "p", port: port).problem?.wireMessage
                    == "ProxyPort value must be greater than zero and less than 65535"
            )
        }
        let proxy = HTTPProxy(host: "p", port: 1, userName: "u", password: "hunter2")
        var dumped = ""
        dump(proxy, to: &dumped)
        for text in ["\(proxy)", String(reflecting: proxy), dumped] { #expect(!text.contains("hunter2")) }
    }
}
