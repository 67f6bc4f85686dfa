public import HalibutProtocol
public import SecureTransport

/// Where a service is reached, and how hard to try (halibut.md 7.2).
public struct ServiceEndPoint: Hashable, Sendable, CustomStringConvertible {
    /// `https://host:port/` of a listening service, or `poll://subscription/` of a polling one; normalised.
    public var baseURI: String { self.uri.text }
    /// The certificate the service must present; without it a listening service is never accepted.
    public var remoteThumbprint: Thumbprint?

    /// How long a request may wait for a polling service to collect it.
    public var pollingRequestQueueTimeout: Duration = .seconds(120)
    /// Pause between attempts to connect.
    public var retryListeningSleepInterval: Duration = .seconds(1)
    /// Attempts to connect per call.
    public var retryCountLimit = 5
    /// No new attempt after this much time.
    public var connectionErrorRetryTimeout: Duration = .seconds(300)
    /// Whether one unexpected certificate of a listening service is worth another attempt after the pause.
    ///
    /// A service that is changing its certificate learns from the refusal and shows the other one then; see
    /// ``ServiceIdentity``. Nothing but the handshake has happened by then. Off by default, as upstream never tries again.
    public var retriesUnexpectedCertificate = false
    /// Limit for the TCP connection of one attempt.
    public var tcpClientConnectTimeout: Duration = .seconds(60)
    /// The HTTP proxy through which a listening service is dialled, and never told to it.
    public var proxy: HTTPProxy?

    package let uri: EndPointURI

    /// Creates an endpoint; the address is normalised to scheme, host and port.
    public init(_ baseURI: String, remoteThumbprint: Thumbprint?) throws(HalibutError) {
        guard let uri = EndPointURI(baseURI) else { throw .invalidEndPoint(baseURI) }
        guard uri.scheme == "https" || uri.scheme == "poll" else { throw .unknownEndPointType(uri.scheme) }
        self.uri = uri
        self.remoteThumbprint = remoteThumbprint
    }

    public var description: String { self.baseURI }

    var isPolling: Bool { self.uri.scheme == "poll" }

    var wireDocument: EndPointDocument {
        var document = EndPointDocument(baseURI: self.baseURI, remoteThumbprint: self.remoteThumbprint?.description)
        document.pollingRequestQueueTimeout = self.pollingRequestQueueTimeout
        document.retryListeningSleepInterval = self.retryListeningSleepInterval
        document.retryCountLimit = Int32(clamping: self.retryCountLimit)
        document.connectionErrorRetryTimeout = self.connectionErrorRetryTimeout
        document.tcpClientConnectTimeout = self.tcpClientConnectTimeout
        return document
    }
}
