import Glibc
import OctopusClient
import Synchronization
import Testing

@Suite struct CurlTransportTests {
    private var options: TransportOptions {
        var options = TransportOptions()
        options.proxy = .direct
        return options
    }

    private func header(_ name: String, _ request: HTTPRequest) -> String? {
        request.headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    @Test("a request and its answer, headers and bytes", arguments: ["GET", "POST", "PUT", "DELETE"])
    func exchange(method: String) throws {
        let seen = Mutex<HTTPRequest?>(nil)
        let body: [UInt8]? = method == "GET" || method == "DELETE" ? nil : Array("{\"ü\":1}".utf8)
        let response = try SocketServer.with { request in
            seen.withLock { $0 = request }
            return HTTPResponse(status: 201, cookies: ["a=b; path=/", "c=d"], body: Array("answer".utf8))
        } _: { server in
            try CurlTransport().send(
                HTTPRequest(method, server.address + "/x?y=1", headers: [("X-Octopus-ApiKey", "API-1")], body: body),
                options: self.options
            )
        }
        let request = try #require(seen.withLock { $0 })
        #expect(request.method == method)
        #expect(request.url == "/x?y=1")
        #expect(request.body == body)
        #expect(self.header("X-Octopus-ApiKey", request) == "API-1")
        #expect(self.header("Expect", request) == nil)
        #expect(response == HTTPResponse(status: 201, cookies: ["a=b; path=/", "c=d"], body: Array("answer".utf8)))
    }

    @Test("a large body goes out and comes back whole")
    func large() throws {
        let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let response = try SocketServer.with {
            HTTPResponse(status: 200, body: $0.body ?? [])
        } _: { server in
            try CurlTransport().send(HTTPRequest("POST", server.address, body: body), options: self.options)
        }
        #expect(response.body == body)
    }

    @Test("an answer without end is cut off")
    func tooLarge() throws {
        let chunk = [UInt8](repeating: 0, count: 100_001)
        let error = try SocketServer.with { _ in
            HTTPResponse(status: 200, body: chunk)
        } _: { server in
            #expect(throws: TransportError.self) {
                try CurlTransport(maximumBytes: 100_000).send(HTTPRequest("GET", server.address), options: self.options)
            }
        }
        #expect(error?.message == "the answer is too large")
    }

    @Test("nobody listens")
    func refused() throws {
        let port = try SocketServer.with { _ in
            HTTPResponse(status: 200)
        } _: {
            $0.port
        }
        let error = #expect(throws: TransportError.self) {
            try CurlTransport().send(HTTPRequest("GET", "http://127.0.0.1:\(port)"), options: self.options)
        }
        #expect(error?.code == .unreachable)
    }

    @Test("headers without end are cut off, those of a large answer are not")
    func tooManyHeaders() throws {
        let cookie = "a=" + String(repeating: "x", count: 1022)
        func send(_ count: Int) throws -> HTTPResponse {
            try SocketServer.with { _ in
                HTTPResponse(status: 200, cookies: Array(repeating: cookie, count: count))
            } _: { server in
                try CurlTransport().send(HTTPRequest("GET", server.address), options: self.options)
            }
        }
        let error = #expect(throws: TransportError.self) {
            try send(CurlTransport.maximumHeaderBytes / cookie.utf8.count)
        }
        #expect(error?.message == "the answer is too large")
        #expect(try send(100).cookies.count == 100)
    }

    @Test("what answers is no web server: the address is not called invalid")
    func noWebServer() throws {
        let error = try SocketServer.with { _ in
            HTTPResponse(status: 0, body: Array("SSH-2.0-OpenSSH_9.2p1\r\n".utf8))
        } _: { server in
            #expect(throws: TransportError.self) {
                try CurlTransport().send(HTTPRequest("GET", server.address), options: self.options)
            }
        }
        #expect(error?.code == .other)
        #expect(error?.message.hasPrefix("something answers there that is no web server") == true)
    }

    @Test("a redirection is not followed: nobody else gets the key")
    func redirection() throws {
        try SocketServer.with { _ in
            HTTPResponse(status: 200)
        } _: { other in
            let response = try SocketServer.with { _ in
                HTTPResponse(status: 302, location: other.address)
            } _: { server in
                try CurlTransport().send(
                    HTTPRequest("GET", server.address, headers: [("X-Octopus-ApiKey", "API-KEY")]),
                    options: self.options
                )
            }
            #expect(response.status == 302)
            #expect(response.location == other.address)
        }
    }

    @Test("a server that speaks no TLS")
    func noTLS() throws {
        let error = try SocketServer.with { _ in
            HTTPResponse(status: 400)
        } _: { server in
            #expect(throws: TransportError.self) {
                try CurlTransport().send(HTTPRequest("GET", "https://127.0.0.1:\(server.port)"), options: self.options)
            }
        }
        #expect(error?.code == .tls)
    }

    @Test("addresses and headers that are none", arguments: ["ftp://127.0.0.1/", "http://", "file:///etc/passwd"])
    func invalid(url: String) {
        let error = #expect(throws: TransportError.self) {
            try CurlTransport().send(HTTPRequest("GET", url), options: self.options)
        }
        #expect(error?.code == .invalidURL)
        #expect(throws: TransportError.self) {
            try CurlTransport().send(
                HTTPRequest("GET", "http://127.0.0.1:1", headers: [("A", "b\r\nInjected: yes")]),
                options: self.options
            )
        }
    }

    @Test("a custom proxy gets the request")
    func proxy() throws {
        let seen = Mutex<HTTPRequest?>(nil)
        try SocketServer.with { request in
            seen.withLock { $0 = request }
            return HTTPResponse(status: 200)
        } _: { server in
            var options = TransportOptions()
            options.proxy = .custom(host: "127.0.0.1", port: server.port, username: "u", password: "p")
            _ = try CurlTransport().send(HTTPRequest("GET", "http://octopus.invalid/api"), options: options)
        }
        let request = try #require(seen.withLock { $0 })
        #expect(request.url == "http://octopus.invalid/api")
        #expect(self.header("Proxy-Authorization", request) == "Basic dTpw")
    }

    /// In a process of its own: the environment is everybody's.
    @Test("the environment's proxy is used only when it is asked for, its exceptions never with a configured one")
    func environmentProxy() async {
        await #expect(processExitsWith: .success) {
            let asked = Mutex<[String]>([])
            try SocketServer.with { request in
                asked.withLock { $0.append(request.url) }
                return HTTPResponse(status: 200)
            } _: { server in
                setenv("http_proxy", server.address, 1)
                var options = TransportOptions()
                options.connectTimeout = .seconds(5)
                _ = try CurlTransport().send(HTTPRequest("GET", "http://octopus.invalid/a"), options: options)
                options.proxy = .direct
                _ = try CurlTransport().send(HTTPRequest("GET", server.address + "/b"), options: options)
                #expect(throws: TransportError.self) {
                    try CurlTransport().send(HTTPRequest("GET", "http://octopus.invalid/c"), options: options)
                }
                setenv("no_proxy", "octopus.invalid", 1)
                options.proxy = .custom(host: "127.0.0.1", port: server.port, username: nil, password: nil)
                _ = try CurlTransport().send(HTTPRequest("GET", "http://octopus.invalid/d"), options: options)
            }
            #expect(asked.withLock { $0 } == ["http://octopus.invalid/a", "/b", "http://octopus.invalid/d"])
        }
    }
}
