import AgentConfiguration

package struct ListInstancesCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "list-instances",
        summary: "Lists all installed Tentacle instances",
        options: [CommonOptions.format],
        isQuiet: true
    )

    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.format = try OutputFormat(options)
    }

    package func run(_ context: CommandContext) {
        let (instances, warnings) = InstanceRegistry(host: context.host).list()
        for warning in warnings { context.console.error(warning) }
        switch self.format {
        case .text:
            let lines = instances.map { "Instance '\($0.name ?? "")' uses configuration '\($0.configurationPath)'.\n" }
            context.console.write(lines.isEmpty ? "No instances installed" : lines.joined())
        case .json:
            let items = instances.map {
                OrderedJSON.object([
                    .init("InstanceName", .string($0.name ?? "")),
                    .init("ConfigurationFilePath", .string($0.configurationPath)),
                ])
            }
            context.console.write(OrderedJSON.array(items).indented)
        }
    }
}
