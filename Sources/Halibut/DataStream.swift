public import BSON
import FoundationEssentials
import Synchronization

/// A data stream as an argument or result of a method, or as a member of a contract (halibut.md 6.6).
///
/// One that is made here goes out after the message that mentions it. One that came is in a file of its own until the
/// call ends (service) or nobody holds it any longer (client).
public struct DataStream: RPCValue {
    private enum Content {
        case outgoing(OutgoingDataStream)
        case received(ReceivedDataStream)
    }

    private let content: Content

    /// A stream of bytes held in memory.
    public init(bytes: [UInt8]) { self.content = .outgoing(OutgoingDataStream(bytes: bytes)) }

    /// A stream of a file's present content.
    ///
    /// - Throws: ``HalibutError`` when it is no readable regular file.
    public init(file path: String) throws(HalibutError) {
        self.content = .outgoing(try OutgoingDataStream(file: path))
    }

    /// A stream of the first `length` bytes of a file.
    public init(file path: String, length: Int64) {
        self.content = .outgoing(OutgoingDataStream(file: path, length: length))
    }

    /// How many bytes it has.
    public var length: Int64 {
        switch self.content {
        case .outgoing(let stream): stream.length
        case .received(let stream): stream.length
        }
    }

    /// The stream as it came with a message; `nil` for one that was made here.
    public var received: ReceivedDataStream? {
        if case .received(let stream) = self.content { stream } else { nil }
    }
}

// MARK: On the wire

extension DataStream {
    /// The streams that came with the message being read.
    @TaskLocal private static var incoming: [UUID: ReceivedDataStream] = [:]
    /// The streams found in the message being written.
    @TaskLocal private static var outgoing: Collector?

    private final class Collector: Sendable {
        let streams = Mutex<[OutgoingDataStream]>([])
    }

    /// Reads values whose data streams are these.
    static func reading<Result>(_ streams: [UUID: ReceivedDataStream], _ body: () throws -> Result) rethrows -> Result {
        streams.isEmpty ? try body() : try Self.$incoming.withValue(streams, operation: body)
    }

    /// Writes values and collects their data streams.
    static func writing<Result>(_ body: () throws -> Result) rethrows -> (Result, [OutgoingDataStream]) {
        let collector = Collector()
        let result = try Self.$outgoing.withValue(collector, operation: body)
        return (result, collector.streams.withLock { $0 })
    }

    private struct Reference: Codable {
        var id: UUID
        var length: Int64
    }

    public init(from decoder: any Decoder) throws {
        let reference = try Reference(from: decoder)
        guard let stream = Self.incoming[reference.id] else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "The data stream did not come with the message."
                )
            )
        }
        self.content = .received(stream)
    }

    public func encode(to encoder: any Encoder) throws {
        let stream = self.announced()
        try Reference(id: stream.id, length: stream.length).encode(to: encoder)
    }

    /// What goes out, once per message; a stream that came is passed on from its file.
    private func announced() -> OutgoingDataStream {
        let stream =
            switch self.content {
            case .outgoing(let stream): stream
            case .received(let stream): OutgoingDataStream(file: stream.path, length: stream.length)
            }
        Self.outgoing?.streams.withLock { $0.append(stream) }
        return stream
    }

    public static var rpcTypeName: String { "DataStream" }
    public static var isRPCReference: Bool { true }

    public static func fits(_ argument: BSONValue) -> Bool { argument.document.flatMap(BSONDataStream.init) != nil }

    public func rpcValue() throws -> BSONValue { self.announced().reference(typed: true) }
}
