/// Bytes from one pipe → lines of valid UTF-8 (tentacle-services.md 8.1).
///
/// A line ends at LF, CR LF or a lone CR, also when CR and LF arrive apart. Invalid bytes become U+FFFD, one for each
/// maximal subpart. What is left at the end is a line. A line longer than `pieceBytes` comes in pieces.
package struct OutputLineSplitter: Sendable {
    /// Bound on what is kept of a line that does not end.
    package static let pieceBytes = 65_536

    private let pieceBytes: Int
    private let mask: SecretMask
    private var pending: [UInt8] = []
    private var lastWasCarriageReturn = false
    /// A piece of the current line was given already: its end must be given too, even if nothing follows.
    private var pieceGiven = false

    /// No piece ends inside of one of the mask's secrets; masking itself is for whoever takes the pieces.
    package init(pieceBytes: Int = OutputLineSplitter.pieceBytes, mask: SecretMask = SecretMask([])) {
        self.pieceBytes = pieceBytes
        self.mask = mask
    }

    /// True when the next bytes belong to a line already begun.
    package var isInsideLine: Bool { !pending.isEmpty || pieceGiven }

    package mutating func feed(_ bytes: [UInt8], _ emit: (ArraySlice<UInt8>, Bool) -> Void) {
        var start = 0
        var index = 0
        let end = bytes.count
        if lastWasCarriageReturn, end > 0 {
            lastWasCarriageReturn = false
            if bytes[0] == 0x0A {
                start = 1
                index = 1
            }
        }
        while index < end {
            let byte = bytes[index]
            guard byte == 0x0A || byte == 0x0D else {
                index += 1
                continue
            }
            emitLine(bytes[start..<index], emit)
            index += 1
            if byte == 0x0D {
                if index == end {
                    lastWasCarriageReturn = true
                } else if bytes[index] == 0x0A {
                    index += 1
                }
            }
            start = index
        }
        pending += bytes[start..<end]
        if pending.count >= pieceBytes { emitPieces(emit) }
    }

    /// The pipe is at its end.
    package mutating func finish(_ emit: (ArraySlice<UInt8>, Bool) -> Void) {
        lastWasCarriageReturn = false
        guard isInsideLine else { return }
        emitLine([], emit)
    }

    private mutating func emitLine(_ rest: ArraySlice<UInt8>, _ emit: (ArraySlice<UInt8>, Bool) -> Void) {
        pieceGiven = false
        if pending.isEmpty {
            Self.repaired(rest) { emit($0, true) }
        } else {
            pending += rest
            Self.repaired(pending[...]) { emit($0, true) }
            pending.removeAll(keepingCapacity: true)
        }
    }

    private mutating func emitPieces(_ emit: (ArraySlice<UInt8>, Bool) -> Void) {
        let end = mask.cut(pending)
        let cut = Self.completePrefix(of: pending[..<end])
        guard cut > 0 else { return }
        Self.repaired(pending[..<cut]) { emit($0, false) }
        pending.removeFirst(cut)
        pieceGiven = true
    }

    /// Where to cut so that a scalar whose last bytes are still to come stays whole.
    private static func completePrefix(of bytes: ArraySlice<UInt8>) -> Int {
        var back = 1
        while back <= 3, back < bytes.count {
            let byte = bytes[bytes.count - back]
            if byte < 0x80 { break }
            if byte >= 0xC0 {
                let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
                return length > back ? bytes.count - back : bytes.count
            }
            back += 1
        }
        return bytes.count
    }

    private static func repaired(_ bytes: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) -> Void) {
        if (try? UTF8Span(validating: bytes.span)) != nil {
            body(bytes)
        } else {
            body(Array(String(decoding: bytes, as: UTF8.self).utf8)[...])
        }
    }
}
