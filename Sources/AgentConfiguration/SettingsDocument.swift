/// The flat key and value store in a Tentacle configuration file (spec tentacle-cli.md 6.1).
///
/// Keys that this program does not know are kept: another version, or the stock agent, may need them.
package struct SettingsDocument: Hashable, Sendable {
    /// Key as spelled in the file, and its value, nil when the element is empty.
    private var entries: [(key: String, value: String?)] = []

    package init() {}

    package init(bytes: [UInt8]) throws(ConfigurationError) {
        do throws(XMLPullReader.SyntaxError) {
            try self.read(bytes)
        } catch {
            throw ConfigurationError(.format, "it is not a configuration file: line \(error.line): \(error.reason)")
        }
    }

    package var keys: [String] { self.entries.map(\.key) }

    /// Value of a key in any spelling; a blank value reads as not set.
    package subscript(key: String) -> String? {
        get {
            let wanted = key.lowercased()
            guard let value = self.entries.last(where: { $0.key.lowercased() == wanted })?.value else { return nil }
            return value.allSatisfy(\.isWhitespace) ? nil : value
        }
        set {
            let wanted = key.lowercased()
            let spelling = self.entries.last { $0.key.lowercased() == wanted }?.key ?? key
            self.entries.removeAll { $0.key.lowercased() == wanted }
            self.entries.append((spelling, newValue))
        }
    }

    package mutating func remove(_ key: String) {
        self.entries.removeAll { $0.key.lowercased() == key.lowercased() }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.encoded() == right.encoded()
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.encoded())
    }

    private mutating func read(_ bytes: [UInt8]) throws(XMLPullReader.SyntaxError) {
        var reader = XMLPullReader(try XMLEncoding.utf8(bytes))
        var path: [String] = []
        var key: String?
        var value = ""
        while let event = try reader.next() {
            switch event {
            case .start(let name, let attributes):
                path.append(name)
                guard path == ["octopus-settings", "set"] else { continue }
                key = attributes["key"]
                value = ""
            case .text(let text):
                if path.count == 2 { value += text }
            case .end:
                path.removeLast()
                if path.count == 1, let finished = key {
                    self[finished] = value.isEmpty ? nil : value
                    key = nil
                }
            }
        }
    }

    /// The file as the stock agent writes it: byte-order mark, sorted by key, one `set` a line, no final line feed.
    package func encoded() -> [UInt8] {
        var text = "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<octopus-settings"
        text += " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""
        text += " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n"
        for (key, value) in self.entries.sorted(by: { $0.key.lowercased() < $1.key.lowercased() }) {
            text += "  <set key=\"\(Self.escaped(key, inAttribute: true))\""
            if let value, !value.isEmpty {
                text += ">\(Self.escaped(value, inAttribute: false))</set>\n"
            } else {
                text += " />\n"
            }
        }
        text += "</octopus-settings>"
        return Array(text.utf8)
    }

    private static func escaped(_ text: String, inAttribute: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"" where inAttribute: result += "&quot;"
            case "\r": result += "&#xD;"
            case "\n" where inAttribute: result += "&#xA;"
            case "\t" where inAttribute: result += "&#x9;"
            // There is no way to write the others; they are in no value of ours.
            case _ where !XMLPullReader.isCharacter(scalar): result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
