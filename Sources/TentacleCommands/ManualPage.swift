import AgentConfiguration

/// Manual pages in the `man` language, made from the command table as the help is.
struct ManualPage {
    /// Lower case, as pages are called.
    private static let program = "tentacle"
    private static let section = "1"

    private static let exitCodes = [
        ("0", "Success."),
        ("1", "The command refused, or failed in a way that its message explains."),
        ("2", "There is no such command."),
        ("100", "Anything else: a value that cannot be read, a file or a server that cannot be reached."),
    ]

    private static let variables = [
        ("OCTOPUS_API_KEY", "API key for the commands that talk to a server, when no option gives a credential."),
        (
            "TentacleMachineConfigurationHomeDirectory",
            "Takes the place of /etc/octopus for the list of instances."
        ),
        ("OCTOPUS__TENTACLE__LOGLEVEL", "Trace, Debug, Info, Warn, Error, Fatal or Off. Defaults to Info."),
        (
            "DefaultLogDirectory",
            "Where the log is as long as there is no instance. Defaults to Octopus/Logs in $XDG_DATA_HOME or ~/.local/share."
        ),
        (
            "OCTOPUS_CONTRIBUTE_ENV_SETTINGS",
            "With true, TENTACLE_SERVICE_PORT and its like, or a .env file, stand in front of the configuration file."
        ),
        ("TentaclePollingConnectionCount", "Connections to each polled server, in front of the configured number."),
        (
            "TentacleTcpKeepAliveEnabled, TentacleUseTcpNoDelay",
            "With false, the agent's connections go without TCP keep-alive, or wait for more to send. Default to true."
        ),
        (
            "TentacleEnableDataStreamLengthChecks, TentacleUseAsyncListener",
            "Switches of other agents without effect here: the length of data streams is always checked, and there is one "
                + "kind of listener."
        ),
        ("TENTACLE_LAUNCHER", "The program that starts scripts. Defaults to tentacle-launcher beside the program."),
        ("NO_COLOR", "When it is set and not empty, nothing is coloured."),
    ]

    private static let files = [
        ("/etc/octopus/Tentacle/Instances", "The instances of this machine, a file each."),
        ("/etc/tentacle/launcher.toml", "What scripts may do on this machine."),
        ("/etc/tentacle/policies", "Sandbox policies of your own."),
        ("<home>/Logs/OctopusTentacle.txt", "The log of an instance."),
    ]

    /// `tentacle(1)`.
    func general(_ commands: [CommandDefinition]) -> String {
        let commands = commands.sorted { $0.name < $1.name }
        var page = Self.heading(Self.program, "deployment agent that speaks the Octopus Tentacle protocol")
        page += ".SH SYNOPSIS\n.B \(Self.program)\n.I command\n.RI [ options ]\n"
        page += ".SH DESCRIPTION\n"
        page += Self.paragraph(
            "An agent runs deployments on this machine for the servers that it trusts. This program makes its instances, "
                + "registers them with servers, installs them as services, and tells what their scripts do."
        )
        page += Self.paragraph(
            "Options are written --name=value or --name value, in any case; one dash or a slash do as well, and a colon "
                + "in place of the equals sign."
        )
        page += ".SH COMMANDS\n"
        for command in commands {
            let names = ([command.name] + command.aliases).joined(separator: ", ")
            page += ".TP\n.B \(Self.escaped(names))\n\(Self.escaped(command.summary)).\n"
        }
        page += Self.list("EXIT STATUS", Self.exitCodes) + Self.list("ENVIRONMENT", Self.variables)
        page += Self.list("FILES", Self.files)
        return page + Self.seeAlso(commands.map { "\(Self.program)-\($0.name)" })
    }

    /// `tentacle-COMMAND(1)`.
    func page(_ command: CommandDefinition) -> String {
        var page = Self.heading("\(Self.program)-\(command.name)", command.summary)
        page += ".SH SYNOPSIS\n.B \(Self.program) \(Self.escaped(command.name))\n"
        if let operand = command.operand { page += ".I \(Self.escaped(operand))\n" }
        page += ".RI [ options ]\n.SH DESCRIPTION\n\(Self.escaped(command.summary)).\n"
        if !command.aliases.isEmpty {
            page += Self.paragraph("Also called \(command.aliases.joined(separator: ", ")).")
        }
        for word in command.words {
            page +=
                ".TP\n.B \(Self.escaped([word.name, word.operands].filter { !$0.isEmpty }.joined(separator: " ")))\n"
            page += "\(Self.escaped(word.summary)).\n"
        }
        page += ".SH OPTIONS\n"
        for option in command.options.filter({ !$0.isHidden }) + [CommonOptions.help] {
            let names = option.namesInHelp.map { Self.escaped(($0.count == 1 ? "-" : "--") + $0) }
            let value = option.valueCompletion == nil ? "" : "=\\fIvalue\\fR"
            page += ".TP\n\(names.map { "\\fB\($0)\\fR" }.joined(separator: ", "))\(value)\n"
            page += option.help.isEmpty ? "\n" : "\(Self.escaped(option.help))\n"
        }
        return page + Self.seeAlso([Self.program])
    }

    private static func heading(_ name: String, _ summary: String) -> String {
        """
        .\\" Made by: tentacle help --format=man
        .TH \(self.escaped(name.uppercased())) \(self.section) "" "tentacle \(ProductVersion.text)" "Tentacle"
        .SH NAME
        \(self.escaped(name)) \\- \(self.escaped(summary))

        """
    }

    private static func paragraph(_ text: String) -> String { ".PP\n\(self.escaped(text))\n" }

    private static func list(_ title: String, _ entries: [(String, String)]) -> String {
        ".SH \(title)\n"
            + entries.map { ".TP\n.B \(self.escaped($0.0))\n\(self.escaped($0.1))\n" }.joined()
    }

    private static func seeAlso(_ names: [String]) -> String {
        let references = names.map { ".BR \(self.escaped($0)) (\(self.section))" }
        return ".SH SEE ALSO\n" + references.joined(separator: ",\n") + "\n"
    }

    /// Backslashes and hyphens as themselves; a line must not begin like a request.
    private static func escaped(_ text: String) -> String {
        let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("\n", with: " ")
        return plain.first == "." || plain.first == "'" ? "\\&" + plain : plain
    }
}
