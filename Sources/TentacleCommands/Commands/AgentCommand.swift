import AgentConfiguration
import Glibc

/// Becomes the daemon: the program `tentacle-agent` beside this one, so that the daemon carries none of the libraries
/// that only the command line needs (DESIGN.md 2).
package struct AgentCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "agent",
        aliases: ["run"],
        summary: "Starts the Tentacle Agent in debug mode",
        options: CommonOptions.instance + [
            OptionDefinition("wait", kind: .integer, help: "Delay (ms) before starting"),
            OptionDefinition(
                "console",
                kind: .flag,
                help: "Don't attempt to run as a service, even if the user is non-interactive"
            ),
        ]
    )

    private static let daemon = "tentacle-agent"
    /// Shorter waits are not worth one.
    private static let shortestWait = 20

    private let selector: InstanceSelector
    private let wait: Int

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.wait = options.integer("wait") ?? 0
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        if self.wait >= Self.shortestWait {
            context.console.info("Sleeping for \(self.wait)ms...")
            context.pause(.milliseconds(self.wait))
        }
        let path = FilePathText.directory(of: context.programPath) + "/" + Self.daemon
        let selection = instance.name.map { ["--instance", $0] } ?? ["--config", instance.configurationPath]
        let code = context.replaceProcess(
            path,
            selection + [context.isNonInteractive ? "--noninteractive" : "--console"]
                + (context.console.isQuiet ? ["--noconsolelogging"] : [])
        )
        throw CommandError(
            .failure,
            "Could not start '\(path)': \(String(cString: strerror(code))). Install it beside '\(context.programPath)'."
        )
    }
}
