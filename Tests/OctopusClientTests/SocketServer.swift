import Glibc
import OctopusClient
import Synchronization

/// A small HTTP server on a port of its own, on a thread of its own: one connection at a time, one request each.
final class SocketServer: Sendable {
    typealias Handler = @Sendable (HTTPRequest) -> HTTPResponse

    let port: Int
    private let listener: CInt
    private let thread = Mutex<pthread_t?>(nil)

    var address: String { "http://127.0.0.1:\(self.port)" }

    struct Failure: Error {}

    init(_ handler: @escaping Handler) throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard listener >= 0, bound else { throw Failure() }
        self.listener = listener
        self.port = Int(UInt16(bigEndian: address.sin_port))
        let job = Unmanaged.passRetained(Job(listener: listener, handler: handler)).toOpaque()
        var thread = pthread_t()
        pthread_create(
            &thread,
            nil,
            { context in
                if let context { Unmanaged<Job>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            },
            job
        )
        self.thread.withLock { $0 = thread }
    }

    /// Ends the thread; the port is free afterwards.
    func stop() {
        shutdown(self.listener, CInt(SHUT_RDWR))
        if let thread = self.thread.withLock({ $0.take() }) { pthread_join(thread, nil) }
        close(self.listener)
    }

    /// Runs `body` with a server that is gone afterwards.
    static func with<Result>(_ handler: @escaping Handler, _ body: (SocketServer) throws -> Result) throws -> Result {
        let server = try SocketServer(handler)
        defer { server.stop() }
        return try body(server)
    }
}

private final class Job {
    let listener: CInt
    let handler: SocketServer.Handler

    init(listener: CInt, handler: @escaping SocketServer.Handler) {
        self.listener = listener
        self.handler = handler
    }

    func run() {
        while true {
            let connection = accept(self.listener, nil, nil)
            guard connection >= 0 else { return }
            if let request = Self.read(connection) { Self.write(self.handler(request), to: connection) }
            close(connection)
        }
    }

    private static func read(_ connection: CInt) -> HTTPRequest? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk[..<count]
            if let request = Self.parse(bytes) { return request }
        }
    }

    /// Nil until the request is complete.
    private static func parse(_ bytes: [UInt8]) -> HTTPRequest? {
        // A TLS hello: answered in plain text, as web servers do.
        if bytes.first == 0x16 { return HTTPRequest("TLS", "") }
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let start = lines[0].split(separator: " ")
        guard start.count == 3 else { return nil }
        let headers = lines.dropFirst().map { line -> (name: String, value: String) in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            return (String(line[..<colon]), String(line[colon...].dropFirst().drop { $0 == " " }))
        }
        let length = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
        let body = bytes[end.upperBound...]
        guard body.count >= length else { return nil }
        return HTTPRequest(String(start[0]), String(start[1]), headers: headers, body: length > 0 ? Array(body) : nil)
    }

    /// Status 0 is an answer of something that speaks no HTTP: its body alone.
    private static func write(_ response: HTTPResponse, to connection: CInt) {
        var head = "HTTP/1.1 \(response.status) X\r\nContent-Length: \(response.body.count)\r\nConnection: close\r\n"
        head += "Content-Type: application/json; charset=utf-8\r\n"
        for cookie in response.cookies { head += "Set-Cookie: \(cookie)\r\n" }
        if let location = response.location { head += "Location: \(location)\r\n" }
        var rest = ((response.status == 0 ? [] : Array((head + "\r\n").utf8)) + response.body)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
