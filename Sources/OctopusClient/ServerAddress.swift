/// Base address of a server's REST API (spec tentacle-cli.md 12.2).
package struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
    /// `scheme://host[:port]`, the start of links such as `/api`.
    package let authority: String
    /// Without trailing slash; the start of links such as `~/api`, which keep a virtual directory.
    package let base: String
    package let isSecure: Bool

    package init(_ text: String) throws(OctopusError) {
        var base = text.drop { $0.isWhitespace }
        while let last = base.last, last.isWhitespace || last == "/" { base.removeLast() }
        let lowered = base.lowercased()
        guard let scheme = ["http://", "https://"].first(where: { lowered.hasPrefix($0) }) else {
            throw Self.invalid(text)
        }
        let rest = base.dropFirst(scheme.count)
        let host = rest.prefix { $0 != "/" }
        guard !host.isEmpty, !base.contains(where: { $0.isWhitespace || $0 == "?" || $0 == "#" || $0 == "@" }) else {
            throw Self.invalid(text)
        }
        if let port = host.split(separator: "]").last?.lastIndex(of: ":"), !host.hasSuffix("]") {
            guard let number = UInt16(host[host.index(after: port)...]), number > 0 else { throw Self.invalid(text) }
        }
        self.isSecure = scheme == "https://"
        self.authority = scheme + host.lowercased()
        var path = String(rest.dropFirst(host.count))
        if let api = path.firstRange(of: "/api"), Self.isBoundary(path, api.upperBound) {
            path = String(path[..<api.lowerBound])
        }
        self.base = self.authority + path
    }

    private static func isBoundary(_ path: String, _ index: String.Index) -> Bool {
        index == path.endIndex || path[index] == "/"
    }

    private static func invalid(_ text: String) -> OctopusError {
        OctopusError(
            .invalidAddress,
            "The Octopus Server URI '\(text)' is invalid. The URI should start with http:// or https:// and be a valid URI."
        )
    }

    package func resolve(_ link: String) -> String {
        if link.hasPrefix("~/") { return self.base + link.dropFirst() }
        if link.hasPrefix("/") { return self.authority + link }
        return link
    }

    /// Whether a URL leads to this server and no other: only there the credentials go.
    func isAuthority(of url: String) -> Bool {
        guard url.prefix(self.authority.count).lowercased() == self.authority else { return false }
        return url.dropFirst(self.authority.count).first.map { "/?#".contains($0) } ?? true
    }

    /// As .NET prints it, with a trailing slash.
    package var description: String { self.base + "/" }
}
