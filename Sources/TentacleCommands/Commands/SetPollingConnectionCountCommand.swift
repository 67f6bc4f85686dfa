import AgentConfiguration

package struct SetPollingConnectionCountCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "set-polling-connection-count",
        summary: "Sets the number of connections a polling Tentacle opens to each Octopus Server",
        options: CommonOptions.instance + [
            OptionDefinition(
                "pollingConnectionCount",
                help: "The number of connections a polling Tentacle opens to each Octopus Server"
            )
        ]
    )

    private let selector: InstanceSelector
    private let value: String

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.value = options.rawText("pollingConnectionCount") ?? ""
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        let count = try PollingConnectionCount.parse(self.value)
        try TentacleConfiguration.update(instance.configurationPath, host: context.host) {
            $0.set(.pollingConnectionCount, count)
        }
        context.console.info(PollingConnectionCount.message(count))
        context.remindOfRestart(instance)
    }
}
