/// Where the server keeps its data and where it listens.
package struct ServerConfiguration: Sendable {
    package struct Address: Hashable, Sendable {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) { (self.host, self.port) = (host, port) }

        /// `host:port`; an IPv6 address stands in brackets.
        package init?(_ text: String) {
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
                (0...65_535).contains(port)
            else { return nil }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                return nil
            }
            guard !host.isEmpty else { return nil }
            self.init(host: String(host), port: port)
        }

        package var urlHost: String { host.contains(":") ? "[\(host)]" : host }
    }

    package static let defaultHTTP = Address(host: "127.0.0.1", port: 8080)
    package static let defaultPolling = Address(host: "0.0.0.0", port: 10_943)

    package var dataDirectory: String
    package var http: Address
    package var polling: Address
    package var readyFile: String?
    /// A file with the administrator's password; read at the start.
    package var adminPasswordFile: String?

    package init(
        dataDirectory: String,
        http: Address = defaultHTTP,
        polling: Address = defaultPolling,
        readyFile: String? = nil,
        adminPasswordFile: String? = nil
    ) {
        (self.dataDirectory, self.http, self.polling, self.readyFile) = (dataDirectory, http, polling, readyFile)
        self.adminPasswordFile = adminPasswordFile
    }
}

/// Why the server cannot run: one line, with what to do about it.
package struct ServerStartError: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
