import AgentConfiguration

/// Shows what scripts print on this host, from the logs in the agent's home; ours, the stock agent has no such command.
package struct LogsCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "logs",
        summary: "Shows the output of deployment scripts on this machine, running and past",
        options: CommonOptions.instance + [
            OptionDefinition(
                "follow",
                "f",
                kind: .flag,
                help:
                    "Goes on with what running and new scripts print, until interrupted; with --ticket, until that script ends. Past scripts are shown only when --ticket or --task asks for them"
            ),
            OptionDefinition("ticket", "t", help: "Only the script with this ticket"),
            OptionDefinition("task", help: "Only scripts of this server task, as ServerTasks-12 or 12"),
            OptionDefinition(
                "format",
                help: "The format of the output (text,json). Defaults to text. As json, one object a line.",
                choices: OutputFormat.names
            ),
        ]
    )

    private let selector: InstanceSelector
    private let isFollowing: Bool
    private let filter: ScriptFilter
    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.isFollowing = options.isSet("follow")
        self.filter = ScriptFilter(ticket: options.text("ticket"), task: options.text("task"))
        self.format = try OutputFormat(options)
    }

    package func run(_ context: CommandContext) throws {
        let logs = ScriptLogs(
            homeDirectory: try context.homeDirectory(of: try context.instance(self.selector)),
            filter: self.filter,
            format: self.format,
            console: context.console
        )
        if self.isFollowing {
            try logs.follow(until: context.interruption)
        } else {
            try logs.printAll()
        }
    }
}
