import AgentConfiguration

/// `--secret-format` of `configure` (spec tentacle-cli.md 7).
enum SecretFormat {
    static let definition = OptionDefinition(
        "secret-format",
        help: "How certificate and passwords are encrypted in the configuration file: legacy, which every agent reads, "
            + "or MachineKeyV1, under a key beside the file (machinekey.v1), which only the newest agents read",
        choices: SecretProtection.Form.allCases.map(\.rawValue)
    )

    static func chosen(in options: ParsedOptions) throws(CommandError) -> SecretProtection.Form? {
        guard let name = options.text(self.definition.name) else { return nil }
        guard let form = SecretProtection.Form(named: name) else {
            throw CommandError("The secret format '\(name)' is not supported. Try legacy or MachineKeyV1.")
        }
        return form
    }
}
