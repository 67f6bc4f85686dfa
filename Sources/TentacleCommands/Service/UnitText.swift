import AgentConfiguration

/// A unit file as lines: comments and blank lines left out, continued lines put together, with their section.
struct UnitText: Hashable {
    struct Entry: Hashable {
        var section: String
        var key: String
        var value: String
    }

    /// No unit of an agent is larger.
    static let maximumBytes = 65_536

    var entries: [Entry] = []
    /// Lines that are none of the format.
    var unreadable: [String] = []

    init(_ text: String) {
        var section = ""
        var pending = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let trimmed = line.trimmed
            if trimmed.isEmpty || trimmed.hasPrefix("#") || trimmed.hasPrefix(";") { continue }
            if trimmed.hasSuffix("\\") {
                pending += trimmed.dropLast() + " "
                continue
            }
            let whole = pending + trimmed
            pending = ""
            if whole.hasPrefix("["), whole.hasSuffix("]") {
                section = String(whole.dropFirst().dropLast())
            } else if let split = whole.firstIndex(of: "="), split > whole.startIndex {
                self.entries.append(
                    Entry(
                        section: section,
                        key: String(whole[..<split].trimmed),
                        value: String(whole[whole.index(after: split)...].trimmed)
                    )
                )
            } else {
                self.unreadable.append(whole)
            }
        }
    }

    func values(_ key: String, in section: String = "Service") -> [String] {
        self.entries.filter { $0.section == section && $0.key == key }.map(\.value)
    }

    /// The last value counts, and an empty one takes the others back.
    func value(_ key: String, in section: String = "Service") -> String? {
        self.values(key, in: section).last.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The words of a value, by systemd's rules of quoting; nil when a quote is not closed.
    static func words(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var rest = text[...]
        while let character = rest.popFirst() {
            if let open = quote {
                if character == open {
                    quote = nil
                } else {
                    word?.append(character == "\\" ? Self.escape(&rest) : character)
                }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character == "\\" ? Self.escape(&rest) : character)
            }
        }
        guard quote == nil else { return nil }
        if let whole = word { words.append(whole) }
        return words.map { $0.replacing("%%", with: "%").replacing("$$", with: "$") }
    }

    private static func escape(_ rest: inout Substring) -> Character {
        switch rest.popFirst() {
        case "n": "\n"
        case "t": "\t"
        case "s": " "
        case let other?: other
        case nil: "\\"
        }
    }
}

extension UnitText {
    /// What the `ExecStart=` of an agent's unit says; nil when the unit runs something else.
    struct AgentCommandLine: Hashable {
        var program: String
        var selection: SystemdUnit.Selection
    }

    /// `…/Tentacle run --instance=NAME --noninteractive` and its spellings, ours (`tentacle-agent`) among them.
    var agentCommandLine: AgentCommandLine? {
        guard let command = self.value("ExecStart"), var words = Self.words(command), !words.isEmpty else { return nil }
        let program = words.removeFirst()
        switch FilePathText.name(of: program) {
        case "Tentacle", "tentacle":
            guard let verb = words.first?.lowercased(), verb == "run" || verb == "agent" else { return nil }
            words.removeFirst()
        case "tentacle-agent": break
        default: return nil
        }
        var selection: SystemdUnit.Selection?
        while !words.isEmpty {
            let word = words.removeFirst()
            let parts = word.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = parts[0].lowercased()
            switch name {
            case "noninteractive", "console", "nologo": continue
            case "instance", "config":
                guard selection == nil, let value = parts.count == 2 ? String(parts[1]) : Self.taken(&words) else {
                    return nil
                }
                selection = name == "instance" ? .instance(value) : .configuration(path: value)
            default: return nil
            }
        }
        return selection.map { AgentCommandLine(program: program, selection: $0) }
    }

    private static func taken(_ words: inout [String]) -> String? { words.isEmpty ? nil : words.removeFirst() }
}
