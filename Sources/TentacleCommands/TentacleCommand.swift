/// One verb of the command line: a file of its own in `Commands/`.
package protocol TentacleCommand: Sendable {
    static var definition: CommandDefinition { get }

    /// Takes the values; nothing is looked up or written yet.
    init(_ options: ParsedOptions) throws(CommandError)

    func run(_ context: CommandContext) throws
}

/// What help says of a command, and how it is called.
package struct CommandDefinition: Hashable, Sendable {
    package var name: String
    package var aliases: [String] = []
    package var summary: String
    package var options: [OptionDefinition]
    /// The canonical name of the option whose value may also stand alone: `why TICKET`, `why --ticket=TICKET`.
    package var operand: String?
    /// What the operand may be, as help shows them; what follows it is then the command's own to read.
    package var words: [CommandWord] = []
    /// Its standard output is read by machines: messages stay away from it.
    package var isQuiet = false
    /// Leftover arguments are not an error: `help`, and commands that refuse everything.
    package var ignoresUnrecognised = false
    /// Left out of the list of commands.
    package var isHidden = false

    package init(
        _ name: String,
        aliases: [String] = [],
        summary: String,
        options: [OptionDefinition],
        operand: String? = nil,
        words: [CommandWord] = [],
        isQuiet: Bool = false,
        ignoresUnrecognised: Bool = false,
        isHidden: Bool = false
    ) {
        self.name = name
        self.aliases = aliases
        self.summary = summary
        self.options = options
        self.operand = operand
        self.words = words
        self.isQuiet = isQuiet
        self.ignoresUnrecognised = ignoresUnrecognised
        self.isHidden = isHidden
    }

    package func answers(to word: String) -> Bool { self.name == word || self.aliases.contains(word) }
}

/// One of the things that a command with several of them does: `sandbox show POLICY`.
package struct CommandWord: Hashable, Sendable {
    package var name: String
    /// What follows the word, as help shows it.
    package var operands: String
    package var summary: String

    package init(_ name: String, operands: String = "", summary: String) {
        self.name = name
        self.operands = operands
        self.summary = summary
    }
}

/// The commands of the program.
package enum CommandTable {
    package static let all: [any TentacleCommand.Type] = [
        AgentCommand.self, CheckServicesCommand.self, ClearTrustedServersCommand.self, CompletionCommand.self,
        ConfigureCommand.self, CreateInstanceCommand.self, DeleteInstanceCommand.self, DeregisterFromCommand.self,
        DeregisterWorkerCommand.self, DoctorCommand.self, ExtractCommand.self, HelpCommand.self,
        ImportCertificateCommand.self, ImportStockCommand.self, ListInstancesCommand.self, LivezCommand.self,
        LogsCommand.self, MigratePreinstalledKubernetesConfigurationCommand.self, NewCertificateCommand.self,
        PollServerCommand.self, PollingProxyCommand.self, ProxyCommand.self, RegisterCommand.self,
        RegisterKubernetesClusterCommand.self, RegisterKubernetesTargetCommand.self,
        RegisterKubernetesWorkerCommand.self, RegisterWithCommand.self, RegisterWorkerCommand.self, SandboxCommand.self,
        ServerCommsCommand.self, ServiceCommand.self, SetPollingConnectionCountCommand.self,
        ShowConfigurationCommand.self, ShowThumbprintCommand.self, StatusCommand.self, TellCertificateCommand.self,
        UpdateTrustCommand.self, VersionCommand.self, WatchdogCommand.self, WhyCommand.self,
    ]

    /// What is listed and suggested.
    package static var visible: [CommandDefinition] { self.all.map { $0.definition }.filter { !$0.isHidden } }

    /// The command for a word of the command line: any case, any number of leading `-` and `/` (spec 1.2).
    package static func find(_ word: String) -> (any TentacleCommand.Type)? {
        let name = Self.normalized(word)
        return self.all.first { $0.definition.answers(to: name) }
    }

    package static func normalized(_ word: String) -> String {
        String(word.lowercased().drop { $0 == "-" || $0 == "/" })
    }
}

/// Options that several commands share.
package enum CommonOptions {
    package static let help = OptionDefinition("help", kind: .flag, help: "Show detailed help for this command")
    package static let beforeTheCommand = [
        Self.help,
        OptionDefinition(
            "nologo",
            kind: .flag,
            help: "DEPRECATED: Don't print title or version information",
            isHidden: true
        ),
        OptionDefinition(
            "noconsolelogging",
            kind: .flag,
            help:
                "DEPRECATED: Don't log informational messages to the console (stdout) - errors are still logged to stderr",
            isHidden: true
        ),
    ]
    package static let ofTheHost = [
        OptionDefinition("console", kind: .flag, help: "", isHidden: true),
        OptionDefinition("noninteractive", kind: .flag, help: "", isHidden: true),
        OptionDefinition("monitorMutex", help: "", isHidden: true),
    ]
    package static let instance = [
        OptionDefinition("instance", help: "Name of the instance to use"),
        OptionDefinition("config", help: "Configuration file to use"),
    ]
    package static let format = OptionDefinition(
        "format",
        help: "The format of the output (text,json). Defaults to text.",
        choices: OutputFormat.names
    )
}
