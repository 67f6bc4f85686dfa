import BSON
import FoundationEssentials
import HalibutProtocol
import NIOCore
import Testing

@Suite("Messages")
struct MessageCodecTests {
    static let activity = UUID(uuidString: "00112233-4455-6677-8899-aabbccddeeff") ?? .zero
    static let stream = BSONDataStream(id: UUID(uuidString: "9a4b47b7-7463-4740-842e-eb1da0ade39b") ?? .zero, length: 5)

    static var uploadRequest: RequestMessage {
        RequestMessage(
            id: "IFileTransferService::UploadFileAsync[1] / 00112233-4455-6677-8899-aabbccddeeff",
            activityID: activity,
            endPoint: EndPointDocument(
                baseURI: "poll://abc/",
                remoteThumbprint: "76225C0717A16C1D0BA4A7FFA76519D286D8A248"
            ),
            service: "IFileTransferService",
            method: "UploadFile",
            parameters: ["/tmp/x", stream.value(typed: true)]
        )
    }

    static var notFound: ResponseMessage {
        let type = "Halibut.Exceptions.ServiceNotFoundHalibutClientException"
        let error = ServerError(
            message: "Service not found: IFoo",
            details: "\(type): Service not found: IFoo",
            halibutErrorType: type
        )
        return ResponseMessage(id: "IFoo::BarAsync[1] / x", outcome: .error(error))
    }

    private func decode(
        _ deliveries: [[UInt8]],
        limits: HalibutLimits = HalibutLimits()
    ) throws -> (MessageContent?, ByteBuffer) {
        var buffer = ByteBuffer()
        var decoder = MessageDecoder(limits: limits)
        var content: MessageContent?
        for part in deliveries {
            buffer.writeBytes(part)
            if content == nil { content = try decoder.decode(&buffer) }
        }
        return (content, buffer)
    }

    private func encode(_ content: MessageContent) throws -> [UInt8] {
        var buffer = ByteBuffer()
        let encoder = MessageEncoder()
        try encoder.encode(content, into: &buffer)
        return buffer.rest
    }

    @Test("the worked messages are written byte for byte")
    func goldenWrites() throws {
        #expect(try MessageContent.null.bsonBytes() == WireVector.load("request-nul"))
        #expect(
            try MessageContent.document(Self.uploadRequest.document).bsonBytes()
                == WireVector.load("request-upload-file")
        )
        #expect(
            try MessageContent.document(Self.notFound.document).bsonBytes()
                == WireVector.load("response-service-not-found")
        )
        #expect(try MessageEncoder.nullMessage == WireVector.load("request-nul.deflated"))
    }

    @Test("a message that fits a packet is stored, a larger one compressed", arguments: [(1024, true), (1025, false)])
    func storesSmallMessages(size: Int, isStored: Bool) throws {
        let empty = try MessageContent.document(["text": ""]).bsonBytes().count
        let content = MessageContent.document(["text": .string(String(repeating: "a", count: size - empty))])
        let encoded = try encode(content)
        #expect((encoded.first == 0x01) == isStored)
        #expect((encoded.count == size + 5) == isStored)
        for delivery in deliveries(of: encoded + Array("NEXT\r\n".utf8)) {
            let (decoded, buffer) = try decode(delivery)
            #expect(decoded == content)
            #expect(buffer.rest == Array("NEXT\r\n".utf8))
        }
    }

    @Test("the worked messages are read, wherever the bytes are cut, and NEXT after them stays")
    func goldenReads() throws {
        let vectors: [(String, MessageContent)] = [
            ("request-nul.deflated", .null),
            ("request-upload-file.deflated", .document(Self.uploadRequest.document)),
            ("response-service-not-found.deflated", .document(Self.notFound.document)),
        ]
        for (name, expected) in vectors {
            for delivery in deliveries(of: try WireVector.load(name) + Array("NEXT\r\n".utf8)) {
                let (content, buffer) = try decode(delivery)
                #expect(content == expected)
                #expect(buffer.rest == Array("NEXT\r\n".utf8))
            }
        }
    }

    @Test("envelopes come back as they went")
    func envelopes() throws {
        #expect(try RequestMessage(Self.uploadRequest.document).dataStreams == [Self.stream])
        #expect(try RequestMessage(Self.uploadRequest.document).service == "IFileTransferService")
        #expect(try ResponseMessage(Self.notFound.document) == Self.notFound)
        let success = ResponseMessage(id: "x", outcome: .result(["$type": "T, A", "Length": .int64(5)]))
        #expect(try ResponseMessage(success.document) == success)
        #expect(success.document.elements.map(\.key) == ["$type", "id", "error", "result"])
    }

    @Test("names in any case, absent parameters, GUIDs as text and old requests are accepted")
    func lenientRequests() throws {
        let request = try RequestMessage(["ID": "a", "Service": "IFoo", "METHOD": "Bar"])
        #expect(request.parameters.isEmpty)
        #expect(request.activityID == .zero)
        #expect(
            try RequestMessage([
                "id": "a", "service": "s", "method": "m", "activityId": .string(Self.activity.uuidString),
            ]).activityID == Self.activity
        )
    }

    @Test(
        "parameters may be missing, null, or wrapped with the type of their list; streams in them are found",
        arguments: [
            (nil, 0), (.null, 0), ([], 0), (["x", stream.value(typed: true)], 1),
            (["$type": "System.Object[], mscorlib", "$values": ["x", stream.value(typed: true)]], 1),
            (["x", ["$type": "T[], A", "$values": [stream.value(typed: false)]]], 1),
            (["x", ["Id": .string(stream.id.wireText), "LENGTH": .int32(5)]], 1),
        ] as [(BSONValue?, Int)]
    )
    func parameters(_ value: BSONValue?, _ streams: Int) throws {
        var document: BSONDocument = ["id": "a", "service": "s", "method": "m"]
        document["params"] = value
        let request = try RequestMessage(document)
        #expect(request.parameters.first == (streams == 0 ? nil : "x"))
        #expect(request.dataStreams == [BSONDataStream](repeating: Self.stream, count: streams))
    }

    @Test("what is no request or response is refused")
    func malformed() {
        #expect(throws: WireError.self) { try RequestMessage(["service": "s", "method": "m"]) }
        #expect(throws: WireError.self) { try RequestMessage(["id": "i", "method": "m"]) }
        #expect(throws: WireError.self) { try RequestMessage(Self.notFound.document) }
        #expect(throws: WireError.self) { try ResponseMessage(Self.uploadRequest.document) }
    }

    @Test("two messages in one buffer")
    func twoMessages() throws {
        var buffer = ByteBuffer(bytes: try encode(.null) + encode(.document(["a": "b"])))
        var decoder = MessageDecoder(limits: HalibutLimits())
        #expect(try decoder.decode(&buffer) == .null)
        #expect(try decoder.decode(&buffer) == .document(["a": "b"]))
        #expect(try decoder.decode(&buffer) == nil)
    }

    @Test("garbage, and bytes after the document inside the deflate stream, are refused")
    func garbage() throws {
        #expect { try decode([[0xff, 0xff, 0xff, 0xff]]) } throws: { ($0 as? WireError)?.code == .invalidMessage }
        let twice = try MessageContent.null.bsonBytes() + MessageContent.null.bsonBytes()
        #expect { try decode([stored(twice)]) } throws: { ($0 as? WireError)?.code == .invalidMessage }
        #expect { try decode([stored([5, 0, 0, 0, 1])]) } throws: { ($0 as? WireError)?.code == .invalidMessage }
        #expect(try decode([stored([5, 0, 0, 0, 0])]).0 == .null)
    }

    @Test("one byte more than the largest message is refused, also when it only says so")
    func messageLimit() throws {
        let content = MessageContent.document(["text": "0123456789"])
        var limits = HalibutLimits()
        limits.maximumMessageBytes = try content.bsonBytes().count
        #expect(try decode([encode(content)], limits: limits).0 == content)
        limits.maximumMessageBytes -= 1
        #expect { try decode([encode(content)], limits: limits) } throws: { ($0 as? WireError)?.code == .limitExceeded }
        #expect { try decode([stored([0xff, 0xff, 0xff, 0x7f])]) } throws: {
            ($0 as? WireError)?.code == .limitExceeded
        }
    }

    @Test("a message may inflate by the ratio and no more, above the floor and not below")
    func inflateRatio() throws {
        let content = MessageContent.document(["text": .string(String(repeating: "a", count: 200_000))])
        let (bytes, size) = (try encode(content), try content.bsonBytes().count)
        var limits = HalibutLimits()
        limits.inflateRatioFloorBytes = size - 1
        limits.maximumInflateRatio = (size + bytes.count - 1) / bytes.count
        #expect(try decode([bytes], limits: limits).0 == content)
        limits.maximumInflateRatio = size / (bytes.count + 1)
        #expect { try decode([bytes], limits: limits) } throws: { ($0 as? WireError)?.code == .limitExceeded }
        limits.inflateRatioFloorBytes = size
        #expect(try decode([bytes], limits: limits).0 == content)
    }

    @Test("what is refused costs no more than its limit: the rest of a bomb is never inflated")
    func bomb() throws {
        let content = MessageContent.document(["text": .string(String(repeating: "a", count: 4_000_000))])
        var limits = HalibutLimits()
        limits.inflateRatioFloorBytes = 100_000
        var buffer = ByteBuffer(bytes: try encode(content))
        let count = buffer.readableBytes
        var decoder = MessageDecoder(limits: limits)
        #expect { try decoder.decode(&buffer) } throws: { ($0 as? WireError)?.code == .limitExceeded }
        #expect(buffer.readableBytes > count / 2)
    }

    @Test("a message that would take too much memory is refused like one that is too large")
    func memory() throws {
        let content = MessageContent.document(["list": .array([BSONValue](repeating: .null, count: 1000))])
        var limits = HalibutLimits()
        limits.maximumMessageMemoryBytes = 25_000
        #expect(try decode([encode(content)], limits: limits).0 == content)
        limits.maximumMessageMemoryBytes = 24_000
        #expect { try decode([encode(content)], limits: limits) } throws: { ($0 as? WireError)?.code == .limitExceeded }
    }

    /// Bytes as one stored deflate block.
    private func stored(_ bytes: [UInt8]) -> [UInt8] {
        let count = UInt16(bytes.count)
        return [1, UInt8(count & 0xff), UInt8(count >> 8), UInt8(~count & 0xff), UInt8(~count >> 8)] + bytes
    }

    @Test(
        "durations as .NET writes them",
        arguments: [
            (Duration.seconds(120), "00:02:00"), (.milliseconds(1500), "00:00:01.5000000"),
            (.milliseconds(90_061_001), "1.01:01:01.0010000"), (.milliseconds(-1), "-00:00:00.0010000"),
            (.milliseconds(2_147_483_647), "24.20:31:23.6470000"), (.milliseconds(500), "00:00:00.5000000"),
        ]
    )
    func timeSpans(_ duration: Duration, _ text: String) {
        #expect(duration.timeSpanText == text)
    }
}
