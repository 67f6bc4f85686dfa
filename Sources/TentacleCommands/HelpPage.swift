import AgentConfiguration

/// Help as text and as JSON (spec tentacle-cli.md 3), made from the command table.
package struct HelpPage: Sendable {
    package var program: String

    private static let commandColumn = 15
    private static let optionColumn = 29
    private static let descriptionColumns = 49
    private static let continuationIndent = 31

    package init(program: String) {
        self.program = program
    }

    // MARK: Text

    package func general(_ commands: [CommandDefinition]) -> String {
        var text = "Usage: \(self.program) <command> [<options>]\n\nWhere <command> is one of: \n\n"
        for command in commands.sorted(by: { $0.name < $1.name }) {
            text += "  \(Self.padded(command.name, Self.commandColumn))\n   \(command.summary)\n"
        }
        return text + "\nOr use <command> --help for more details.\n"
    }

    /// Help on one command, under the word by which it was asked for.
    package func page(_ command: CommandDefinition, calledAs word: String) -> String {
        let operand = command.operand.map { " <\($0)>" } ?? ""
        var text = "Usage: \(self.program) \(word)\(operand) [<options>]\n\n"
        if !command.words.isEmpty {
            text += "Where <word> is one of: \n\n"
            for word in command.words {
                let operands = word.operands.isEmpty ? "" : " " + word.operands
                text += "  \(Self.padded(word.name + operands, Self.commandColumn))\n   \(word.summary)\n"
            }
            text += "\n"
        }
        let options = command.options.filter { !$0.isHidden }
        if !options.isEmpty {
            text += "Where [<options>] is any of: \n\n"
            for option in options { text += Self.lines(of: option) }
            text += "\n"
        }
        return text + "Or one of the common options: \n\n" + Self.lines(of: CommonOptions.help)
    }

    private static func lines(of option: OptionDefinition) -> String {
        var prototype = ""
        for (index, name) in option.namesInHelp.enumerated() {
            let isLetter = name.count == 1
            prototype += index == 0 ? (isLetter ? "  -" : "      --") : (isLetter ? ", -" : ", --")
            prototype += name
        }
        if option.kind != .flag { prototype += "=VALUE" }
        if prototype.count < Self.optionColumn {
            prototype = Self.padded(prototype, Self.optionColumn)
        } else {
            prototype += "\n" + String(repeating: " ", count: Self.optionColumn)
        }
        let indent = "\n" + String(repeating: " ", count: Self.continuationIndent)
        return prototype + Self.wrapped(option.help).joined(separator: indent) + "\n"
    }

    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        var rest = Array(text)[...]
        while rest.count > Self.descriptionColumns {
            let window = rest.prefix(Self.descriptionColumns)
            let end = window.lastIndex { " \t-,.;".contains($0) }.map { $0 + 1 } ?? window.endIndex
            lines.append(String(rest[..<end]))
            rest = rest[end...]
        }
        return lines + [String(rest)]
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    // MARK: JSON

    package func generalJSON(_ commands: [CommandDefinition]) -> String {
        OrderedJSON.object([
            .init("Commands", .array(commands.sorted { $0.name < $1.name }.map { .object(Self.head($0)) }))
        ]).indented
    }

    package func pageJSON(_ command: CommandDefinition) -> String {
        let words = OrderedJSON.array(
            command.words.map {
                .object([
                    .init("Name", .string($0.name)), .init("Operands", .string($0.operands)),
                    .init("Description", .string($0.summary)),
                ])
            }
        )
        let members =
            Self.head(command) + (command.words.isEmpty ? [] : [.init("Words", words)]) + [
                .init("Options", .array(command.options.filter { !$0.isHidden }.map(Self.json))),
                .init("CommonOptions", .array([Self.json(CommonOptions.help)])),
            ]
        return OrderedJSON.object(members).indented
    }

    private static func head(_ command: CommandDefinition) -> [OrderedJSON.Member] {
        [
            .init("Name", .string(command.name)), .init("Description", .string(command.summary)),
            .init("Aliases", .array(command.aliases.map(OrderedJSON.string))),
        ]
    }

    private static func json(_ option: OptionDefinition) -> OrderedJSON {
        .object([.init("Name", .string(option.namesInHelp[0])), .init("Description", .string(option.help))])
    }
}
