/// The part of XML that configuration files use, read as a sequence of events from bounded input.
///
/// Elements, attributes, text, CDATA, the five named entities and character references; comments and processing
/// instructions are skipped. A document type is refused: it could define entities, and no file of ours has one.
struct XMLPullReader {
    enum Event: Hashable {
        case start(name: String, attributes: [String: String])
        case end
        case text(String)
    }

    /// Nesting past this is not a configuration file.
    static let maximumDepth = 32

    struct SyntaxError: Error, Equatable {
        var reason: String
        /// Position in the file, counting from 1.
        var line: Int
    }

    private let bytes: [UInt8]
    private var position: Int
    private var openElements: [String] = []
    private var pendingEnd = false
    private var sawRoot = false

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        self.position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    /// The next event, or nil after the root element.
    mutating func next() throws(SyntaxError) -> Event? {
        if self.pendingEnd {
            self.pendingEnd = false
            self.openElements.removeLast()
            return .end
        }
        while self.position < self.bytes.count {
            if self.openElements.isEmpty { self.skipWhitespace() }
            guard self.position < self.bytes.count else { break }
            if self.skip("<!--") {
                try self.skipPast("-->")
            } else if self.skip("<?") {
                try self.skipPast("?>")
            } else if self.skip("<![CDATA[") {
                guard !self.openElements.isEmpty else { throw self.failure("character data outside the root element") }
                return .text(try self.cdata())
            } else if self.skip("<!") {
                throw self.failure("a document type is not allowed")
            } else if self.skip("</") {
                return try self.endTag()
            } else if self.skip("<") {
                return try self.startTag()
            } else {
                guard !self.openElements.isEmpty else { throw self.failure("text outside the root element") }
                return .text(try self.text())
            }
        }
        guard self.openElements.isEmpty, self.sawRoot else { throw self.failure("the file ends too early") }
        return nil
    }

    private mutating func startTag() throws(SyntaxError) -> Event {
        guard !self.openElements.isEmpty || !self.sawRoot else { throw self.failure("more than one root element") }
        guard self.openElements.count < Self.maximumDepth else { throw self.failure("elements are nested too deeply") }
        self.sawRoot = true
        let name = try self.name()
        var attributes: [String: String] = [:]
        while true {
            self.skipWhitespace()
            if self.skip("/>") {
                self.pendingEnd = true
                break
            }
            if self.skip(">") { break }
            let attribute = try self.name()
            self.skipWhitespace()
            guard self.skip("=") else { throw self.failure("'=' is missing after the attribute '\(attribute)'") }
            self.skipWhitespace()
            attributes[attribute] = try self.attributeValue()
        }
        self.openElements.append(name)
        return .start(name: name, attributes: attributes)
    }

    private mutating func endTag() throws(SyntaxError) -> Event {
        let name = try self.name()
        self.skipWhitespace()
        guard self.skip(">"), self.openElements.last == name else {
            throw self.failure("the end tag '\(name)' does not match")
        }
        self.openElements.removeLast()
        return .end
    }

    private mutating func name() throws(SyntaxError) -> String {
        let start = self.position
        while self.position < self.bytes.count, Self.isNameByte(self.bytes[self.position]) { self.position += 1 }
        guard self.position > start else { throw self.failure("a name is missing") }
        return String(decoding: self.bytes[start..<self.position], as: UTF8.self)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        case UInt8(ascii: "."), UInt8(ascii: ":"), 0x80...: true
        default: false
        }
    }

    private mutating func attributeValue() throws(SyntaxError) -> String {
        guard self.position < self.bytes.count else { throw self.failure("an attribute has no value") }
        let quote = self.bytes[self.position]
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
            throw self.failure("an attribute value is not quoted")
        }
        self.position += 1
        let value = try self.characters { $0 == quote || $0 == UInt8(ascii: "<") }
        guard self.position < self.bytes.count, self.bytes[self.position] == quote else {
            throw self.failure("an attribute value does not end")
        }
        self.position += 1
        return value
    }

    private mutating func text() throws(SyntaxError) -> String {
        try self.characters { $0 == UInt8(ascii: "<") }
    }

    private mutating func cdata() throws(SyntaxError) -> String {
        let start = self.position
        try self.skipPast("]]>")
        return try self.decode(Self.withPlainLineEnds(self.bytes[start..<(self.position - 3)]))
    }

    private static func withPlainLineEnds(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in bytes {
            // Of the two that end a line on Windows one is left.
            if byte == UInt8(ascii: "\n"), result.last == UInt8(ascii: "\r") { result.removeLast() }
            result.append(byte)
        }
        return result.map { $0 == UInt8(ascii: "\r") ? UInt8(ascii: "\n") : $0 }
    }

    /// Text up to a byte that `stop` names, with references replaced and line ends made one line feed.
    private mutating func characters(until stop: (UInt8) -> Bool) throws(SyntaxError) -> String {
        var result: [UInt8] = []
        while self.position < self.bytes.count, !stop(self.bytes[self.position]) {
            let byte = self.bytes[self.position]
            self.position += 1
            switch byte {
            case UInt8(ascii: "&"): result.append(contentsOf: try self.reference().utf8)
            case UInt8(ascii: "\r"):
                if self.position < self.bytes.count, self.bytes[self.position] == UInt8(ascii: "\n") { continue }
                result.append(UInt8(ascii: "\n"))
            default: result.append(byte)
            }
        }
        return try self.decode(result)
    }

    /// The character behind `&…;`, the ampersand already read.
    private mutating func reference() throws(SyntaxError) -> String {
        let longest = 10
        let rest = self.bytes[self.position...].prefix(longest)
        guard let end = rest.firstIndex(of: UInt8(ascii: ";")) else { throw self.failure("'&' stands for nothing") }
        let name = String(decoding: rest[..<end], as: UTF8.self)
        self.position = end + 1
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            let isHexadecimal = name.hasPrefix("#x")
            guard name.hasPrefix("#"),
                let value = UInt32(name.dropFirst(isHexadecimal ? 2 : 1), radix: isHexadecimal ? 16 : 10),
                value != 0, let scalar = Unicode.Scalar(value)
            else { throw self.failure("unknown reference '&\(name);'") }
            return String(Character(scalar))
        }
    }

    private func decode(_ bytes: [UInt8]) throws(SyntaxError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw self.failure("the text is not UTF-8") }
        // Written again it would be another text: there is no way to write such a character.
        if let scalar = text.unicodeScalars.first(where: { !Self.isCharacter($0) }) {
            let number = String(scalar.value, radix: 16, uppercase: true)
            throw self.failure("the character U+\(number) is not allowed in XML")
        }
        return text
    }

    /// What XML 1.0 allows in a text, as itself or as a reference.
    static func isCharacter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\t", "\n", "\r": true
        case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": false
        default: true
        }
    }

    private mutating func skip(_ token: StaticString) -> Bool {
        let length = token.utf8CodeUnitCount
        guard self.bytes.count - self.position >= length else { return false }
        let matches = token.withUTF8Buffer { self.bytes[self.position...].starts(with: $0) }
        if matches { self.position += length }
        return matches
    }

    private mutating func skipPast(_ token: StaticString) throws(SyntaxError) {
        while self.position < self.bytes.count {
            if self.skip(token) { return }
            self.position += 1
        }
        throw self.failure("the file ends too early")
    }

    private mutating func skipWhitespace() {
        while self.position < self.bytes.count {
            switch self.bytes[self.position] {
            case 0x20, 0x09, 0x0A, 0x0D: self.position += 1
            default: return
            }
        }
    }

    private func failure(_ reason: String) -> SyntaxError {
        let newlines = self.bytes.prefix(self.position).count { $0 == UInt8(ascii: "\n") }
        return SyntaxError(reason: reason, line: newlines + 1)
    }
}
