/// The address of a service in its normalised form, which is also the key of queues and pools (halibut.md 1).
///
/// Scheme, host and port only, lower-case, with the trailing slash that .NET prints.
package struct EndPointURI: Hashable, Sendable, CustomStringConvertible {
    /// The part before the colon: `https` or `poll`.
    package let scheme: String
    /// A name, an IPv4 address or an IPv6 address without its brackets.
    package let host: String
    package let port: Int?
    /// The text form, ending in a slash.
    package let text: String

    package init?(_ text: String) {
        guard let colon = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard let first = scheme.unicodeScalars.first, ("a"..."z").contains(first) else { return nil }
        let authority = text[colon.upperBound...].prefix { !"/?#".contains($0) }
        guard let (host, port) = Self.split(authority[...]), !host.isEmpty,
            !host.unicodeScalars.contains(where: { $0.properties.isWhitespace || "@[]".unicodeScalars.contains($0) })
        else { return nil }
        self.init(scheme: scheme, host: host, port: port)
    }

    package init(scheme: String, host: String, port: Int?) {
        self.scheme = scheme
        self.host = host.lowercased()
        self.port = port == Self.defaultPorts[scheme] ? nil : port
        let printedHost = self.host.contains(":") ? "[\(self.host)]" : self.host
        self.text = "\(scheme)://\(printedHost)\(self.port.map { ":\($0)" } ?? "")/"
    }

    /// Ports that .NET leaves out of the text.
    private static let defaultPorts = ["https": 443, "http": 80, "wss": 443, "ws": 80]

    private static func split(_ authority: Substring) -> (host: String, port: Int?)? {
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            let host = String(authority[authority.index(after: authority.startIndex)..<end])
            let rest = authority[authority.index(after: end)...]
            // Only an IPv6 address stands in brackets, and it stands nowhere else.
            guard host.utf8.contains(0x3a) else { return nil }
            if rest.isEmpty { return (host, nil) }
            guard rest.first == ":", let port = Self.port(rest.dropFirst()) else { return nil }
            return (host, port)
        }
        guard let colon = authority.lastIndex(of: ":") else { return (String(authority), nil) }
        guard let port = Self.port(authority[authority.index(after: colon)...]) else { return nil }
        let host = String(authority[..<colon])
        return host.utf8.contains(0x3a) ? nil : (host, port)
    }

    private static func port(_ text: Substring) -> Int? {
        // `Int` would take a sign.
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text), number <= 65_535 else {
            return nil
        }
        return number
    }

    /// The port to dial.
    package var dialledPort: Int { self.port ?? Self.defaultPorts[self.scheme] ?? 10_933 }

    /// The text says it all.
    package static func == (left: EndPointURI, right: EndPointURI) -> Bool { left.text == right.text }
    package func hash(into hasher: inout Hasher) { hasher.combine(self.text) }

    package var description: String { self.text }
}
