import AgentConfiguration

package struct RegisterWithCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "register-with",
        summary: "Registers this machine as a deployment target with an Octopus Server",
        options: RegistrationOptions.definitions + RegistrationOptions.ofTargets
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
        options: RegistrationOptions.definitions + RegistrationOptions.ofWorkers
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try Registrar(options: self.options, isWorker: true, context: context).run()
    }
}

/// Our name for both of them: asks for what is missing on a terminal, and says what it has done (issue 6).
package struct RegisterCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "register",
        summary: "Registers this machine with an Octopus Server: as a deployment target, or as a worker with "
            + "--workerpool. Asks for what is missing on a terminal",
        options: RegistrationOptions.definitions + RegistrationOptions.ofTargets + RegistrationOptions.ofWorkers
    )

    private static let optionsOfTargets = RegistrationOptions.ofTargets.map(\.name)

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        let options = try self.completed(context)
        let isWorker = !options.list("workerpool").isEmpty
        if isWorker, let option = options.occurrences.first(where: { Self.optionsOfTargets.contains($0.name) }) {
            throw CommandError(
                "Option --\(option.name) is for deployment targets, --workerpool for workers. Register one after the other: "
                    + "a machine may be both."
            )
        }
        try Registrar(options: options, isWorker: isWorker, manner: .friendly, context: context).run()
    }

    /// With the answers of whoever sits at the terminal; a script is never asked.
    private func completed(_ context: CommandContext) throws -> ParsedOptions {
        guard let prompt = context.prompt, !context.isNonInteractive else { return self.options }
        let instance = try context.instance(self.options.selector)
        let isPolling = try context.configuration(of: instance).boolean(.noListen) ?? false
        return try RegistrationQuestions(prompt: prompt, context: context, isPollingByDefault: isPolling)
            .completed(self.options)
    }
}
