/// Why a TLS connection could not be made or ended early.
package struct TLSError: Error, Hashable, CustomStringConvertible {
    /// What kind of failure.
    package enum Code: Hashable, Sendable {
        /// The dialled peer showed a certificate other than the expected one; see ``TLSError/unexpectedCertificate``.
        case unexpectedCertificate
        /// The handshake failed: no common version or cipher, an alert of the peer, bytes that are not TLS.
        case handshakeFailed
        case handshakeTimedOut
        /// The peer went away in the middle of the handshake.
        case closedDuringHandshake
        /// After the handshake: a damaged record, an alert of the peer.
        case protocolViolation
        /// Used after the end of the connection.
        case closed
        /// libssl could not set up the connection.
        case setUpFailed
    }

    package var code: Code
    /// libssl's reasons, oldest first.
    package var reasons: [String]
    /// Set when ``code`` is `unexpectedCertificate`.
    package var unexpectedCertificate: UnexpectedCertificate?
    /// The handshake got as far as a listener's certificate: the dialler may have ended it because of that.
    package var isAfterCertificate = false

    package init(code: Code, reasons: [String] = [], unexpectedCertificate: UnexpectedCertificate? = nil) {
        self.code = code
        self.reasons = reasons
        self.unexpectedCertificate = unexpectedCertificate
    }

    package var description: String {
        let summary =
            switch code {
            case .unexpectedCertificate: unexpectedCertificate?.summary ?? "the peer showed an unexpected certificate"
            case .handshakeFailed: "the TLS handshake failed"
            case .handshakeTimedOut: "the peer did not finish the TLS handshake in time"
            case .closedDuringHandshake: "the peer closed the connection during the TLS handshake"
            case .protocolViolation: "the TLS connection broke"
            case .closed: "the TLS connection is closed"
            case .setUpFailed: "could not set up the TLS connection"
            }
        return reasons.isEmpty ? summary : "\(summary): \(reasons.joined(separator: "; "))"
    }

    /// Takes the calling thread's error queue as reasons.
    @inline(never)
    static func draining(_ code: Code) -> TLSError { TLSError(code: code, reasons: OpenSSLError.drainQueue()) }
}

/// A dialled peer's certificate that is not the one the endpoint names (halibut.md 2.3).
package struct UnexpectedCertificate: Hashable, Sendable {
    /// Nothing when the endpoint has no thumbprint: then every certificate is unexpected.
    package var expected: Thumbprint?
    package var actual: PeerCertificate

    /// One line without the address of the peer.
    package var summary: String {
        "expected a certificate with the thumbprint '\(expected?.description ?? "")', but the peer presented one with "
            + "the thumbprint '\(actual.thumbprint)' and subject '\(actual.subject)'"
    }

    /// Halibut's own text; operators and tests look for its middle part.
    package func wireMessage(uri: String) -> String {
        "The server at \(uri) presented an unexpected security certificate. We expected the server to present a "
            + "certificate with the thumbprint '\(expected?.description ?? "")'. Instead, it presented a certificate "
            + "with a thumbprint of '\(actual.thumbprint)' and subject '\(actual.subject)'. This usually happens when "
            + "the client has been configured to expect the server to have the wrong certificate, or when the "
            + "certificate on the server has been regenerated and the client has not been updated. It may also happen "
            + "if someone is performing a man-in-the-middle attack on the remote machine, or if a proxy server is "
            + "intercepting requests. Please check the certificate used on the server, and verify that the client has "
            + "been configured correctly."
    }
}
