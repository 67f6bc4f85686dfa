/// Texts of every call that are too long to be stored inside of a `String` (halibut.md 7).
///
/// Read as the literals below they take no memory of their own; a request has nine of them.
enum KnownTexts {
    private static let texts: [String] = [
        "RemoteThumbprint",
        "ForceResolveHost",
        "IsWebSocketEndpoint",
        "TcpClientConnectTimeout",
        "PollingRequestQueueTimeout",
        "RetryListeningSleepInterval",
        "ConnectionErrorRetryTimeout",
        "Halibut.Transport.Protocol.RequestMessage, Halibut",
        "Halibut.Transport.Protocol.ResponseMessage, Halibut",
    ]
    private static let lengths = (texts.map(\.utf8.count).min() ?? 0)...(texts.map(\.utf8.count).max() ?? 0)

    /// The known text of these bytes, if there is one.
    static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard self.lengths.contains(bytes.count) else { return nil }
        return self.texts.first { text in
            text.utf8.count == bytes.count
                && text.utf8.withContiguousStorageIfAvailable { $0.elementsEqual(bytes) } == true
        }
    }
}
