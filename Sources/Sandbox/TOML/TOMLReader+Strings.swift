/// The four kinds of strings.
extension TOMLReader {
    func isMultiline(_ quote: Unicode.Scalar) -> Bool {
        let quote = UInt8(ascii: quote)
        return position + 2 < bytes.count && bytes[position + 1] == quote && bytes[position + 2] == quote
    }

    mutating func basicString() throws(TOMLError) -> String {
        position += 1
        var start = position
        var text: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                text += bytes[start..<position]
                position += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                text += bytes[start..<position]
                text += try escape()
                start = position
            default:
                try checkInLine(byte)
                position += 1
            }
        }
        throw error("a text without its closing quote")
    }

    mutating func literalString() throws(TOMLError) -> String {
        position += 1
        let start = position
        while let byte = current {
            if byte == UInt8(ascii: "'") {
                position += 1
                return String(decoding: bytes[start..<position - 1], as: UTF8.self)
            }
            try checkInLine(byte)
            position += 1
        }
        throw error("a text without its closing quote")
    }

    private func checkInLine(_ byte: UInt8) throws(TOMLError) {
        guard Self.isControl(byte) else { return }
        throw error(
            byte == 0x0A || byte == 0x0D ? "a text without its closing quote" : "a control character in a text"
        )
    }

    /// Between three quotes; a line's end is one LF in the text, and one right behind the first quotes none.
    mutating func multilineString(_ scalar: Unicode.Scalar) throws(TOMLError) -> String {
        let quote = UInt8(ascii: scalar)
        let start = line
        position += 3
        _ = takeNewline()
        var text: [UInt8] = []
        while let byte = current {
            switch byte {
            case quote:
                let count = takeQuotes(quote)
                // One or two may stand right before the end.
                guard count >= 3 else {
                    text += repeatElement(quote, count: count)
                    continue
                }
                guard count <= 5 else { throw error("too many quotes") }
                text += repeatElement(quote, count: count - 3)
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\") where scalar == "\"":
                if !skipFoldedLines() { text += try escape() }
            default:
                if takeNewline() {
                    text.append(0x0A)
                } else if Self.isControl(byte) {
                    throw error("a control character in a text")
                } else {
                    text.append(byte)
                    position += 1
                }
            }
        }
        throw TOMLError(line: start, "the text that begins here has no closing quotes")
    }

    private mutating func takeQuotes(_ quote: UInt8) -> Int {
        let start = position
        while current == quote { position += 1 }
        return position - start
    }

    /// A backslash at a line's end takes all space up to the next character away.
    private mutating func skipFoldedLines() -> Bool {
        let start = position
        position += 1
        skipSpace()
        guard takeNewline() else {
            position = start
            return false
        }
        repeat { skipSpace() } while takeNewline()
        return true
    }

    private mutating func escape() throws(TOMLError) -> [UInt8] {
        position += 1
        guard let byte = current else { throw error("a text without its closing quote") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): return [byte]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "u"): return try unicodeEscape(digits: 4)
        case UInt8(ascii: "U"): return try unicodeEscape(digits: 8)
        default: throw error("an unknown escape; a \\ itself is written \\\\")
        }
    }

    private mutating func unicodeEscape(digits: Int) throws(TOMLError) -> [UInt8] {
        var number: UInt32 = 0
        for _ in 0..<digits {
            guard let byte = current, let digit = Self.digit(byte) else {
                throw error("expected \(digits) hexadecimal digits")
            }
            number = number << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = Unicode.Scalar(number) else { throw error("there is no such character") }
        return Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
}
