/// A completion script for bash; needs nothing but bash 4.
struct BashCompletion {
    let table: CompletionTable

    /// The script; `programs` are the names under which the program is called.
    func script(programs: [String]) -> String {
        """
        # Completion of tentacle for bash. Made by: tentacle completion bash
        _tentacle() {
            local current=${COMP_WORDS[COMP_CWORD]} previous='' option='' command=${COMP_WORDS[1]-}
            ((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
            COMPREPLY=()
            if ((COMP_CWORD == 1)); then
                mapfile -t COMPREPLY < <(compgen -W '\(self.table.firstWords.map(\.word).joined(separator: " "))' -- "$current")
                return
            fi
            # "--name=value" comes as three words.
            if [[ $current == = ]]; then
                option=$previous current=
            elif [[ $previous == = ]]; then
                option=${COMP_WORDS[COMP_CWORD - 2]}
            else
                option=$previous
            fi
            local options='' operands=''
            case $command in
        \(self.table.commands.map(self.command).joined(separator: "\n"))
                *) return ;;
            esac
            case "$command $option" in
        \(self.values())
            esac
            if [[ $current != -* && -n $operands ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$operands" -- "$current")
                return
            fi
            mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
            [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
        }

        # Names may hold blanks.
        _tentacle_instances() {
            local name IFS=$'\\n'
            COMPREPLY=()
            while read -r name; do
                [[ $name == "$1"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
            done < <(tentacle list-instances 2>/dev/null | sed -n "s/^Instance '\\(.*\\)' uses configuration '.*'\\.$/\\1/p")
        }

        complete -F _tentacle \(programs.joined(separator: " "))

        """
    }

    private func command(_ entry: CompletionTable.Entry) -> String {
        let options = entry.options.map { option in
            "--\(option.nameInShell)" + (option.valueCompletion == nil ? "" : "=")
        }
        var line = "        \(entry.words.joined(separator: " | ")))\n"
        line += "            options='\(options.joined(separator: " "))'\n"
        if !entry.operands.isEmpty { line += "            operands='\(entry.operands.joined(separator: " "))'\n" }
        return line + "            ;;"
    }

    /// One case for each way of completing a value, with every command and option it is for.
    private func values() -> String {
        var patterns: [ValueCompletion: [String]] = [:]
        var order: [ValueCompletion] = []
        for entry in self.table.commands {
            for option in entry.options {
                guard let value = option.valueCompletion else { continue }
                if patterns[value] == nil { order.append(value) }
                for word in entry.words {
                    for name in option.names {
                        patterns[value, default: []].append("'\(word) \(name.count == 1 ? "-" : "--")\(name)'")
                    }
                }
            }
        }
        return order.map { value in
            let pattern = (patterns[value] ?? []).joined(separator: " | \\\n            ")
            return "        \(pattern))\n            \(Self.action(value))\n            return\n            ;;"
        }.joined(separator: "\n")
    }

    private static func action(_ value: ValueCompletion) -> String {
        switch value {
        case .anything: ":"
        case .file:
            "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$current\")"
        case .directory:
            "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$current\")"
        case .instance: "_tentacle_instances \"$current\""
        case .choice(let words):
            "mapfile -t COMPREPLY < <(compgen -W '\(words.joined(separator: " "))' -- \"$current\")"
        }
    }
}
