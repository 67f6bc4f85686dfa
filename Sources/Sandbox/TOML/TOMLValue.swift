/// A value of a TOML text, with the line it begins on.
package struct TOMLValue {
    package var line: Int
    package var kind: Kind

    package enum Kind {
        case string(String)
        case integer(Int64)
        case boolean(Bool)
        case array([TOMLValue])
        case table(TOMLTable)
        /// From headers like `[[rule]]`.
        case tables([TOMLTable])
    }

    /// As an error names it: what was written, or what kind of thing it is.
    package var description: String {
        switch kind {
        case .string(let text): TOMLText.quoted(TOMLText.shortened(text))
        case .integer(let number): "\(number)"
        case .boolean(let value): value ? "true" : "false"
        case .array: "a list"
        case .table: "a table"
        case .tables: "several tables"
        }
    }
}

package struct TOMLEntry {
    package var key: String
    package var line: Int
    package var value: TOMLValue
}

/// Keys in the order of the text; each is there once.
///
/// A class, because the text may come back to a table that it began before. Only the reader changes it.
package final class TOMLTable {
    /// What may still be added to a table follows from what made it.
    enum Origin {
        /// `[a.b]` makes `a`, which may have a header of its own later.
        case implicit
        case header
        /// `a.b = 1` makes `a`, to which only such keys add, and headers below it.
        case dotted
        /// `{ … }`, complete at once.
        case inline
    }

    package let line: Int
    package fileprivate(set) var entries: [TOMLEntry] = []
    fileprivate var origin: Origin

    init(line: Int, _ origin: Origin) {
        self.line = line
        self.origin = origin
    }

    package subscript(key: String) -> TOMLValue? { index(of: key).map { entries[$0].value } }

    private func index(of key: String) -> Int? {
        for index in entries.indices where entries[index].key == key { return index }
        return nil
    }
}

/// One part of a dotted key.
struct TOMLName {
    var text: String
    var line: Int
}

// MARK: - Building

extension TOMLTable {
    /// Keys in one table, which are searched one by one.
    static let maximumKeys = 1024

    /// The table for the keys behind a header.
    func section(_ names: [TOMLName], isArray: Bool, line: Int) throws(TOMLError) -> TOMLTable {
        var table = self
        for name in names.dropLast() { table = try table.headerParent(name) }
        guard let last = names.last else { return table }
        return isArray ? try table.appendElement(last, line) : try table.header(last, line)
    }

    private func headerParent(_ name: TOMLName) throws(TOMLError) -> TOMLTable {
        guard let index = index(of: name.text) else { return try append(name, TOMLTable(line: name.line, .implicit)) }
        switch entries[index].value.kind {
        case .table(let table) where table.origin != .inline: return table
        case .tables(let tables): if let last = tables.last { return last }
        default: break
        }
        throw defined(name, index)
    }

    private func header(_ name: TOMLName, _ line: Int) throws(TOMLError) -> TOMLTable {
        guard let index = index(of: name.text) else { return try append(name, TOMLTable(line: line, .header)) }
        guard case .table(let table) = entries[index].value.kind, table.origin == .implicit else {
            throw defined(name, index)
        }
        table.origin = .header
        return table
    }

    private func appendElement(_ name: TOMLName, _ line: Int) throws(TOMLError) -> TOMLTable {
        let element = TOMLTable(line: line, .header)
        guard let index = index(of: name.text) else {
            try append(name, TOMLValue(line: line, kind: .tables([element])))
            return element
        }
        guard case .tables(var tables) = entries[index].value.kind else { throw defined(name, index) }
        // The one owner of the list, or appending would copy it.
        entries[index].value.kind = .boolean(false)
        tables.append(element)
        entries[index].value.kind = .tables(tables)
        return element
    }

    /// The table in which the last part of a dotted key stands.
    func dottedParent(_ names: [TOMLName]) throws(TOMLError) -> TOMLTable {
        var table = self
        for name in names.dropLast() {
            guard let index = table.index(of: name.text) else {
                table = try table.append(name, TOMLTable(line: name.line, .dotted))
                continue
            }
            guard case .table(let next) = table.entries[index].value.kind, next.origin == .dotted else {
                throw table.defined(name, index)
            }
            table = next
        }
        return table
    }

    /// Before its value is read, so that the error is the first there is.
    func checkIsNew(_ name: TOMLName) throws(TOMLError) {
        if let index = index(of: name.text) { throw defined(name, index) }
    }

    func append(_ name: TOMLName, _ value: TOMLValue) throws(TOMLError) {
        guard entries.count < Self.maximumKeys else {
            throw TOMLError(line: name.line, "a table has more than \(Self.maximumKeys) keys")
        }
        entries.append(TOMLEntry(key: name.text, line: name.line, value: value))
    }

    private func append(_ name: TOMLName, _ table: TOMLTable) throws(TOMLError) -> TOMLTable {
        try append(name, TOMLValue(line: name.line, kind: .table(table)))
        return table
    }

    private func defined(_ name: TOMLName, _ index: Int) -> TOMLError {
        TOMLError(line: name.line, "\(TOMLText.key(name.text)) is already there, on line \(entries[index].line)")
    }
}

// MARK: - Texts

/// What is wrong with a TOML text, and on which line.
package struct TOMLError: Error, Equatable, CustomStringConvertible {
    package var line: Int
    package var text: String

    init(line: Int, _ text: String) {
        self.line = line
        self.text = text
    }

    package var description: String { "line \(line): \(text)" }
}

/// Keys and texts as a file has them.
package enum TOMLText {
    /// A basic string on one line.
    package static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x0A: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0x09: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16, uppercase: true)
                bytes += (digits.utf8.count == 1 ? "\\u000" : "\\u00").utf8
                bytes += digits.utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Without quotes where it needs none.
    static func key(_ text: String) -> String {
        for byte in text.utf8 where !TOMLReader.isBare(byte) { return quoted(shortened(text)) }
        return text.isEmpty ? "\"\"" : shortened(text)
    }

    /// For an error, which is one line for a person.
    static func shortened(_ text: String) -> String {
        let most = 80
        return text.utf8.count <= most ? text : String(text.prefix(most)) + "…"
    }
}
