/// A completion function for zsh, to be put on its `fpath` as `_tentacle`.
struct ZshCompletion {
    let table: CompletionTable

    func script(programs: [String]) -> String {
        let first = self.table.firstWords.map { "        \(Self.quoted("\(Self.escaped($0.word)):\($0.summary)"))" }
        return """
            #compdef \(programs.joined(separator: " "))
            # Completion of tentacle for zsh. Made by: tentacle completion zsh

            _tentacle_instances() {
                local -a names
                names=(${(f)"$(tentacle list-instances 2>/dev/null | sed -n "s/^Instance '\\(.*\\)' uses configuration '.*'\\.$/\\1/p")"})
                compadd -a names
            }

            _tentacle() {
                local -a commands
                commands=(
            \(first.joined(separator: "\n"))
                )
                if ((CURRENT == 2)); then
                    _describe -t commands command commands
                    return
                fi
                shift words
                ((CURRENT--))
                case $words[1] in
            \(self.table.commands.map(Self.command).joined(separator: "\n"))
                esac
            }

            # Loaded by the completion system it is the function's body, sourced it is a definition.
            if [[ $funcstack[1] == _tentacle ]]; then
                _tentacle "$@"
            else
                compdef _tentacle \(programs.joined(separator: " "))
            fi

            """
    }

    private static func command(_ entry: CompletionTable.Entry) -> String {
        var specifications = entry.options.map { Self.quoted(Self.specification($0)) }
        if !entry.operands.isEmpty {
            specifications.append(Self.quoted("1:word:(\(entry.operands.joined(separator: " ")))"))
        }
        return "        \(entry.words.joined(separator: "|")))\n            _arguments \\\n                "
            + specifications.joined(separator: " \\\n                ") + "\n            ;;"
    }

    private static func specification(_ option: OptionDefinition) -> String {
        let name = "--\(option.nameInShell)"
        // Lists take their option again.
        let help = "[\(Self.bracketed(option.help))]"
        guard let value = option.valueCompletion else { return "\(name)\(help)" }
        return "*\(name)=\(help):\(option.nameInShell):\(Self.action(value))"
    }

    private static func action(_ value: ValueCompletion) -> String {
        switch value {
        case .anything: ""
        case .file: "_files"
        case .directory: "_files -/"
        case .instance: "_tentacle_instances"
        case .choice(let words): "(\(words.joined(separator: " ")))"
        }
    }

    private static func escaped(_ text: String) -> String { text.replacing(":", with: "\\:") }

    private static func bracketed(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("[", with: "\\[").replacing("]", with: "\\]")
    }

    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
}
