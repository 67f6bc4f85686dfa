import TentacleLog

/// The command line as the log shows it: with the values of sensitive options replaced (spec tentacle-cli.md 1.1).
///
/// Options count as sensitive here when any command's are: a key that is given to the wrong command, or behind a mistyped
/// one, is no less secret.
struct CommandLineRecord {
    private(set) var printable: [String] = []
    private(set) var secrets: [String] = []

    init(_ arguments: [String]) {
        let command = arguments.lazy.compactMap(CommandTable.find).first
        // What one letter means is the command's own affair.
        let others = CommandTable.all.flatMap { $0.definition.options }.filter(\.isSensitive).map { option in
            var option = option
            option.names.removeAll { $0.count == 1 && command != nil }
            return option
        }
        let grammar = OptionGrammar((command?.definition.options ?? []) + others)
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            self.add(argument, grammar, &rest)
        }
    }

    /// Takes the next argument along when it is this one's value.
    private mutating func add(_ argument: String, _ grammar: OptionGrammar, _ rest: inout ArraySlice<String>) {
        guard let (option, start) = grammar.option(in: argument), option.kind != .flag else {
            return self.printable.append(argument)
        }
        guard start < argument.endIndex else {
            self.printable.append(argument)
            if let value = rest.popFirst() { self.printable.append(self.shown(value, of: option)) }
            return
        }
        self.printable.append(argument[..<start] + self.shown(String(argument[start...]), of: option))
    }

    private mutating func shown(_ value: String, of option: OptionDefinition) -> String {
        guard option.isSensitive else { return value }
        self.secrets.append(value)
        return LogMasker.mask
    }
}

/// Names of commands in the log file: those of the stock agent's classes, by which support searches.
enum CommandClass {
    private static let stockNames = [
        "agent": "RunAgentCommand",
        "deregister-from": "DeregisterMachineCommand",
        "poll-server": "PollCommand",
        "polling-proxy": "PollingProxyConfigurationCommand",
        "proxy": "ProxyConfigurationCommand",
        "register": "RegisterMachineCommand",
    ]

    static func name(of type: any TentacleCommand.Type) -> String {
        self.stockNames[type.definition.name] ?? "\(type)"
    }
}
