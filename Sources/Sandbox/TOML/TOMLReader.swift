/// Reads TOML 1.0, all but fractions and dates, which no file of ours has.
///
/// Own reader because the launcher, a static program that starts for every script, links nothing (docs/dependencies.md).
package struct TOMLReader {
    /// Far more than a file has that a person writes.
    package static let maximumBytes = 65_536
    /// Tables and lists inside of each other; the reader calls itself for each.
    package static let maximumNesting = 16

    let bytes: [UInt8]
    var position = 0
    var line = 1

    /// The table of the whole text.
    package static func read(_ bytes: [UInt8]) throws(TOMLError) -> TOMLTable {
        guard bytes.count <= maximumBytes else {
            throw TOMLError(line: 1, "the file is larger than \(maximumBytes) bytes")
        }
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw TOMLError(line: 1 + bytes[..<error.byteOffsets.lowerBound].count { $0 == 0x0A }, "this is not UTF-8")
        }
        var reader = TOMLReader(bytes: bytes)
        return try reader.document()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func document() throws(TOMLError) -> TOMLTable {
        let root = TOMLTable(line: 1, .header)
        var section = root
        var depth = 0
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        while true {
            skipSpace()
            switch current {
            case nil: return root
            case UInt8(ascii: "["):
                (section, depth) = try header(root)
            case UInt8(ascii: "#"), 0x0A, 0x0D: break
            default: try keyAndValue(into: section, depth: depth)
            }
            try endLine()
        }
    }

    // MARK: Bytes

    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    func error(_ text: String) -> TOMLError { TOMLError(line: line, text) }

    mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x09 { position += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard current == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// LF, or CR and LF.
    mutating func takeNewline() -> Bool {
        if current == 0x0D, position + 1 < bytes.count, bytes[position + 1] == 0x0A { position += 1 }
        guard current == 0x0A else { return false }
        position += 1
        line += 1
        return true
    }

    static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != 0x09 || byte == 0x7F }

    private mutating func skipComment() throws(TOMLError) {
        guard current == UInt8(ascii: "#") else { return }
        while let byte = current, byte != 0x0A {
            if Self.isControl(byte) {
                if byte == 0x0D, position + 1 < bytes.count, bytes[position + 1] == 0x0A { return }
                throw error("a control character in a comment")
            }
            position += 1
        }
    }

    private mutating func endLine() throws(TOMLError) {
        skipSpace()
        try skipComment()
        guard takeNewline() || current == nil else { throw error("the line goes on where it should end") }
    }

    /// Between the values of a list, where lines end anywhere.
    private mutating func skipLines() throws(TOMLError) {
        repeat {
            skipSpace()
            try skipComment()
        } while takeNewline()
    }

    // MARK: Keys and tables

    static func isBare(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private mutating func header(_ root: TOMLTable) throws(TOMLError) -> (TOMLTable, depth: Int) {
        position += 1
        let isArray = take("[")
        let names = try key(depth: 1)
        guard take("]"), !isArray || take("]") else {
            throw error("expected \(isArray ? "]]" : "]") behind the table's name")
        }
        return (try root.section(names, isArray: isArray, line: line), names.count)
    }

    /// `depth` is how many tables and lists are around the key.
    private mutating func keyAndValue(into table: TOMLTable, depth: Int) throws(TOMLError) {
        let names = try key(depth: depth)
        guard let last = names.last else { return }
        guard take("=") else { throw error("expected = behind \(TOMLText.key(last.text))") }
        let parent = try table.dottedParent(names)
        try parent.checkIsNew(last)
        skipSpace()
        try parent.append(last, value(depth: depth + names.count - 1))
    }

    private mutating func key(depth: Int) throws(TOMLError) -> [TOMLName] {
        var names: [TOMLName] = []
        repeat {
            skipSpace()
            names.append(TOMLName(text: try name(), line: line))
            skipSpace()
        } while take(".")
        try checkDepth(depth + names.count - 1)
        return names
    }

    private mutating func name() throws(TOMLError) -> String {
        switch current {
        case UInt8(ascii: "\""): return try basicString()
        case UInt8(ascii: "'"): return try literalString()
        default:
            let start = position
            while let byte = current, Self.isBare(byte) { position += 1 }
            guard position > start else {
                throw error("expected a key: letters, digits, _ and -, or anything in quotes")
            }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }
    }

    private func checkDepth(_ depth: Int) throws(TOMLError) {
        guard depth <= Self.maximumNesting else {
            throw error("tables and lists are more than \(Self.maximumNesting) inside of each other")
        }
    }

    // MARK: Values

    private mutating func value(depth: Int) throws(TOMLError) -> TOMLValue {
        let start = line
        switch current {
        case UInt8(ascii: "\""):
            return TOMLValue(line: start, kind: .string(try isMultiline("\"") ? multilineString("\"") : basicString()))
        case UInt8(ascii: "'"):
            return TOMLValue(line: start, kind: .string(try isMultiline("'") ? multilineString("'") : literalString()))
        case UInt8(ascii: "["):
            try checkDepth(depth + 1)
            return TOMLValue(line: start, kind: .array(try array(depth: depth + 1)))
        case UInt8(ascii: "{"):
            try checkDepth(depth + 1)
            return TOMLValue(line: start, kind: .table(try inlineTable(depth: depth + 1)))
        default: return TOMLValue(line: start, kind: try word())
        }
    }

    private mutating func array(depth: Int) throws(TOMLError) -> [TOMLValue] {
        let start = line
        position += 1
        var values: [TOMLValue] = []
        while true {
            try skipLines()
            if take("]") { return values }
            guard current != nil else { throw TOMLError(line: start, "the list that begins here has no ]") }
            values.append(try value(depth: depth))
            try skipLines()
            if take(",") { continue }
            if take("]") { return values }
            guard current != nil else { throw TOMLError(line: start, "the list that begins here has no ]") }
            throw error("expected , or ] behind a value of the list")
        }
    }

    private mutating func inlineTable(depth: Int) throws(TOMLError) -> TOMLTable {
        position += 1
        let table = TOMLTable(line: line, .inline)
        skipSpace()
        if take("}") { return table }
        repeat {
            try keyAndValue(into: table, depth: depth)
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("expected , or } behind a value of the table") }
        return table
    }

    private mutating func word() throws(TOMLError) -> TOMLValue.Kind {
        let start = position
        while let byte = current, Self.isBare(byte) || isOfNumbers(byte) { position += 1 }
        let word = bytes[start..<position]
        guard let first = word.first else {
            throw error("expected a value: a text in quotes, a number, true, false, a list or a table")
        }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            return .integer(try integer(word))
        default: break
        }
        let text = String(decoding: word, as: UTF8.self)
        switch text {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "inf", "nan": throw error("numbers are whole here")
        default: throw error("a text stands in quotes: \(TOMLText.quoted(TOMLText.shortened(text)))")
        }
    }

    private func isOfNumbers(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":")
    }

    private func integer(_ word: ArraySlice<UInt8>) throws(TOMLError) -> Int64 {
        let isNegative = word.first == UInt8(ascii: "-")
        var digits = word
        let isSigned = isNegative || word.first == UInt8(ascii: "+")
        if isSigned { digits = digits.dropFirst() }
        var radix: Int64 = 10
        if !isSigned, digits.count > 1, digits.first == UInt8(ascii: "0") {
            switch digits[digits.startIndex + 1] {
            case UInt8(ascii: "x"): radix = 16
            case UInt8(ascii: "o"): radix = 8
            case UInt8(ascii: "b"): radix = 2
            default: break
            }
            if radix != 10 { digits = digits.dropFirst(2) }
        }
        if radix == 10 { try refuseOthers(digits) }
        if radix == 10, digits.count > 1, digits.first == UInt8(ascii: "0") {
            throw error("a number does not begin with 0; one of base 8 begins with 0o")
        }
        return try number(digits, radix, isNegative)
    }

    private func number(_ digits: ArraySlice<UInt8>, _ radix: Int64, _ isNegative: Bool) throws(TOMLError) -> Int64 {
        var number: Int64 = 0
        // An underscore has a digit on both of its sides.
        var isBehindDigit = false
        for byte in digits {
            if byte == UInt8(ascii: "_"), isBehindDigit {
                isBehindDigit = false
                continue
            }
            guard let digit = Self.digit(byte), digit < radix else { throw error("this is not a number") }
            isBehindDigit = true
            let (product, isTooLarge) = number.multipliedReportingOverflow(by: radix)
            let (sum, isOver) =
                isNegative
                ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !isTooLarge, !isOver else { throw error("the number is too large") }
            number = sum
        }
        guard isBehindDigit else { throw error("this is not a number") }
        return number
    }

    private func refuseOthers(_ digits: ArraySlice<UInt8>) throws(TOMLError) {
        if digits.elementsEqual("inf".utf8) || digits.elementsEqual("nan".utf8) {
            throw error("numbers are whole here")
        }
        for byte in digits {
            switch byte {
            case UInt8(ascii: ":"), UInt8(ascii: "-"): throw error("there are no dates and times here")
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): throw error("numbers are whole here")
            default: break
            }
        }
    }

    static func digit(_ byte: UInt8) -> Int64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int64(byte) - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int64(byte) - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int64(byte) - 55
        default: nil
        }
    }
}
