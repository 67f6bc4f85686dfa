/// What a configuration file is encoded in: UTF-8 where a program wrote it, others where an editor did.
enum XMLEncoding {
    /// The declaration is read no further than this.
    private static let longestDeclaration = 256

    /// The bytes as UTF-8, by their byte-order mark or else by what the declaration says.
    static func utf8(_ bytes: [UInt8]) throws(XMLPullReader.SyntaxError) -> [UInt8] {
        if bytes.starts(with: [0xFF, 0xFE]) { return try self.fromUTF16(bytes.dropFirst(2), highByte: 1) }
        if bytes.starts(with: [0xFE, 0xFF]) { return try self.fromUTF16(bytes.dropFirst(2), highByte: 0) }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return bytes }
        switch self.declared(bytes) {
        case nil, "utf-8", "utf8", "us-ascii", "ascii": return bytes
        case "iso-8859-1", "latin1":
            return Array(String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })).utf8)
        case let name?:
            throw XMLPullReader.SyntaxError(reason: "its encoding '\(name)' is not known; save it as UTF-8", line: 1)
        }
    }

    private static func fromUTF16(
        _ bytes: ArraySlice<UInt8>,
        highByte: Int
    ) throws(XMLPullReader.SyntaxError) -> [UInt8] {
        let units = stride(from: bytes.startIndex, to: bytes.endIndex - 1, by: 2).map { index in
            UInt16(bytes[index + highByte]) << 8 | UInt16(bytes[index + 1 - highByte])
        }
        guard bytes.count.isMultiple(of: 2), let text = String(validating: units, as: UTF16.self) else {
            throw XMLPullReader.SyntaxError(reason: "the text is not UTF-16, as its first two bytes say", line: 1)
        }
        return Array(text.utf8)
    }

    /// `<?xml version="1.0" encoding="…"?>`, lower case.
    private static func declared(_ bytes: [UInt8]) -> String? {
        let start = String(decoding: bytes.prefix(self.longestDeclaration), as: UTF8.self)
        guard let end = start.firstRange(of: "?>"), start.hasPrefix("<?xml") else { return nil }
        let declaration = start[..<end.lowerBound]
        guard let name = declaration.firstRange(of: "encoding") else { return nil }
        let value = declaration[name.upperBound...].drop { $0.isWhitespace || $0 == "=" }
        guard let quote = value.first, quote == "'" || quote == "\"" else { return nil }
        return value.dropFirst().prefix { $0 != quote }.lowercased()
    }
}
