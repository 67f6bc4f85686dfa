import BSON
import HalibutProtocol
import NIOCore

/// An encoded request or response on its way out, and the data streams that follow it.
struct OutgoingMessage: Sendable {
    /// The request's id, or that of the request answered.
    let id: String
    let bytes: ByteBuffer
    /// Where the streams' contents are, in any order.
    let streams: [OutgoingDataStream]
    /// The streams in document order, in which they go out.
    let announced: [BSONDataStream]
}

// Messages are encoded before they come to an event loop: a large one takes its time, and a loop has other connections.
extension OutgoingMessage {
    /// - Throws: ``HalibutError`` when the streams are not those that the arguments announce; `WireError` for a request
    ///   that cannot be written.
    init(_ request: RequestMessage, streams: [OutgoingDataStream]) throws {
        try self.init(id: request.id, request.document, announced: request.dataStreams, streams)
    }

    /// - Throws: As for a request.
    init(_ response: ResponseMessage, streams: [OutgoingDataStream]) throws {
        try self.init(id: response.id, response.document, announced: response.dataStreams, streams)
    }

    /// The response to a call that failed.
    init(to id: String, _ error: any Error) throws(WireError) {
        let response = ResponseMessage(id: id, outcome: .error(ServerError(error)))
        self.init(id: id, bytes: try MessageEncoder().encoded(response.document), streams: [], announced: [])
    }

    private init(
        id: String,
        _ document: BSONDocument,
        announced: [BSONDataStream],
        _ streams: [OutgoingDataStream]
    ) throws {
        try Self.check(streams, against: announced)
        self.init(id: id, bytes: try MessageEncoder().encoded(document), streams: streams, announced: announced)
    }

    /// Checks before the first byte goes out that streams and announcements match.
    private static func check(
        _ streams: [OutgoingDataStream],
        against announced: [BSONDataStream]
    ) throws(HalibutError) {
        let given = Dictionary(streams.map { ($0.id, $0.length) }) { first, _ in first }
        for stream in announced {
            guard given[stream.id] == stream.length else { throw .unannouncedStream(stream.id) }
        }
        guard given.count == announced.count, streams.count == announced.count else {
            let known = Set(announced.map(\.id))
            throw .unannouncedStream(given.keys.first { !known.contains($0) } ?? announced.first?.id ?? .zero)
        }
    }
}
