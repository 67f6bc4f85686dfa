/// Starts services that are down, for the scheduled task of `watchdog`.
package struct CheckServicesCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "checkservices",
        summary: "Checks the Tentacle instances are running; on Windows only",
        options: [
            OptionDefinition(
                "instances",
                help: "Comma-separated list of instances to check, or * to check all instances"
            )
        ]
    )

    private let instances: String?

    package init(_ options: ParsedOptions) { self.instances = options.text("instances") }

    package func run(_ context: CommandContext) throws {
        guard self.instances != nil else {
            throw CommandError(
                "Use --instances argument to specify which instances to check. Use --instances=* to check all instances."
            )
        }
        throw CommandError.onlyOnWindows
    }
}
