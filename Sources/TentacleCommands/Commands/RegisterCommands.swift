/// Registers a deployment target; `register` is our name, `register-with` the stock agent's.
package struct RegisterWithCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "register-with",
        aliases: ["register"],
        summary: "Registers this machine as a deployment target with an Octopus Server",
        options: RegistrationOptions.definitions + [
            OptionDefinition(
                "env",
                "environment",
                help:
                    "The environment name, slug or Id to add the machine to - e.g., 'Production'; specify this argument multiple "
                    + "times to add multiple environments"
            ),
            OptionDefinition(
                "role",
                "r",
                help:
                    "The machine role that the machine will assume - e.g., 'web-server'; specify this argument multiple times to "
                    + "add multiple roles"
            ),
            OptionDefinition(
                "tenant",
                help:
                    "A tenant who the machine will be connected to; specify this argument multiple times to add multiple tenants"
            ),
            OptionDefinition(
                "tenanttag",
                help:
                    "A tenant tag which the machine will be tagged with - e.g., 'CustomerType/VIP'; specify this argument "
                    + "multiple times to add multiple tenant tags"
            ),
            OptionDefinition(
                "tenanted-deployment-participation",
                help: "How the machine should participate in tenanted deployments. Allowed values are Untenanted, "
                    + "TenantedOrUntenanted and Tenanted."
            ),
        ]
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try Registrar(options: self.options, isWorker: false, context: context).run()
    }
}

package struct RegisterWorkerCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "register-worker",
        summary: "Registers this machine as a worker with an Octopus Server",
        options: RegistrationOptions.definitions + [
            OptionDefinition(
                "workerpool",
                help:
                    "The worker pool name, slug or Id to add the machine to - e.g., 'Windows Pool'; specify this argument "
                    + "multiple times to add multiple pools"
            )
        ]
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try Registrar(options: self.options, isWorker: true, context: context).run()
    }
}
