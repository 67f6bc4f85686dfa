/// What a shell offers for the value of an option.
enum ValueCompletion: Hashable, Sendable {
    /// Nothing is known of it.
    case anything
    case file
    case directory
    /// The name of an instance of this machine, asked for when it is needed.
    case instance
    case choice([String])
}

extension OptionDefinition {
    /// Nil for a flag, which has no value.
    ///
    /// Files and folders by name: such an option means the same in every command that has it.
    var valueCompletion: ValueCompletion? {
        switch (self.kind, self.name) {
        case (.flag, _): nil
        case (.boolean, _): .choice(["true", "false"])
        case _ where !self.choices.isEmpty: .choice(self.choices)
        case (_, "instance"): .instance
        case (_, "config"), (_, "file"), (_, "package"), (_, "server-ca"), (_, "export-pfx"): .file
        case (_, let name) where name.hasSuffix("-file"): .file
        case (_, "home"), (_, "app"), (_, "destination"), (_, "policies"): .directory
        default: .anything
        }
    }

    /// The spelling that a shell offers: the long one.
    var nameInShell: String { self.names.first { $0.count > 1 } ?? self.name }
}

/// The commands that a shell offers, and their options, hidden ones left out.
struct CompletionTable: Sendable {
    struct Entry: Sendable {
        /// The name and its aliases.
        var words: [String]
        var summary: String
        var options: [OptionDefinition]
        /// What may follow the command's name.
        var operands: [String]
    }

    var commands: [Entry]

    init(_ definitions: [CommandDefinition]) {
        let definitions = definitions.sorted { $0.name < $1.name }
        let names = definitions.flatMap { [$0.name] + $0.aliases }.filter { $0.first?.isLetter == true }
        self.commands = definitions.map { command in
            Entry(
                words: ([command.name] + command.aliases).filter { $0.first?.isLetter == true },
                summary: command.summary,
                options: command.options.filter { !$0.isHidden } + [CommonOptions.help],
                operands: command.ignoresUnrecognised ? names : command.words.map(\.name)
            )
        }
    }

    /// Names of commands that are offered as the first word: an alias of one letter helps nobody.
    var firstWords: [(word: String, summary: String)] {
        self.commands.flatMap { entry in
            entry.words.filter { $0.count > 1 }.map { ($0, entry.summary) }
        }
    }
}
