/// `scheme://host[:port][/path]`, enough of a URI for server and agent addresses.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    package var scheme: String
    /// Lower case; an IPv6 address stands in brackets.
    package var host: String
    package var port: Int
    /// Starts with `/`.
    package var path: String

    package init(scheme: String, host: String, port: Int, path: String = "/") {
        self.scheme = scheme.lowercased()
        self.host = host.lowercased()
        self.port = port
        self.path = path
    }

    /// Nil for a text without scheme or host.
    package init?(_ text: String) {
        let text = text.drop { $0.isWhitespace }
        guard let separator = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard let first = scheme.first, first.isLetter, scheme.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "+" })
        else { return nil }
        let rest = text[separator.upperBound...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        var authority = rest[..<end]
        if let user = authority.lastIndex(of: "@") { authority = authority[authority.index(after: user)...] }
        guard let (host, port) = Self.split(authority) else { return nil }
        var path = String(rest[end...])
        while path.last?.isWhitespace == true { path.removeLast() }
        self.init(
            scheme: scheme,
            host: host,
            port: port ?? Self.defaultPort(of: scheme),
            path: path.hasPrefix("/") ? path : "/" + path
        )
    }

    private static func split(_ authority: Substring) -> (host: String, port: Int?)? {
        var authority = authority
        while authority.last?.isWhitespace == true { authority.removeLast() }
        let hostEnd = authority.first == "[" ? authority.firstIndex(of: "]") : nil
        let colon = authority[(hostEnd ?? authority.startIndex)...].lastIndex(of: ":")
        let host = String(authority[..<(colon ?? authority.endIndex)])
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return nil }
        guard let colon, case let digits = authority[authority.index(after: colon)...], !digits.isEmpty else {
            return (host, nil)
        }
        guard let port = UInt16(digits), port > 0 else { return nil }
        return (host, Int(port))
    }

    package static func defaultPort(of scheme: String) -> Int {
        switch scheme {
        case "https", "wss": 443
        case "http", "ws": 80
        default: -1
        }
    }

    private var portText: String {
        self.port == Self.defaultPort(of: self.scheme) ? "" : ":\(self.port)"
    }

    /// Without path, as polling addresses are written; the port stands there even when it is the scheme's own.
    package var withPort: String { "\(self.scheme)://\(self.host):\(self.port)" }

    /// As .NET prints a URI: lower-case host, no default port, at least `/` as path.
    package var description: String { "\(self.scheme)://\(self.host)\(self.portText)\(self.path)" }
}
