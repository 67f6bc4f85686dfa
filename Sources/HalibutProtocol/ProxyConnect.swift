import FoundationEssentials
package import NIOCore

/// A dialler's conversation with an HTTP proxy before TLS begins (halibut.md 14).
///
///     readingStatus ─200─▶ readingHeaders ─blank line─▶ established
///          └── anything else ──▶ failed ◀── end, time-out, too long ──┘
package struct ProxyConnect: ~Copyable {
    /// After bytes of the proxy.
    package enum OnBytes: Hashable, Sendable {
        case needMoreBytes
        /// The tunnel stands: what is left in the buffer comes from the endpoint.
        case established
        case fail(ProxyError)
    }

    private enum State: ~Copyable {
        /// Exits: `readingHeaders`, `failed`.
        case readingStatus([UInt8])
        /// Exits: `established`, `failed`.
        case readingHeaders(lineIsEmpty: Bool)
        /// Exits: none.
        case established
        /// Exits: none.
        case failed
    }

    /// What does not depend on the state.
    private struct Setting {
        let destination: EndPointURI
        let proxy: HTTPProxy
        let maximumBytes: Int
        /// Bytes read so far.
        var count = 0
    }

    private var setting: Setting
    private var state: State

    /// `destination` is who shall be reached through the proxy.
    package init(to destination: EndPointURI, through proxy: HTTPProxy, limits: HalibutLimits) {
        self.init(
            Setting(destination: destination, proxy: proxy, maximumBytes: limits.maximumProxyReplyBytes),
            .readingStatus([])
        )
    }

    private init(_ setting: Setting, _ state: consuming State) {
        self.setting = setting
        self.state = state
    }

    /// What to send as soon as the proxy is connected.
    package var request: ByteBuffer {
        let host =
            self.setting.destination.host.contains(":")
            ? "[\(self.setting.destination.host)]" : self.setting.destination.host
        let address = "\(host):\(self.setting.destination.dialledPort)"
        var text = "CONNECT \(address) HTTP/1.0\r\nHost: \(address)\r\n"
        if let userName = self.setting.proxy.userName, userName.contains(where: { !$0.isWhitespace }) {
            // Upstream encodes as ASCII; UTF-8 is the same for names that ever worked there, and RFC 7617's for others.
            let credentials = Data("\(userName):\(self.setting.proxy.password ?? "")".utf8).base64EncodedString()
            text += "Proxy-Authorization: Basic \(credentials)\r\n"
        }
        return ByteBuffer(string: text + "\r\n")
    }

    private var isEstablished: Bool {
        switch self.state {
        case .established: true
        case _: false
        }
    }

    /// The proxy said something; `peer` is its address, for error texts.
    package mutating func received(_ buffer: inout ByteBuffer, from peer: ProxyPeer) -> OnBytes {
        if self.isEstablished { return .established }
        while let byte = buffer.readInteger(as: UInt8.self) {
            self.setting.count += 1
            guard self.setting.count <= self.setting.maximumBytes else {
                self = .init(self.setting, .failed)
                return .fail(.tooLong(peer, limit: self.setting.maximumBytes))
            }
            switch self.next(byte, peer) {
            case .needMoreBytes: continue
            case let outcome: return outcome
            }
        }
        return .needMoreBytes
    }

    private mutating func next(_ byte: UInt8, _ peer: ProxyPeer) -> OnBytes {
        let isLineEnd = byte == UInt8(ascii: "\n")
        switch consume self.state {
        case .readingStatus(let line) where isLineEnd:
            if let error = ProxyError(statusLine: line, peer) {
                self = .init(self.setting, .failed)
                return .fail(error)
            }
            self = .init(self.setting, .readingHeaders(lineIsEmpty: true))
        case .readingStatus(var line):
            line.append(byte)
            self = .init(self.setting, .readingStatus(line))
        case .readingHeaders(lineIsEmpty: true) where isLineEnd:
            self = .init(self.setting, .established)
            return .established
        case .readingHeaders(let lineIsEmpty):
            self = .init(
                self.setting,
                .readingHeaders(lineIsEmpty: isLineEnd || lineIsEmpty && byte == UInt8(ascii: "\r"))
            )
        case _:
            self = .init(self.setting, .failed)
            return .fail(.closed(peer))
        }
        return .needMoreBytes
    }

    /// The proxy hung up.
    package mutating func ended(_ peer: ProxyPeer) -> ProxyError {
        switch consume self.state {
        case .readingStatus(let line) where !line.isEmpty:
            self = .init(self.setting, .failed)
            // A whole status line without its end still says more than the end does.
            return ProxyError(statusLine: line, peer) ?? .closed(peer)
        case _:
            self = .init(self.setting, .failed)
            return .closed(peer)
        }
    }

    /// The proxy said nothing for too long.
    package mutating func timedOut(_ peer: ProxyPeer) -> ProxyError {
        self = .init(self.setting, .failed)
        return .timedOut(peer)
    }
}

/// A proxy as it was reached; error texts name its address, not its name.
package struct ProxyPeer: Hashable, Sendable {
    package var address: String
    package var port: Int

    package init(address: String, port: Int) {
        self.address = address
        self.port = port
    }
}

/// A proxy did not let us through.
package struct ProxyError: Error, Hashable, CustomStringConvertible {
    /// Whose fault it is, and so whether trying again may help (halibut.md 8.5).
    package enum Kind: Hashable, Sendable {
        /// The settings are wrong, or the proxy refuses: it will do so again.
        case misconfigured
        /// The proxy could not reach the endpoint just now (5xx).
        case refused
        /// The way to the proxy broke.
        case network
    }

    package var kind: Kind
    package var wireMessage: String

    package init(_ kind: Kind, _ wireMessage: String) {
        self.kind = kind
        self.wireMessage = wireMessage
    }

    package var description: String { self.wireMessage }
}

extension ProxyError {
    /// The error that a status line is, unless it is success.
    fileprivate init?(statusLine: [UInt8], _ peer: ProxyPeer) {
        let line = String(decoding: statusLine.prefix { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        let shown = line.boundedForMessage
        guard line.contains("HTTP") else {
            self.init(
                .misconfigured,
                "No HTTP response received from proxy destination.  Server response: \(shown)."
            )
            return
        }
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
        guard words.count > 1, let code = Int(words[1]) else {
            self.init(
                .misconfigured,
                "An invalid response code was received from proxy destination.  Server response: \(shown)."
            )
            return
        }
        if code == 200 { return nil }
        let reason = words.count > 2 ? words[2].trimmingSuffix(while: { $0 == " " }).boundedForMessage : ""
        self.init(
            (500...599).contains(code) ? .refused : .misconfigured,
            code == 502
                ? "Proxy destination \(peer.address) on port \(peer.port) responded with a 502 code - Bad Gateway.  If you are connecting to a Microsoft ISA destination please refer to knowledge based article Q283284 for more information.  Server response: \(reason)"
                : "Proxy destination \(peer.address) on port \(peer.port) responded with a \(code) code - \(reason)"
        )
    }

    @inline(never)
    fileprivate static func closed(_ peer: ProxyPeer) -> ProxyError {
        ProxyError(
            .network,
            "Proxy destination \(peer.address) on port \(peer.port) closed the connection before its response was complete."
        )
    }

    @inline(never)
    fileprivate static func timedOut(_ peer: ProxyPeer) -> ProxyError {
        ProxyError(
            .network,
            "A timeout while waiting for the proxy server at \(peer.address) on port \(peer.port) to respond."
        )
    }

    @inline(never)
    fileprivate static func tooLong(_ peer: ProxyPeer, limit: Int) -> ProxyError {
        ProxyError(
            .misconfigured,
            "Proxy destination \(peer.address) on port \(peer.port) sent a response longer than \(limit) bytes."
        )
    }

    /// No connection to the proxy.
    @inline(never)
    package static func unreachable(_ proxy: HTTPProxy, _ cause: String) -> ProxyError {
        ProxyError(.network, "Connection to proxy host \(proxy.host) on port \(proxy.port) failed: \(cause)")
    }
}

extension Substring {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> String {
        var text = self
        while let last = text.last, predicate(last) { text.removeLast() }
        return String(text)
    }
}
