/// The bytes of one run: choices are taken from the front, what they leave is the material.
///
/// An input that is used up answers zero, so that every sequence of bytes is a whole run.
package struct FuzzInput {
    private let bytes: [UInt8]
    private var position = 0

    package init(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        self.bytes = Array(UnsafeBufferPointer(start: start, count: count))
    }

    package var isEmpty: Bool { self.position >= self.bytes.count }

    /// What nobody has taken yet.
    package var rest: [UInt8] { Array(self.bytes[self.position...]) }

    package mutating func byte() -> UInt8 {
        guard !self.isEmpty else { return 0 }
        defer { self.position += 1 }
        return self.bytes[self.position]
    }

    /// A number below `bound`, which is at most 256.
    package mutating func below(_ bound: Int) -> Int { Int(self.byte()) % bound }

    package mutating func flag() -> Bool { self.byte() & 1 == 1 }

    /// As many bytes as there are, at most `count`.
    package mutating func take(_ count: Int) -> [UInt8] {
        let end = min(self.bytes.count, self.position + count)
        defer { self.position = end }
        return Array(self.bytes[self.position..<end])
    }
}

/// Where a run of bytes is cut: sizes from a generator that one byte of the input seeds.
///
/// Not choices from the input itself: those would move whenever the mutator inserts a byte before them.
package struct Cuts {
    private var state: UInt64

    package init(seed: UInt8) { self.state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1 }

    /// The size of the next piece: mostly tiny, sometimes large.
    package mutating func next() -> Int {
        self.state ^= self.state << 13
        self.state ^= self.state >> 7
        self.state ^= self.state << 17
        return switch self.state >> 60 {
        case 0..<8: 1
        case 8..<12: Int(self.state >> 20 & 7) + 1
        case 12..<15: Int(self.state >> 20 & 255) + 1
        default: Int(self.state >> 20 & 65_535) + 1
        }
    }

    /// The pieces of some bytes.
    package mutating func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(self.next())
            pieces.append(piece)
            rest = rest.dropFirst(piece.count)
        }
        return pieces
    }
}

/// Ends the run, and the fuzzer with it, when a property of the code under test does not hold.
package func require(_ holds: Bool, _ property: @autoclosure () -> String) {
    if !holds { fatalError(property()) }
}
