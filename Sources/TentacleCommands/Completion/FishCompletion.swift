/// A completion script for fish.
struct FishCompletion {
    let table: CompletionTable

    func script(program: String, aliases: [String]) -> String {
        var text = """
            # Completion of tentacle for fish. Made by: tentacle completion fish
            function __tentacle_instances
                tentacle list-instances 2>/dev/null | string replace -rf "^Instance '(.*)' uses configuration '.*'\\.\\$" '$1'
            end

            """
        let complete = "complete -c \(program)"
        text += "\n\(complete) -f\n"
        for (word, summary) in self.table.firstWords {
            text += "\(complete) -n __fish_use_subcommand -a \(word) -d \(Self.quoted(summary))\n"
        }
        for entry in self.table.commands {
            let condition = "-n '__fish_seen_subcommand_from \(entry.words.joined(separator: " "))'"
            if !entry.operands.isEmpty {
                text += "\(complete) \(condition) -a \(Self.quoted(entry.operands.joined(separator: " ")))\n"
            }
            for option in entry.options {
                text += "\(complete) \(condition) -l \(option.nameInShell)\(Self.value(option.valueCompletion))"
                text += " -d \(Self.quoted(option.help))\n"
            }
        }
        for alias in aliases { text += "complete -c \(alias) -w \(program)\n" }
        return text
    }

    private static func value(_ value: ValueCompletion?) -> String {
        switch value {
        case nil: ""
        case .anything: " -x"
        case .file: " -r -F"
        case .directory: " -x -a '(__fish_complete_directories)'"
        case .instance: " -x -a '(__tentacle_instances)'"
        case .choice(let words): " -x -a \(Self.quoted(words.joined(separator: " ")))"
        }
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
    }
}
