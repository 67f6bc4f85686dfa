/// An HTTP proxy on the way to an endpoint, and who we are to it (halibut.md 14).
///
/// Neither its printed forms nor the wire show the password.
public struct HTTPProxy: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// A name or an address, without `http://`.
    public var host: String
    /// From 1 to 65535.
    public var port: Int
    /// Without one no credentials are sent.
    public var userName: String?
    /// Sent to the proxy only, in clear text as HTTP does it.
    public var password: String?

    /// Names a proxy; what is wrong with it is said when it is used.
    public init(host: String, port: Int, userName: String? = nil, password: String? = nil) {
        self.host = host
        self.port = port
        self.userName = userName
        self.password = password
    }

    /// Host and port.
    public var description: String { "\(self.host):\(self.port)" }

    /// Everything but the password.
    public var customMirror: Mirror {
        Mirror(self, children: ["host": self.host, "port": self.port, "userName": self.userName as Any])
    }

    /// What is wrong with it, if anything is.
    package var problem: ProxyError? {
        if self.host.isEmpty { return ProxyError(.misconfigured, "ProxyHost property must contain a value") }
        guard (1...65_535).contains(self.port) else {
            return ProxyError(.misconfigured, "ProxyPort value must be greater than zero and less than 65535")
        }
        guard !self.host.contains("://") else {
            return ProxyError(.misconfigured, "The proxy's hostname cannot contain a protocol prefix (eg http://)")
        }
        return nil
    }
}
