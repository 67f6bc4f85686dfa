import AgentConfiguration

/// Shows what scripts print on this host, from the logs in the agent's home; ours, the stock agent has no such command.
package struct LogsCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "logs",
        summary: "Shows the output of deployment scripts on this machine",
        options: CommonOptions.instance + [
            OptionDefinition(
                "follow",
                "f",
                kind: .flag,
                help:
                    "Goes on with what running and new scripts print, until interrupted; with --ticket, until that script ends"
            ),
            OptionDefinition("ticket", "t", help: "Only the script with this ticket"),
        ]
    )

    private static let workDirectory = "Work"

    private let selector: InstanceSelector
    private let isFollowing: Bool
    private let ticket: String?

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.isFollowing = options.isSet("follow")
        self.ticket = options.text("ticket")
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        let home = try context.homeDirectory(of: instance)
        let logs = ScriptLogs(
            directory: home + "/" + Self.workDirectory,
            ticket: self.ticket,
            write: context.console.write
        )
        if self.isFollowing {
            try logs.follow(until: context.interruption)
        } else {
            try logs.printAll()
        }
    }
}
