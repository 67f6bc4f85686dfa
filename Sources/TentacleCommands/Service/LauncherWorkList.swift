/// The list `work` of `/etc/tentacle/launcher.toml`: where the launcher's root accepts scripts from.
///
/// Only that list is changed, in the text as it stands; comments and all else stay byte for byte.
struct LauncherWorkList {
    static let path = "/etc/tentacle/launcher.toml"
    /// What the launcher's own unit names.
    static let standard = "/var/lib/tentacle/Work"

    private var text: [UInt8]

    init(_ text: [UInt8]) { self.text = text }

    /// Nil when the directory is in the list already.
    func adding(_ directory: String) throws(CommandError) -> [UInt8]? {
        let quoted = try Self.quoted(directory)
        guard let list = try self.list() else {
            let position = self.placeOfNewList
            let needsLine = position > 0 && self.text[position - 1] != UInt8(ascii: "\n")
            return self.text[..<position] + Array("\(needsLine ? "\n" : "")work = [\(quoted)]\n".utf8)
                + self.text[position...]
        }
        guard !list.items.contains(where: { $0.value == directory }) else { return nil }
        let insertion = list.items.isEmpty ? quoted : "\(quoted), "
        return self.text[..<list.start] + Array(insertion.utf8) + self.text[list.start...]
    }

    // MARK: Reading

    private struct Item {
        var value: String
        /// Behind its closing quote.
        var end: Int
    }

    private struct List {
        /// Behind the opening bracket.
        var start: Int
        var items: [Item]
    }

    /// Starts of lines before the first table, which ends what belongs to the file as a whole.
    private var lines: [Range<Int>] {
        var result: [Range<Int>] = []
        var start = 0
        while start < self.text.count {
            let end = self.text[start...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? self.text.count
            if self.trimmed(start..<end).hasPrefix("[") { break }
            result.append(start..<end)
            start = end
        }
        return result
    }

    private func trimmed(_ range: Range<Int>) -> Substring {
        Substring(String(decoding: self.text[range], as: UTF8.self)).drop(while: \.isWhitespace)
    }

    /// Where the file says what it would be, else at the end of what is not in a table.
    private var placeOfNewList: Int {
        let lines = self.lines
        return (lines.first { self.trimmed($0).hasPrefix("#work ") } ?? lines.last)?.upperBound ?? 0
    }

    private func list() throws(CommandError) -> List? {
        for line in self.lines where self.isStart(line) {
            guard let open = self.text[line].firstIndex(of: UInt8(ascii: "[")) else { throw Self.unclear }
            return List(start: open + 1, items: try self.items(from: open + 1))
        }
        return nil
    }

    private func isStart(_ line: Range<Int>) -> Bool {
        let text = self.trimmed(line)
        guard text.hasPrefix("work") else { return false }
        return text.dropFirst(4).drop { $0 == " " || $0 == "\t" }.hasPrefix("=")
    }

    private func items(from start: Int) throws(CommandError) -> [Item] {
        var items: [Item] = []
        var position = start
        while position < self.text.count {
            let byte = self.text[position]
            switch byte {
            case UInt8(ascii: "]"): return items
            case UInt8(ascii: "#"):
                position = self.text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? self.text.count
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                let item = try self.item(at: position, quote: byte)
                items.append(item)
                position = item.end
            case UInt8(ascii: ","), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                position += 1
            default: throw Self.unclear
            }
        }
        throw Self.unclear
    }

    private func item(at start: Int, quote: UInt8) throws(CommandError) -> Item {
        var value: [UInt8] = []
        var position = start + 1
        while position < self.text.count, self.text[position] != UInt8(ascii: "\n") {
            let byte = self.text[position]
            if byte == quote {
                return Item(value: String(decoding: value, as: UTF8.self), end: position + 1)
            }
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                guard position + 1 < self.text.count, [UInt8(ascii: "\""), byte].contains(self.text[position + 1])
                else {
                    throw Self.unclear
                }
                position += 1
            }
            value.append(self.text[position])
            position += 1
        }
        throw Self.unclear
    }

    private static func quoted(_ directory: String) throws(CommandError) -> String {
        guard directory.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw CommandError(
                "The home directory '\(ReadableText.escapingControls(directory))' has control characters."
            )
        }
        return "\"\(directory.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }

    private static var unclear: CommandError {
        CommandError(
            "The list 'work' in \(Self.path) is not understood. Add the Work directory of the instance to it by hand, "
                + "or use --unit=stock."
        )
    }
}
