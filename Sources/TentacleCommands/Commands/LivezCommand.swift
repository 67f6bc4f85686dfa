import AgentConfiguration
import Glibc
import LauncherProtocol

/// Says by its exit code whether the agent lives; for health checks of containers.
package struct LivezCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "livez",
        summary: "Checks that the Tentacle agent is alive, by the age of its heartbeat file",
        options: CommonOptions.instance + [
            OptionDefinition(
                "max-age",
                kind: .integer,
                help: "Seconds since the last heartbeat after which the agent counts as dead. Defaults to "
                    + "\(Self.defaultMaximumAge)."
            )
        ]
    )

    private static let defaultMaximumAge = 60

    private let selector: InstanceSelector
    private let maximumAge: Int

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.maximumAge = options.integer("max-age") ?? Self.defaultMaximumAge
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        guard self.maximumAge > 0 else { throw CommandError("--max-age must be a positive number of seconds.") }
        guard let home = try context.configuration(of: instance).homeDirectory else {
            throw CommandError("Could not determine the Tentacle home directory for the selected instance.")
        }
        let path = "\(home)/\(AgentHome.heartbeat)"
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw CommandError(
                "Liveness heartbeat file not found at \(path); the Tentacle agent may not be running."
            )
        }
        let written = Int64(information.st_mtim.tv_sec) * 1_000_000 + Int64(information.st_mtim.tv_nsec) / 1000
        let age = context.now().sinceEpoch - written
        guard age > Int64(self.maximumAge) * 1_000_000 else { return }
        throw CommandError(
            "Liveness heartbeat at \(path) is stale: last written \(age / 1_000_000)s ago (threshold \(self.maximumAge)s)."
        )
    }
}
