import AgentConfiguration
import Glibc

/// What scripts may do on this machine; ours, the stock agent has no such command.
///
/// Becomes `tentacle-launcher`: the code that runs scripts also explains itself, so that both cannot disagree.
package struct SandboxCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "sandbox",
        summary: "Lists, shows, checks, explains and tries the policies by which scripts are confined",
        options: [
            OptionDefinition(
                "format",
                help: "The format of what list, check and explain print (text,json). Defaults to text.",
                choices: OutputFormat.names
            ),
            OptionDefinition("config", help: "Machine file to use instead of /etc/tentacle/launcher.toml"),
            OptionDefinition("policies", help: "Directory of policy files to use instead of /etc/tentacle/policies"),
        ],
        operand: "word",
        words: Word.allCases.map { CommandWord($0.rawValue, operands: $0.operands, summary: $0.summary) },
        isQuiet: true
    )

    enum Word: String, CaseIterable {
        case list, show, check, explain, run

        var operands: String {
            switch self {
            case .list: ""
            case .check: "[<policy>]"
            case .show, .explain: "<policy>"
            case .run: "<policy> -- <program> [<argument>...]"
            }
        }

        var summary: String {
            switch self {
            case .list: "Every policy, built in or of a file, which is the default, and which are forbidden"
            case .show: "A policy as a file would say it, with every value"
            case .check: "What this machine can enforce of a policy; exit code 0 when that is all of it, else 1"
            case .explain: "What happens before a script of the policy starts, step by step"
            case .run: "Runs a program under the policy, in a new directory of its own; exit code is the program's"
            }
        }

        /// What it says is true of one user only.
        var dependsOnUser: Bool { self == .check || self == .explain || self == .run }
        var hasFormat: Bool { self == .list || self == .check || self == .explain }
    }

    private let word: Word
    private let arguments: [String]

    package init(_ options: ParsedOptions) throws(CommandError) {
        let program = options.unrecognised.firstIndex(of: "--")
        let words = options.unrecognised[..<(program ?? options.unrecognised.endIndex)]
        let unknown = words.filter { $0.hasPrefix("-") }
        guard unknown.isEmpty else { throw CommandError(unrecognised: unknown, of: Self.definition) }
        guard let first = options.text("word") else {
            throw CommandError("Say what to do: sandbox \(Self.known). See the help of this command.")
        }
        guard let word = Word(rawValue: first.lowercased()) else {
            throw CommandError("The command sandbox does not know '\(first)'; it knows \(Self.known).")
        }
        self.word = word
        var arguments = ["config", "policies"].flatMap { name in options.text(name).map { ["--\(name)", $0] } ?? [] }
        arguments += ["sandbox", word.rawValue]
        arguments += try Self.operands(of: word, Array(words), program.map { options.unrecognised[$0...] })
        if options.isSet("format") {
            guard word.hasFormat else {
                throw CommandError("sandbox \(word.rawValue) has no --format; list, check and explain have.")
            }
            arguments += ["--format", try OutputFormat(options) == .json ? "json" : "text"]
        }
        self.arguments = arguments
    }

    private static var known: String {
        let names = Word.allCases.map(\.rawValue)
        return names.dropLast().joined(separator: ", ") + " and " + (names.last ?? "")
    }

    private static func operands(
        of word: Word,
        _ words: [String],
        _ program: ArraySlice<String>?
    ) throws(CommandError) -> [String] {
        let maximum = word == .list ? 0 : 1
        guard words.count <= maximum else {
            let extra = words.dropFirst(maximum)
            let hint = word == .run && program == nil ? " The program to run comes after --." : ""
            throw CommandError(CommandError(unrecognised: Array(extra)).message + hint)
        }
        if words.isEmpty, word != .list, word != .check {
            throw CommandError(
                "Give the name of a policy: sandbox \(word.rawValue) \(word.operands). sandbox list names them."
            )
        }
        if let name = words.first, !SandboxPolicyName.isValid(name) {
            throw CommandError(SandboxPolicyName.refusal(name))
        }
        guard word == .run else {
            guard let program else { return words }
            throw CommandError(unrecognised: Array(program))
        }
        guard let program, program.count > 1 else {
            throw CommandError("Give a program to run: sandbox run \(word.operands).")
        }
        return words + program
    }

    package func run(_ context: CommandContext) throws {
        guard let launcher = context.launcherPath else {
            throw CommandError(
                .failure,
                "There is no tentacle-launcher, which knows the sandbox: it is not beside '\(context.programPath)', "
                    + "and TENTACLE_LAUNCHER names none."
            )
        }
        if self.word.dependsOnUser, !context.isRoot, context.hasLauncherOfRoot {
            context.console.error(
                "This is what holds for scripts that \(context.host.userName) starts. The installed service starts them "
                    + "as root: 'sudo \(context.programName) sandbox \(self.word.rawValue)' asks for those."
            )
        }
        let code = context.replaceProcess(launcher, self.arguments)
        throw CommandError(.failure, "Could not start '\(launcher)': \(String(cString: strerror(code))).")
    }
}

extension CommandContext {
    /// The units of the package are here: systemd starts the launcher as root.
    fileprivate var hasLauncherOfRoot: Bool { UnitFiles.path(of: ProjectUnit.socket, self.host) != nil }
}
