/// A scheduled task of Windows; here `Restart=` of the systemd unit does its work.
package struct WatchdogCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "watchdog",
        summary: "Configure a scheduled task to monitor the Tentacle service(s); on Windows only",
        options: [
            OptionDefinition("create", kind: .flag, help: "Create the watchdog task for the given instances"),
            OptionDefinition("delete", kind: .flag, help: "Delete the watchdog task for the given instances"),
            OptionDefinition(
                "interval",
                kind: .integer,
                help: "The interval, in minutes, at which the service(s) should be tested"
            ),
            OptionDefinition(
                "instances",
                help: "List of instances to be checked, or * to check all instances (default: *)"
            ),
        ]
    )

    package init(_ options: ParsedOptions) {}

    package func run(_ context: CommandContext) throws { throw CommandError.onlyOnWindows }
}

extension CommandError {
    static let onlyOnWindows = CommandError("This command is only supported on Windows.")
}
