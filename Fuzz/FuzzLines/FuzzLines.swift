import FuzzSupport
import HalibutProtocol
import NIOCore

/// Opening bytes, identity lines and control lines, whole and in pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLines(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let kind = input.below(3)
    let maximum = input.flag() ? 20_000 : 1 + Int(input.byte())
    var cuts = Cuts(seed: input.byte())
    let bytes = input.rest
    let pieces = cuts.pieces(of: bytes)
    switch kind {
    case 0:
        let whole = openings([bytes[...]], maximum)
        require(whole == openings(pieces, maximum), "pieces change the opening")
        require(whole.left.count + whole.consumed == bytes.count, "bytes got lost")
    case 1:
        let whole = identities([bytes[...]], maximum)
        require(whole == identities(pieces, maximum), "pieces change the identity")
        for identity in whole.values { requireRoundTrip(identity) }
    default:
        let whole = controlLines([bytes[...]], maximum)
        require(whole == controlLines(pieces, maximum), "pieces change the control lines")
        for line in whole.values { requireRoundTrip(line) }
    }
    return 0
}

/// What a reader made of its bytes; what it leaves after an error does not matter.
private struct Outcome<Value: Hashable>: Hashable {
    var values: [Value] = []
    var error: WireError?
    var left: [UInt8] = []
    var consumed = 0
}

private func openings(_ pieces: [ArraySlice<UInt8>], _ maximum: Int) -> Outcome<Opening> {
    var outcome = Outcome<Opening>()
    var reader = OpeningReader(maximumBytes: maximum)
    var buffer = ByteBuffer()
    for piece in pieces {
        buffer.writeBytes(piece)
        outcome.consumed += piece.count
        if outcome.values.isEmpty, let opening = reader.read(from: &buffer) { outcome.values.append(opening) }
    }
    if outcome.values.isEmpty, let opening = reader.read(from: &buffer, atEnd: true) { outcome.values.append(opening) }
    require(outcome.values.count == 1, "an opening that never ends")
    outcome.left = Array(buffer.readableBytesView)
    outcome.consumed -= outcome.left.count
    return outcome
}

private func identities(_ pieces: [ArraySlice<UInt8>], _ maximum: Int) -> Outcome<RemoteIdentity> {
    var reader = IdentityReader(maximumBytes: maximum)
    return values(pieces) { buffer throws(WireError) in try reader.read(from: &buffer) }
}

private func controlLines(_ pieces: [ArraySlice<UInt8>], _ maximum: Int) -> Outcome<ControlLine> {
    var reader = LineReader(maximumBytes: maximum)
    return values(pieces) { buffer throws(WireError) in try reader.readControlLine(from: &buffer) }
}

private func values<Value>(
    _ pieces: [ArraySlice<UInt8>],
    _ read: (inout ByteBuffer) throws(WireError) -> Value?
) -> Outcome<Value> {
    var outcome = Outcome<Value>()
    var buffer = ByteBuffer()
    do throws(WireError) {
        for piece in pieces {
            buffer.writeBytes(piece)
            while let value = try read(&buffer) { outcome.values.append(value) }
        }
        outcome.left = Array(buffer.readableBytesView)
    } catch {
        outcome.error = error
    }
    return outcome
}

private func requireRoundTrip(_ identity: RemoteIdentity) {
    var buffer = ByteBuffer()
    identity.write(to: &buffer)
    var reader = IdentityReader(maximumBytes: .max)
    let again = try? reader.read(from: &buffer)
    require(again == identity, "\(identity) is read back as \(String(describing: again))")
    require(buffer.readableBytes == 0, "\(identity) leaves bytes behind")
}

private func requireRoundTrip(_ line: ControlLine) {
    var buffer = ByteBuffer()
    line.write(to: &buffer)
    var reader = LineReader(maximumBytes: .max)
    let again = try? reader.readControlLine(from: &buffer)
    require(again == line, "\(line) is read back as \(String(describing: again))")
}
