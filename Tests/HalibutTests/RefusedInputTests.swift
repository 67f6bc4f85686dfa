import BSON
import FoundationEssentials
import Halibut
import HalibutProtocol
import HalibutTesting
import NIOCore
import Synchronization
import Testing

/// What a client sends after its identity, and why the service refuses it.
private struct Refused: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let reason: String

    init(_ name: String, _ bytes: [UInt8], _ reason: String) {
        (self.testDescription, self.bytes, self.reason) = (name, bytes, reason)
    }

    static let stream = BSONDataStream(id: UUID(), length: 5)

    static func message(_ parameters: [BSONValue], method: String = "Nothing") throws -> [UInt8] {
        let request = RequestMessage(
            id: "1",
            activityID: UUID(),
            endPoint: nil,
            service: "IEchoService",
            method: method,
            parameters: parameters
        )
        return try self.deflated(.document(request.document))
    }

    static func deflated(_ content: MessageContent) throws -> [UInt8] {
        var buffer = ByteBuffer()
        try MessageEncoder().encode(content, into: &buffer)
        return Array(buffer.readableBytesView)
    }

    static func frame(_ head: BSONDataStream, trailer: Int64? = nil) -> [UInt8] {
        var buffer = ByteBuffer()
        DataStreamFraming.writeHead(head, to: &buffer)
        buffer.writeString("hello")
        DataStreamFraming.writeTrailer(BSONDataStream(id: head.id, length: trailer ?? head.length), to: &buffer)
        return Array(buffer.readableBytesView)
    }

    static func nested(_ depth: Int) -> BSONValue {
        var value: BSONValue = []
        for _ in 1..<depth { value = .array([value]) }
        return value
    }

    /// Limits that are easily exceeded.
    static var limits: HalibutLimits {
        var limits = HalibutLimits.brisk
        limits.maximumMessageBytes = 16_384
        limits.maximumMessageMemoryBytes = 32_768
        limits.maximumDataStreams = 2
        limits.maximumDataStreamBytes = .max
        limits.inflateRatioFloorBytes = 8192
        limits.maximumInflateRatio = 20
        return limits
    }

    static func all() throws -> [Refused] {
        let announcing = try Self.message([Self.stream.value(typed: true)], method: "CountBytes")
        let noise = String(decoding: (0..<16_384).map { _ in UInt8.random(in: 33...126) }, as: UTF8.self)
        return [
            Refused("a message that is too large", try Self.message([.string(noise)]), "16384"),
            Refused(
                "a message that takes too much memory",
                try Self.message([.array([BSONValue](repeating: .null, count: 2000))]),
                "takes more than 32768 bytes of memory"
            ),
            Refused(
                "a message that inflates too much",
                try Self.message([.string(String(repeating: "a", count: 16_000))]),
                "inflates to more than 20 times its size"
            ),
            Refused("a message that is too deep", try Self.message([Self.nested(62)]), "MaxDepth of 64"),
            Refused("bytes that are no deflate stream", [0xff, 0xff, 0xff, 0xff], "not a valid deflate stream"),
            Refused(
                "a message without a service",
                try Self.deflated(.document(["id": "1", "method": "m"])),
                "names no service"
            ),
            Refused(
                "too many data streams",
                try Self.message((0..<3).map { _ in BSONDataStream(id: UUID(), length: 0).value(typed: true) }),
                "has 3 data streams; at most 2 are allowed"
            ),
            Refused(
                "a data stream larger than the disk",
                announcing + Self.frame(BSONDataStream(id: Self.stream.id, length: .max)),
                "does not fit on the disk"
            ),
            Refused(
                "a data stream of negative length",
                announcing + Self.frame(BSONDataStream(id: Self.stream.id, length: -1)),
                "has length -1"
            ),
            Refused(
                "a data stream that was not announced",
                announcing + Self.frame(BSONDataStream(id: UUID(), length: 5)),
                "Unexpected stream!"
            ),
            Refused(
                "a trailer that differs from the head",
                announcing + Self.frame(Self.stream, trailer: 6),
                "Actual length claimed at end: 6."
            ),
        ]
    }
}

@Suite("Refused input costs its own connection and nothing else", .timeLimit(.minutes(4)))
struct RefusedInputTests {
    private func hello(_ pair: ListeningPair) async throws -> BSONValue {
        try await pair.client.call(pair.endPoint, service: "IEchoService", method: "SayHello", parameters: ["x"]).value
    }

    @Test(
        "the connection is closed without an answer; others, idle or in a call, live on",
        arguments: try Refused.all()
    )
    fileprivate func refused(_ input: Refused) async throws {
        let log = LogCollector()
        try await ListeningPair.with(limits: Refused.limits, logger: log.logger) { pair in
            let gate = pair.service.gate("g")
            try await withThrowingTaskGroup(of: BSONValue.self) { group in
                // One connection in a call, one idle in the pool.
                group.addTask {
                    try await pair.client.call(
                        pair.endPoint,
                        service: "IEchoService",
                        method: "Wait",
                        parameters: ["g"]
                    ).value
                }
                await gate.untilArrivals(1)
                #expect(try await hello(pair) == "x...")
                let accepted = log.count(of: "The connection ended")
                let raw = try await RawConnection.open(port: pair.port, identity: TestIdentities.client)
                raw.send(Array("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n".utf8) + input.bytes)
                #expect(await raw.untilClosed() == "MX-SERVER 1.0\r\n\r\n")
                try await log.until(input.reason)
                #expect(try await hello(pair) == "x...")
                gate.open()
                #expect(try await group.next() == "done")
                // No other connection was lost on the way.
                #expect(log.count(of: "The connection ended") == accepted + 1)
            }
        }
    }

    @Test("what is just within the limits is answered")
    func atTheLimits() async throws {
        let id = UUID()
        func request(_ count: Int) throws -> [UInt8] {
            let noise = String(decoding: (0..<count).map { _ in UInt8.random(in: 33...126) }, as: UTF8.self)
            return try RequestMessage(
                id: "1",
                activityID: id,
                endPoint: nil,
                service: "IEchoService",
                method: "Nothing",
                parameters: [.string(noise)]
            ).bson()
        }
        var limits = Refused.limits
        let largest = try request(10_000)
        limits.maximumMessageBytes = largest.count
        let inputs = [
            // The largest message, the deepest, the most streams.
            try Refused.deflated(MessageContent(bson: ByteBuffer(bytes: largest))),
            try Refused.message([Refused.nested(61)]),
            try Refused.message(
                [UUID(), UUID()].map { BSONDataStream(id: $0, length: 0).value(typed: true) },
                method: "Nothing"
            ),
        ]
        try await ListeningPair.with(limits: limits) { pair in
            for (number, input) in inputs.enumerated() {
                let raw = try await RawConnection.open(port: pair.port, identity: TestIdentities.client)
                var bytes = Array("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n".utf8) + input
                if number == 2 {
                    let (content, _) = try decode(input)
                    for stream in content.dataStreams {
                        bytes += stream.id.dotNetBytes + [UInt8](repeating: 0, count: 16)
                    }
                }
                raw.send(bytes + Array("NEXT\r\n".utf8))
                try await raw.until("PROCEED\r\n")
                await raw.close()
            }
            #expect(pair.service.received.count == inputs.count)
        }
    }

    private func decode(_ bytes: [UInt8]) throws -> (BSONDocument, ByteBuffer) {
        var buffer = ByteBuffer(bytes: bytes)
        var decoder = MessageDecoder(limits: HalibutLimits())
        guard case .document(let document)? = try decoder.decode(&buffer) else { return (BSONDocument(), buffer) }
        return (document, buffer)
    }

    @Test("an argument of an unknown type, with a data stream in it, is answered with an error on a connection in step")
    func unknownType() async throws {
        try await ListeningPair.with { pair in
            let raw = try await RawConnection.open(port: pair.port, identity: TestIdentities.client)
            let argument: BSONValue = ["$type": "No.Such.Type, Nowhere", "S": Refused.stream.value(typed: false)]
            let call = try Refused.message([argument], method: "NoSuchMethod") + Refused.frame(Refused.stream)
            let opening = Array("MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n".utf8)
            raw.send(opening + call + Array("\r\nNEXT\r\n".utf8) + call + Array("END\r\n".utf8))
            #expect(await raw.untilClosed().contains("PROCEED\r\n"))
            #expect(pair.service.received.count == 2)
            #expect(pair.service.received.allSatisfy { $0.streams[Refused.stream.id]?.length == 5 })
        }
    }

    @Test(
        "a subscriber that answers another request, or with nothing, fails the call at once and loses its connection",
        arguments: [
            (
                MessageContent.document(ResponseMessage(id: "another", outcome: .result(.null)).document),
                "The response is for request 'another', but request '"
            ), (.null, "No response was received from the endpoint within the allowed time."),
            (.document(["id": nil]), "A response has no id."),
        ]
    )
    func wrongAnswer(_ answer: MessageContent, _ reason: String) async throws {
        let greeting = "MX-SERVER 1.0\r\n\r\n"
        try await PollingPair.with(startsService: false) { pair in
            let raw = try await RawConnection.open(port: pair.port, identity: TestIdentities.service)
            raw.send("MX\r\n\r\nMX-SUBSCRIBER 1.0 poll://abc123/\r\n\r\n")
            try await raw.until(greeting)
            async let call = pair.client.call(
                pair.endPoint,
                service: "IEchoService",
                method: "SayHello",
                parameters: ["x"]
            )
            try await raw.untilMore(than: greeting)
            raw.send(try Refused.deflated(answer) + Array("NEXT\r\n".utf8))
            #expect(await !raw.untilClosed().hasSuffix("PROCEED\r\n"))
            do {
                _ = try await call
                Issue.record("the call was answered")
            } catch let error as HalibutError {
                #expect(error.message.contains("after the request began: \(reason)"))
                #expect(error.phase == .transferring)
            }
        }
    }

    @Test("a listening service that answers another request fails the call and loses its connection")
    func wrongAnswer() async throws {
        let answer = ResponseMessage(id: "another", outcome: .result(.null)).document
        let script = [
            RawListener.Line(after: "MX-CLIENT 1.0\r\n\r\n", say: Array("MX-SERVER 1.0\r\n\r\n".utf8)),
            RawListener.Line(after: "", say: try Refused.deflated(.document(answer))),
        ]
        let client = try HalibutClient(identity: TestIdentities.client, configuration: .brisk)
        try await RawListener.with(identity: TestIdentities.service, script) { port in
            let endPoint = try ServiceEndPoint(
                "https://127.0.0.1:\(port)/",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            // The second call would be answered with silence on the first one's connection.
            for _ in 1...2 {
                let error = try await #require(throws: HalibutError.self) {
                    try await client.call(endPoint, service: "IEchoService", method: "Nothing")
                }
                let reason = "after the request began: The response is for request 'another', but request '"
                #expect(error.message.contains(reason))
                #expect(error.phase == .transferring)
                #expect(client.idleConnectionCount == 0)
            }
        }
    }

    @Test("a call is made once, whatever comes right behind its response", arguments: [false, true])
    func behindTheResponse(hangsUp: Bool) async throws {
        let opening = "MX\r\n\r\nMX-CLIENT 1.0\r\n\r\n"
        let requests = Mutex(0)
        let script = [
            RawListener.Line(after: opening, say: Array("MX-SERVER 1.0\r\n\r\n".utf8)),
            RawListener.Line(after: "", hangsUp: hangsUp) { heard in
                requests.withLock { $0 += 1 }
                do {
                    var bytes = ByteBuffer(bytes: heard.dropFirst(opening.utf8.count))
                    var decoder = MessageDecoder(limits: .brisk)
                    guard case .document(let document)? = try decoder.decode(&bytes) else { return [] }
                    let response = ResponseMessage(id: try RequestMessage(document).id, outcome: .result("answer"))
                    return try Refused.deflated(.document(response.document)) + (hangsUp ? [] : [0])
                } catch {
                    Issue.record("not a request: \(error)")
                    return []
                }
            },
        ]
        let client = try HalibutClient(identity: TestIdentities.client, configuration: .brisk)
        try await RawListener.with(identity: TestIdentities.service, script) { port in
            let endPoint = try ServiceEndPoint(
                "https://127.0.0.1:\(port)/",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            let answer = try await client.call(endPoint, service: "IEchoService", method: "Nothing")
            #expect(answer.value == "answer")
            #expect(requests.withLock { $0 } == 1)
            // The end of the connection may come a moment later, when it is idle already; a byte too many does not.
            if !hangsUp { #expect(client.idleConnectionCount == 0) }
        }
    }

    @Test("a client refuses a response that is too large; its next call works")
    func largeResponse() async throws {
        var limits = HalibutLimits.brisk
        limits.maximumMessageBytes = 100_000
        try await ListeningPair.with(limits: limits) { pair in
            let noise = String(decoding: (0..<99_000).map { _ in UInt8.random(in: 33...126) }, as: UTF8.self)
            #expect(try await hello(pair) == "x...")
            let error = try await #require(throws: HalibutError.self) {
                try await pair.client.call(
                    pair.endPoint,
                    service: "IEchoService",
                    method: "Twice",
                    parameters: [.string(noise)]
                )
            }
            #expect(error.message.contains("bytes; 5 to 100000 are allowed."))
            #expect(error.phase == .transferring)
            #expect(try await hello(pair) == "x...")
        }
    }
}

extension RequestMessage {
    /// The request as a whole document, not compressed.
    fileprivate func bson() throws -> [UInt8] { try MessageContent.document(self.document).bsonBytes() }
}
