/// Replaces secrets in what a script prints by `********` (tentacle-services.md 8.5).
///
/// A secret, without its line ends, and its URL-encoded forms. One that is cut by the end of a line: of the second line,
/// what completes it is masked, as the reference does.
package struct SecretMask: Sendable {
    /// Shorter ones would mask half of the log.
    private static let minimumCharacters = 4
    private static let mask = Array("********".utf8)

    /// The longest first, so that none is masked in part by a shorter one.
    private let patterns: [[UInt8]]
    /// Of each pattern, how many of its first bytes a source's last line ended with.
    private var begun: [OutputLogRecord.Source: [Int]] = [:]

    package init(_ secrets: [String]) {
        var patterns: Set<[UInt8]> = []
        for secret in secrets {
            let text = secret.filter { !$0.isNewline }
            guard text.count >= Self.minimumCharacters, !text.allSatisfy(\.isWhitespace) else { continue }
            patterns.insert(Array(text.utf8))
            for space in ["+", "%20"] {
                let upper = Self.percentEncoded(text, space: space)
                patterns.insert(Array(upper.utf8))
                patterns.insert(Array(Self.lowercasingEscapes(upper).utf8))
            }
        }
        self.patterns = patterns.sorted { $0.count > $1.count }
    }

    package var isEmpty: Bool { patterns.isEmpty }

    /// The line, or the piece of one, without the secrets.
    package mutating func masked(_ line: ArraySlice<UInt8>, of source: OutputLogRecord.Source) -> ArraySlice<UInt8> {
        var result: [UInt8] = []
        var index = line.startIndex
        if let begun = begun[source] {
            let ends = zip(patterns, begun).filter { $1 > 0 && line.starts(with: $0[$1...]) }
            if let longest = ends.map({ $0.count - $1 }).max() {
                result += Self.mask
                index += longest
            }
        }
        var start = index
        while index < line.endIndex {
            if let pattern = patterns.first(where: { line[index...].starts(with: $0) }) {
                result += line[start..<index]
                result += Self.mask
                index += pattern.count
                start = index
            } else {
                index += 1
            }
        }
        begun[source] = patterns.map { Self.begun($0, at: line[start...]) }
        if result.isEmpty { return line }
        return (result + line[start...])[...]
    }

    /// How much of the beginning of a line can be given away, so that no secret is cut in two, not even one whose end is
    /// still to come.
    func cut(_ bytes: [UInt8]) -> Int {
        guard let longest = patterns.first?.count else { return bytes.count }
        let end = max(0, bytes.count - (longest - 1))
        let start = max(0, end - (longest - 1))
        // A secret that begins before the end is here as a whole.
        return (start..<end).first { index in
            patterns.contains { index + $0.count > end && bytes[index...].starts(with: $0) }
        } ?? end
    }

    private static func begun(_ pattern: [UInt8], at line: ArraySlice<UInt8>) -> Int {
        for length in stride(from: min(pattern.count - 1, line.count), to: 0, by: -1)
        where line.suffix(length).elementsEqual(pattern[..<length]) { return length }
        return 0
    }

    /// As .NET's `WebUtility.UrlEncode`.
    private static func percentEncoded(_ text: String, space: String) -> String {
        let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!*()".utf8)
        return text.utf8.reduce(into: "") { result, byte in
            if plain.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else if byte == 0x20 {
                result += space
            } else {
                result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
    }

    private static func lowercasingEscapes(_ text: String) -> String {
        var escape = 0
        return String(
            text.map { character in
                if character == "%" {
                    escape = 2
                    return character
                }
                guard escape > 0 else { return character }
                escape -= 1
                return Character(character.lowercased())
            }
        )
    }
}
