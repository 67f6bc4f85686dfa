package import FoundationEssentials

extension UUID {
    /// The 16 bytes of `Guid.ToByteArray()`: first three groups little-endian, the rest as printed (halibut.md 6.3).
    ///
    /// The same order stands in front of raw data streams.
    package var dotNetBytes: [UInt8] { withUnsafeBytes(of: self.dotNetOrder) { Array($0) } }

    /// The same bytes, not on the heap.
    var dotNetOrder: uuid_t {
        let b = self.uuid
        return (b.3, b.2, b.1, b.0, b.5, b.4, b.7, b.6, b.8, b.9, b.10, b.11, b.12, b.13, b.14, b.15)
    }

    /// The id written as 16 bytes in .NET order; `nil` for another number of bytes.
    package init?(dotNetBytes bytes: some Collection<UInt8>) {
        let read = bytes.withContiguousStorageIfAvailable { UUID(dotNetBuffer: UnsafeRawBufferPointer($0)) }
        guard let uuid = read ?? Array(bytes).withUnsafeBytes({ UUID(dotNetBuffer: $0) }) else { return nil }
        self = uuid
    }

    private init?(dotNetBuffer b: UnsafeRawBufferPointer) {
        guard b.count == 16 else { return nil }
        self.init(
            uuid: (
                b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]
            )
        )
    }

    /// A random one; `UUID()` opens, reads and closes `/dev/urandom` each time.
    package static func random() -> UUID {
        let (high, low) = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))
        func byte(_ bits: UInt64, _ index: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: bits >> (8 * index)) }
        return UUID(
            uuid: (
                byte(high, 0), byte(high, 1), byte(high, 2), byte(high, 3), byte(high, 4), byte(high, 5),
                // Version 4 and variant (RFC 9562 5.4).
                byte(high, 6) & 0x0f | 0x40, byte(high, 7), byte(low, 0) & 0x3f | 0x80, byte(low, 1), byte(low, 2),
                byte(low, 3), byte(low, 4), byte(low, 5), byte(low, 6), byte(low, 7)
            )
        )
    }

    /// The id written as text, in any of the forms `Guid.Parse` takes that occur in practice: D, N, B and P.
    package init?(lenientText text: String) {
        var digits = Array(text.utf8)
        if let first = digits.first, let last = digits.last,
            (first, last) == (0x7b, 0x7d) || (first, last) == (0x28, 0x29)
        {
            digits = Array(digits.dropFirst().dropLast())
        }
        if digits.count == 32 {
            for position in [8, 13, 18, 23] { digits.insert(0x2d, at: position) }
        }
        self.init(uuidString: String(decoding: digits, as: UTF8.self))
    }

    /// The text form used anywhere in the protocol: lower-case, hyphenated.
    package var wireText: String {
        let digits: StaticString = "0123456789abcdef"
        return withUnsafeBytes(of: self.uuid) { bytes in
            String(unsafeUninitializedCapacity: 36) { text in
                var position = 0
                for (index, byte) in bytes.enumerated() {
                    if index == 4 || index == 6 || index == 8 || index == 10 {
                        text[position] = 0x2d
                        position += 1
                    }
                    text[position] = digits.utf8Start[Int(byte >> 4)]
                    text[position + 1] = digits.utf8Start[Int(byte & 0x0f)]
                    position += 2
                }
                return position
            }
        }
    }

    /// All bits zero: what peers send that predate activity ids (halibut.md 7.1).
    package static let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
}
