/// The commands of the stock agent inside a Kubernetes cluster, which this agent is not made for.
///
/// They are left out of help and take every option, so that a script that has them sees why they fail.
enum KubernetesCommands {
    static func definition(_ name: String, _ summary: String) -> CommandDefinition {
        CommandDefinition(name, summary: summary, options: [], ignoresUnrecognised: true, isHidden: true)
    }

    static func refusal(_ definition: CommandDefinition) -> CommandError {
        CommandError(
            "The command \(definition.name) is not supported: this agent does not run inside a Kubernetes cluster. Use "
                + "register-with or register-worker for a machine."
        )
    }
}

package struct RegisterKubernetesClusterCommand: TentacleCommand {
    package static let definition = KubernetesCommands.definition(
        "register-k8s-cluster",
        "Registers a Kubernetes cluster with an Octopus Server; not supported"
    )

    package init(_ options: ParsedOptions) {}

    package func run(_ context: CommandContext) throws { throw KubernetesCommands.refusal(Self.definition) }
}

package struct RegisterKubernetesTargetCommand: TentacleCommand {
    package static let definition = KubernetesCommands.definition(
        "register-k8s-target",
        "Registers a Kubernetes deployment target with an Octopus Server; not supported"
    )

    package init(_ options: ParsedOptions) {}

    package func run(_ context: CommandContext) throws { throw KubernetesCommands.refusal(Self.definition) }
}

package struct RegisterKubernetesWorkerCommand: TentacleCommand {
    package static let definition = KubernetesCommands.definition(
        "register-k8s-worker",
        "Registers a Kubernetes worker with an Octopus Server; not supported"
    )

    package init(_ options: ParsedOptions) {}

    package func run(_ context: CommandContext) throws { throw KubernetesCommands.refusal(Self.definition) }
}

package struct MigratePreinstalledKubernetesConfigurationCommand: TentacleCommand {
    package static let definition = KubernetesCommands.definition(
        "migrate-preinstalled-k8s-config",
        "Migrates the configuration of a preinstalled Kubernetes agent; not supported"
    )

    package init(_ options: ParsedOptions) {}

    package func run(_ context: CommandContext) throws { throw KubernetesCommands.refusal(Self.definition) }
}
