/// Names a certificate: SHA-1 over its DER as received, the only thing that trust is decided by (halibut.md 2.3).
public struct Thumbprint: Hashable, Sendable, CustomStringConvertible, Codable {
    /// Bytes of a SHA-1 digest.
    package static let byteCount = 20

    private let high: UInt64
    private let middle: UInt64
    private let low: UInt32

    /// Reads 40 hexadecimal digits of either case; blanks and colons between them are skipped (tentacle-cli.md 8.3).
    public init?(_ text: String) {
        var digits: [UInt8] = []
        for character in text.unicodeScalars where !character.properties.isWhitespace && character != ":" {
            // U+200E precedes the digits in what the Windows certificate dialogue copies.
            if character == "\u{200E}" { continue }
            guard character.isASCII, let digit = Character(character).hexDigitValue else { return nil }
            digits.append(UInt8(digit))
        }
        guard digits.count == 2 * Self.byteCount else { return nil }
        self.init(digest: (0..<Self.byteCount).map { digits[2 * $0] << 4 | digits[2 * $0 + 1] })
    }

    /// The thumbprint of a certificate, from the bytes that came over the wire: they are not parsed.
    package init(certificateDER: [UInt8]) {
        self.init(digest: Cryptography.sha1(certificateDER))
    }

    private init(digest: [UInt8]) {
        self.high = digest[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
        self.middle = digest[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
        self.low = digest[16..<20].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// 40 upper-case hexadecimal digits.
    public var description: String {
        let digits: StaticString = "0123456789ABCDEF"
        // Every call carries one: made in one go, it costs one allocation.
        return unsafe String(unsafeUninitializedCapacity: 2 * Self.byteCount) { text in
            for position in 0..<16 {
                let shift = UInt64(60 - 4 * position)
                unsafe text[position] = digits.utf8Start[Int(self.high >> shift & 0x0f)]
                unsafe text[16 + position] = digits.utf8Start[Int(self.middle >> shift & 0x0f)]
            }
            for position in 0..<8 {
                let shift = UInt32(28 - 4 * position)
                unsafe text[32 + position] = digits.utf8Start[Int(self.low >> shift & 0x0f)]
            }
            return 2 * Self.byteCount
        }
    }

    /// Reads the text form.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Thumbprint(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a thumbprint of 40 hex digits")
        }
        self = value
    }

    /// Writes the text form.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
