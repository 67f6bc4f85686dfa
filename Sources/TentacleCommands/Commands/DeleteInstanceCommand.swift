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
        let unit = SystemdUnit.name(of: .instance(name))
        guard DurableFile.exists(ServicePlan.unitPath(unit, context.host)) else { return }
        // As in the stock agent it stays; what it starts will not find its configuration any more.
        context.console.info(
            "The service \(unit) is still installed. Remove it with "
                + "'\(context.programName) service --instance \(SystemdUnit.quotedPath(name)) --stop --uninstall'."
        )
    }
}
