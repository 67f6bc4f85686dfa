/// One request to a server, complete.
package struct HTTPRequest: Hashable, Sendable {
    package var method: String
    package var url: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]?

    package init(
        _ method: String,
        _ url: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8]? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.method == right.method && left.url == right.url && left.body == right.body
            && left.headers.elementsEqual(right.headers, by: ==)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.method)
        hasher.combine(self.url)
        hasher.combine(self.body)
    }
}

package struct HTTPResponse: Hashable, Sendable {
    package var status: Int
    /// `Set-Cookie` lines as received.
    package var cookies: [String]
    package var location: String?
    package var body: [UInt8]
    /// The server's clock, seconds since 1970, where it said what it is.
    package var date: Int?
    /// The certificate that the server showed, as PEM; only for requests that ask for it.
    package var certificate: String?
    /// The literal address that answered.
    package var address: String?

    package init(status: Int, cookies: [String] = [], location: String? = nil, body: [UInt8] = []) {
        self.status = status
        self.cookies = cookies
        self.location = location
        self.body = body
    }
}

/// Why no answer came.
package struct TransportError: Error, Equatable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Name unknown, connection refused, reset or lost: may be over soon.
        case unreachable
        case timedOut
        /// The server's certificate is not accepted, or TLS could not be agreed on.
        case tls
        case invalidURL
        case other
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { self.message }
}

/// How requests leave this host.
package struct TransportOptions: Hashable, Sendable {
    package enum Proxy: Hashable, Sendable {
        /// `http_proxy` and its relatives.
        case fromEnvironment
        case direct
        case custom(host: String, port: Int, username: String?, password: String?)
    }

    package var proxy = Proxy.fromEnvironment
    /// For `--ignoreSslErrors`, and for the connectivity check, which only asks whether somebody answers.
    package var acceptsAnyCertificate = false
    /// The answer tells which certificate the server showed.
    package var showsCertificate = false
    /// File with the certificates of the authorities to believe, nil for the system's.
    package var authorities: String?
    package var connectTimeout = Duration.seconds(30)
    /// Of one whole request (spec 12.2).
    package var requestTimeout = Duration.seconds(600)

    package init() {}
}

/// The network as the client sees it; tests bring their own.
package protocol HTTPTransport: Sendable {
    func send(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) -> HTTPResponse
}
