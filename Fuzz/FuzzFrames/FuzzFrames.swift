import BSON
import FoundationEssentials
import FuzzSupport
import HalibutProtocol
import NIOCore

/// Whole frames, message and data streams, through the decoders of a connection: in one piece and in pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrames(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let shape = input.below(3)
    var cuts = Cuts(seed: input.byte())
    let wire =
        switch shape {
        case 0: input.rest
        case 1: storedFrames(&input)
        default: wellFormedFrames(&input)
        }
    var whole = Connection()
    whole.receive(wire[...])
    var split = Connection()
    for piece in cuts.pieces(of: wire) { split.receive(piece) }
    require(whole.transcript == split.transcript, "pieces change what was received")
    require(whole.failed == split.failed, "pieces change the outcome")
    if !whole.failed {
        require(whole.unread == split.unread, "pieces change what is left")
        require(whole.isInsideMessage == split.isInsideMessage, "pieces change the place")
        if shape == 2 { require(whole.unread.isEmpty && !whole.isInsideMessage, "a whole frame is not enough") }
    }
    require(shape != 2 || !whole.failed, "a frame that we wrote is refused")
    return 0
}

/// The mutator cannot compress: documents from the input in stored blocks, and raw bytes where streams would be.
private func storedFrames(_ input: inout FuzzInput) -> [UInt8] {
    var wire: [UInt8] = []
    while !input.isEmpty {
        let message = input.take(Int(input.byte()) | Int(input.byte()) << 8)
        wire += stored(message, blockBytes: 1 + Int(input.byte()) << 2)
        wire += input.take(Int(input.byte()))
    }
    return wire
}

/// A deflate stream that does not compress.
private func stored(_ bytes: [UInt8], blockBytes: Int) -> [UInt8] {
    var wire: [UInt8] = []
    var rest = bytes[...]
    repeat {
        let block = rest.prefix(blockBytes)
        rest = rest.dropFirst(block.count)
        wire.append(rest.isEmpty ? 1 : 0)
        for length in [block.count, ~block.count] {
            wire += [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)]
        }
        wire += block
    } while !rest.isEmpty
    return wire
}

/// Messages and streams as a peer of ours writes them, with a document of the input in the first one.
private func wellFormedFrames(_ input: inout FuzzInput) -> [UInt8] {
    var buffer = ByteBuffer()
    for _ in 0...input.below(3) {
        let lengths = (0..<input.below(4)).map { _ in Int64(input.byte()) << Int64(input.below(4)) }
        let bytes = input.take(Int(input.byte()))
        guard let document = try? BSONDocument(bytes: bytes), document.dataStreams.isEmpty else {
            writeFrame(.null, lengths, &buffer)
            continue
        }
        writeFrame(.document(document), lengths, &buffer)
    }
    return Array(buffer.readableBytesView)
}

private func writeFrame(_ value: BSONValue, _ lengths: [Int64], _ buffer: inout ByteBuffer) {
    let streams = lengths.enumerated().map { index, length in
        let id = UUID(uuid: (UInt8(index), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
        return BSONDataStream(id: id, length: length)
    }
    let request = RequestMessage(
        id: "1",
        activityID: .zero,
        endPoint: nil,
        service: "S",
        method: "M",
        parameters: [value] + streams.map { $0.value(typed: true) }
    )
    guard (try? MessageEncoder().encode(.document(request.document), into: &buffer)) != nil else {
        fatalError("a request cannot be written: \(request)")
    }
    for stream in streams {
        DataStreamFraming.writeHead(stream, to: &buffer)
        buffer.writeRepeatingByte(0x41, count: Int(stream.length))
        DataStreamFraming.writeTrailer(stream, to: &buffer)
    }
}

/// What a connection reads: a message, the streams it announces, the next message.
private struct Connection: ~Copyable {
    private(set) var transcript: [Received] = []
    private(set) var failed = false
    var unread: [UInt8] { Array(self.buffer.readableBytesView) }
    var isInsideMessage: Bool { self.decoder.isInsideMessage }

    enum Received: Hashable {
        case message([UInt8])
        case streamBegan(BSONDataStream)
        case content([UInt8])
        case streamEnded
    }

    private var buffer = ByteBuffer()
    private var decoder: MessageDecoder
    private var streams: DataStreamReader?
    private static let limits = {
        var limits = HalibutLimits()
        limits.maximumMessageBytes = 1 << 20
        limits.maximumDataStreams = 16
        limits.maximumDataStreamBytes = 1 << 20
        return limits
    }()

    init() { self.decoder = MessageDecoder(limits: Self.limits) }

    mutating func receive(_ bytes: ArraySlice<UInt8>) {
        guard !self.failed else { return }
        if self.buffer.readableBytes == 0 { self.buffer = ByteBuffer() }
        self.buffer.discardReadBytes()
        self.buffer.writeBytes(bytes)
        do throws(WireError) {
            while try self.step() {}
        } catch {
            self.failed = true
        }
    }

    /// False when more bytes are needed.
    private mutating func step() throws(WireError) -> Bool {
        if self.streams != nil { return try self.stepInStreams() }
        guard let content = try self.decoder.decode(&self.buffer) else { return false }
        guard case .document(let document) = content else {
            self.transcript.append(.message([]))
            return true
        }
        let written: [UInt8]
        do { written = try document.encoded() } catch { throw WireError.limit("\(error)") }
        self.transcript.append(.message(written))
        if let request = try? RequestMessage(document) {
            try self.expect(request.dataStreams, of: request.id)
        } else if let response = try? ResponseMessage(document) {
            try self.expect(response.dataStreams, of: response.id)
        }
        return true
    }

    private mutating func expect(_ streams: [BSONDataStream], of id: String) throws(WireError) {
        self.streams = try DataStreamReader(messageID: id, streams: streams, limits: Self.limits)
    }

    private mutating func stepInStreams() throws(WireError) -> Bool {
        guard var reader = self.streams.take() else { return false }
        let event = try reader.read(from: &self.buffer)
        require(reader.remainingContentBytes >= 0, "less than nothing is to come")
        switch event {
        case .begin(let stream): self.transcript.append(.streamBegan(stream))
        case .content(let content):
            let bytes = Array(content.readableBytesView)
            if case .content(let earlier)? = self.transcript.last {
                self.transcript[self.transcript.count - 1] = .content(earlier + bytes)
            } else {
                self.transcript.append(.content(bytes))
            }
        case .end: self.transcript.append(.streamEnded)
        case .complete: return true
        case .needMoreBytes:
            self.streams = consume reader
            return false
        }
        self.streams = consume reader
        return true
    }
}
