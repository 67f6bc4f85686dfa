import BSON
import FoundationEssentials
import HalibutProtocol
import NIOCore
import Testing

@Suite("Data streams after a message")
struct DataStreamTests {
    private let stream = MessageCodecTests.stream

    private func read(
        _ delivery: [[UInt8]],
        expecting streams: [BSONDataStream],
        limits: HalibutLimits = HalibutLimits()
    ) throws -> ([UUID: [UInt8]], [UInt8]) {
        var reader = try DataStreamReader(messageID: "m", streams: streams, limits: limits)
        var (buffer, contents) = (ByteBuffer(), [UUID: [UInt8]]())
        var current = UUID.zero
        for part in delivery {
            buffer.writeBytes(part)
            reading: while true {
                switch try reader.read(from: &buffer) {
                case .begin(let stream):
                    current = stream.id
                    contents[current] = []
                case .content(let bytes): contents[current, default: []] += bytes.rest
                case .end(let id): #expect(id == current)
                case .needMoreBytes, .complete: break reading
                }
            }
        }
        return (contents, buffer.rest)
    }

    private func frame(_ stream: BSONDataStream, _ content: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        DataStreamFraming.writeHead(stream, to: &buffer)
        buffer.writeBytes(content)
        DataStreamFraming.writeTrailer(stream, to: &buffer)
        return buffer.rest
    }

    @Test("the worked stream is written byte for byte and read at every cut")
    func golden() throws {
        let vector = try WireVector.load("request-upload-file.stream")
        #expect(frame(stream, Array("hello".utf8)) == vector)
        for delivery in deliveries(of: vector + Array("END\r\n".utf8)) {
            let (contents, rest) = try read(delivery, expecting: [stream])
            #expect(contents == [stream.id: Array("hello".utf8)])
            #expect(rest == Array("END\r\n".utf8))
        }
    }

    @Test("several streams, one of them empty, in another order than announced")
    func reordered() throws {
        let (a, b) = (BSONDataStream(id: UUID(), length: 0), BSONDataStream(id: UUID(), length: 3))
        let bytes = frame(stream, Array("hello".utf8)) + frame(b, [1, 2, 3]) + frame(a, [])
        for delivery in deliveries(of: bytes, every: 5) {
            let (contents, rest) = try read(delivery, expecting: [a, b, stream])
            #expect(contents == [stream.id: Array("hello".utf8), b.id: [1, 2, 3], a.id: []])
            #expect(rest.isEmpty)
        }
    }

    @Test("a stream that was not announced, or comes twice")
    func unexpected() {
        let bytes = frame(stream, Array("hello".utf8))
        #expect(throws: WireError.unexpectedStream) {
            try read([bytes], expecting: [BSONDataStream(id: UUID(), length: 5)])
        }
        #expect(throws: WireError.unexpectedStream) {
            try read([bytes + bytes], expecting: [stream, BSONDataStream(id: UUID(), length: 5)])
        }
    }

    @Test("a stream that stands twice in a message comes twice under one id")
    func twice() throws {
        let bytes = frame(stream, Array("hello".utf8))
        let (contents, rest) = try read([bytes + bytes + bytes], expecting: [stream, stream])
        #expect(contents == [stream.id: Array("hello".utf8)])
        #expect(rest == bytes)
    }

    @Test("a trailer that differs from the head")
    func mismatch() throws {
        var bytes = try WireVector.load("request-upload-file.stream")
        bytes[bytes.count - 8] = 4
        let error = #expect(throws: WireError.self) { try read([bytes], expecting: [stream]) }
        #expect(
            error?.wireMessage
                == "Data stream size mismatch detected. Message Id: m, Stream ID: 9a4b47b7-7463-4740-842e-eb1da0ade39b, Expected length: 5, Actual length claimed at end: 4."
        )
    }

    @Test("after an error nothing more is read")
    func failed() throws {
        var reader = try DataStreamReader(messageID: "m", streams: [stream], limits: HalibutLimits())
        for stream in [BSONDataStream(id: UUID(), length: 5), self.stream] {
            var buffer = ByteBuffer(bytes: frame(stream, Array("hello".utf8)))
            do throws(WireError) {
                _ = try reader.read(from: &buffer)
                Issue.record("\(stream) was read")
            } catch {
                #expect(error == .unexpectedStream)
            }
        }
        #expect(reader.connectionClosed() == .unexpectedStream)
    }

    @Test("an end inside a stream says how far it came")
    func closedInside() throws {
        var reader = try DataStreamReader(messageID: "m", streams: [stream], limits: HalibutLimits())
        #expect(reader.connectionClosed() == .connectionClosed)
        var buffer = ByteBuffer(bytes: frame(stream, Array("hello".utf8)).prefix(26))
        _ = try reader.read(from: &buffer)
        _ = try reader.read(from: &buffer)
        #expect(
            reader.connectionClosed().wireMessage
                == "Data stream reading failed. Message Id: m, Stream ID: 9a4b47b7-7463-4740-842e-eb1da0ade39b, Expected length: 5. The stream was closed after only reading 2 bytes."
        )
    }

    @Test("one stream more than allowed, and one byte more than allowed")
    func limits() throws {
        var limits = HalibutLimits()
        limits.maximumDataStreams = 1
        limits.maximumDataStreamBytes = 5
        let bytes = frame(stream, Array("hello".utf8))
        #expect(try read([bytes], expecting: [stream], limits: limits).0.count == 1)
        #expect { try read([], expecting: [stream, stream], limits: limits) } throws: {
            ($0 as? WireError)?.code == .limitExceeded
        }
        limits.maximumDataStreamBytes = 10
        limits.maximumDataStreams = 2
        #expect(try read([bytes + bytes], expecting: [stream, stream], limits: limits).1.isEmpty)
        // The limit is on all streams of the message together.
        limits.maximumDataStreamBytes = 9
        #expect { try read([bytes + bytes], expecting: [stream, stream], limits: limits) } throws: {
            ($0 as? WireError)?.code == .limitExceeded
        }
        limits.maximumDataStreamBytes = 4
        #expect { try read([bytes], expecting: [stream], limits: limits) } throws: {
            ($0 as? WireError)?.code == .limitExceeded
        }
        let negative = frame(BSONDataStream(id: stream.id, length: -1), [])
        #expect { try read([negative], expecting: [stream]) } throws: { ($0 as? WireError)?.code == .limitExceeded }
    }

    @Test("a stream larger than 4 GB is counted right")
    func huge() throws {
        let huge = BSONDataStream(id: UUID(), length: 5 << 30)
        var reader = try DataStreamReader(messageID: "m", streams: [huge], limits: HalibutLimits())
        var buffer = ByteBuffer()
        DataStreamFraming.writeHead(huge, to: &buffer)
        buffer.writeBytes([1])
        #expect(try reader.read(from: &buffer) == .begin(huge))
        _ = try reader.read(from: &buffer)
        #expect(reader.remainingContentBytes == (5 << 30) - 1)
    }
}
