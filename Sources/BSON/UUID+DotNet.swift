package import FoundationEssentials

extension UUID {
    /// The 16 bytes of `Guid.ToByteArray()`: first three groups little-endian, the rest as printed (halibut.md 6.3).
    ///
    /// The same order stands in front of raw data streams.
    package var dotNetBytes: [UInt8] {
        let b = self.uuid
        return [
            b.3, b.2, b.1, b.0, b.5, b.4, b.7, b.6, b.8, b.9, b.10, b.11, b.12, b.13, b.14, b.15,
        ]
    }

    /// The id written as 16 bytes in .NET order; `nil` for another number of bytes.
    package init?(dotNetBytes bytes: some Collection<UInt8>) {
        let b = Array(bytes)
        guard b.count == 16 else { return nil }
        self.init(
            uuid: (
                b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]
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
    package var wireText: String { self.uuidString.lowercased() }

    /// All bits zero: what peers send that predate activity ids (halibut.md 7.1).
    package static let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
}
