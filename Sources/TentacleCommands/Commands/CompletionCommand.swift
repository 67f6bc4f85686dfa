/// Prints a completion script for a shell; ours, the stock agent has no such command.
package struct CompletionCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "completion",
        summary: "Prints what makes a shell complete commands, options and instances",
        options: [],
        operand: "word",
        words: Shell.allCases.map { CommandWord($0.rawValue, summary: $0.summary) },
        isQuiet: true
    )

    enum Shell: String, CaseIterable {
        case bash, zsh, fish

        var summary: String {
            switch self {
            case .bash: "For /usr/share/bash-completion/completions/tentacle, or: source <(tentacle completion bash)"
            case .zsh: "For a file _tentacle in a directory of $fpath, or: source <(tentacle completion zsh)"
            case .fish: "For ~/.config/fish/completions/tentacle.fish, or: tentacle completion fish | source"
            }
        }
    }

    /// The stock agent's name for it and the plain one.
    private static let programs = ["tentacle", "Tentacle"]

    private let shell: Shell

    package init(_ options: ParsedOptions) throws(CommandError) {
        guard options.unrecognised.isEmpty else { throw CommandError(unrecognised: options.unrecognised) }
        let known = Shell.allCases.map(\.rawValue).joined(separator: ", ")
        guard let word = options.text("word") else {
            throw CommandError("Say for which shell: one of \(known).")
        }
        guard let shell = Shell(rawValue: word.lowercased()) else {
            throw CommandError("There is no completion for the shell '\(word)'; there is one for \(known).")
        }
        self.shell = shell
    }

    package func run(_ context: CommandContext) {
        let table = CompletionTable(CommandTable.visible)
        let script =
            switch self.shell {
            case .bash: BashCompletion(table: table).script(programs: Self.programs)
            case .zsh: ZshCompletion(table: table).script(programs: Self.programs)
            case .fish:
                FishCompletion(table: table).script(
                    program: Self.programs[0],
                    aliases: Array(Self.programs.dropFirst())
                )
            }
        context.console.write(script)
    }
}
