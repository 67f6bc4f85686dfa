import AgentConfiguration

package struct DeleteInstanceCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "delete-instance",
        summary: "Deletes an instance of the Tentacle service",
        options: CommonOptions.instance
    )

    private let selector: InstanceSelector

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
    }

    package func run(_ context: CommandContext) throws {
        let registry = InstanceRegistry(host: context.host)
        // Found even when its configuration file is gone: that is when people want to delete it.
        guard let name = try registry.find(self.selector).name else { return }
        try registry.remove(name: name)
        context.console.info("Deleted instance: \(name)")
    }
}
