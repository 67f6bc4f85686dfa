import AgentConfiguration
import Glibc
import TentacleLog

/// The command line as a whole: from the arguments to the exit code (spec tentacle-cli.md 1.1).
package struct TentacleProgram: Sendable {
    private var context: CommandContext

    package init(_ context: CommandContext) {
        self.context = context
    }

    /// Runs the command; the arguments come without the program's name.
    package func run(_ arguments: [String]) -> ExitCode {
        var program = self
        let console = self.context.console
        let host = self.context.host
        let log = OperationLog(
            directory: self.context.keepsLog ? host.defaultLogDirectory : nil,
            threshold: LogLevel(named: host.environment[LogLevel.variable]),
            warn: { console.writeError($0) }
        )
        program.context.console.log = log
        let record = CommandLineRecord(arguments)
        for secret in record.secrets + SecretVariable.allCases.compactMap({ host.variable($0) }) {
            log.masker.hide(secret)
        }
        do {
            let exitCode = try program.start(arguments, record)
            try console.checkResult()
            return exitCode
        } catch {
            let failure = CommandError(error)
            log.settle()
            program.context.console.report(
                failure.exitCode == .controlledFailure ? .error : .fatal,
                failure.message
            )
            FailureReport.lines(exitCode: failure.exitCode.rawValue, logDirectories: log.directories)
                .forEach(console.writeError)
            return failure.exitCode
        }
    }

    private func start(_ arguments: [String], _ record: CommandLineRecord) throws -> ExitCode {
        try TemporaryDirectory(host: self.context.host).check()
        let common = try OptionGrammar(CommonOptions.beforeTheCommand).parse(arguments)
        // A selector without its value is an error even for commands that have none (spec 1.1, step 5).
        let selector = try OptionGrammar(CommonOptions.instance).parse(common.unrecognised).selector
        self.openLog(of: selector)
        guard let word = common.unrecognised.first, let type = CommandTable.find(word), !word.isEmpty else {
            try self.help(common.unrecognised, record)
            return .unknownCommand
        }
        if common.isSet("help") {
            try self.help(common.unrecognised, record)
            return .success
        }
        let host = try OptionGrammar(CommonOptions.ofTheHost).parse(Array(common.unrecognised.dropFirst()))
        var context = self.context
        context.console.isQuiet = common.isSet("noconsolelogging") || type.definition.isQuiet
        context.isNonInteractive = host.isSet("noninteractive") || host.isSet("monitorMutex")
        try Self.execute(type, host.unrecognised, record, context)
        return .success
    }

    /// Says who runs where, and goes on in the instance's own folder if there is an instance (spec 1.1, steps 6 and 7).
    private func openLog(of selector: InstanceSelector) {
        let log = self.context.console.log
        let diagnostics = Diagnostics(host: self.context.host, programName: self.context.programName)
        diagnostics.write(to: log, instance: nil)
        // What is wrong with it is for the command to say, if it needs one.
        if let instance = try? InstanceRegistry(host: self.context.host).select(selector),
            let configuration = try? self.context.configuration(of: instance)
        {
            for key in [ConfigurationKey.proxyPassword, .pollingProxyPassword] {
                log.masker.hide((try? configuration.secret(key)) ?? nil)
            }
            if self.context.keepsLog, let home = configuration.homeDirectory {
                log.move(to: "\(home)/Logs")
                diagnostics.write(to: log, instance: instance)
            }
            for warning in configuration.environment.warnings { log.write(.warning, warning) }
        }
        log.settle()
    }

    private func help(_ arguments: [String], _ record: CommandLineRecord) throws {
        let command = HelpCommand(try OptionGrammar(HelpCommand.definition.options).parse(arguments))
        Self.note(HelpCommand.self, record, self.context)
        command.run(self.context)
    }

    private static func note(
        _ type: any TentacleCommand.Type,
        _ record: CommandLineRecord,
        _ context: CommandContext
    ) {
        let log = context.console.log
        log.write(.info, "==== \(CommandClass.name(of: type)) ====")
        log.write(.info, "CommandLine: \(([context.programPath] + record.printable).joined(separator: " "))")
    }

    private static func execute(
        _ type: any TentacleCommand.Type,
        _ arguments: [String],
        _ record: CommandLineRecord,
        _ context: CommandContext
    ) throws {
        let options = try OptionGrammar(type.definition.options, operand: type.definition.operand).parse(arguments)
        let readsRest = type.definition.ignoresUnrecognised || !type.definition.words.isEmpty
        guard options.unrecognised.isEmpty || readsRest else {
            throw CommandError(unrecognised: options.unrecognised, of: type.definition)
        }
        let command = try type.init(options)
        Self.note(type, record, context)
        try command.run(context)
    }
}

extension CommandError {
    init(_ message: String) { self.init(.controlledFailure, message) }

    init(unrecognised arguments: [String]) {
        self.init("Unrecognized command line arguments: \(arguments.joined(separator: " "))")
    }

    /// Names the options of the command that were probably meant, on a line of its own.
    init(unrecognised arguments: [String], of command: CommandDefinition) {
        self.init(unrecognised: arguments)
        let suggestions = command.suggestions(for: arguments)
        if !suggestions.isEmpty { self.message += "\nDid you mean \(suggestions.joined(separator: ", "))?" }
    }
}

extension ParsedOptions {
    var selector: InstanceSelector {
        InstanceSelector(instance: self.text("instance"), configuration: self.text("config"))
    }
}

extension CommandContext {
    /// The instance that the options select, its configuration file present.
    func instance(_ selector: InstanceSelector) throws(ConfigurationError) -> TentacleInstance {
        let registry = InstanceRegistry(host: self.host)
        let instance = try registry.select(selector)
        if selector == InstanceSelector() {
            // Another one may have been meant.
            for warning in registry.list().warnings { self.console.error(warning) }
        }
        return instance
    }

    /// What the agent goes by; changes are made to the file alone.
    func configuration(of instance: TentacleInstance) throws(ConfigurationError) -> TentacleConfiguration {
        try TentacleConfiguration.effective(from: instance.configurationPath, host: self.host)
    }

    /// Where the agent of the instance keeps scripts and logs.
    func homeDirectory(of instance: TentacleInstance) throws -> String {
        guard let home = try self.configuration(of: instance).homeDirectory else {
            throw CommandError("The Tentacle home directory has not been set. Run the configure command with --home.")
        }
        return home
    }

    /// Said after a change that a running agent has not seen.
    func remindOfRestart(_ instance: TentacleInstance) {
        let what = instance.name == nil ? "service" : "Tentacle"
        self.console.warning("These changes require a restart of the \(what).")
    }
}

/// The folder for temporary files has to be there and writable before any command (spec tentacle-cli.md 1.4).
private struct TemporaryDirectory {
    var host: HostFiles

    func check() throws(CommandError) {
        let path = self.host.temporaryDirectory
        var information = stat()
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
            throw CommandError(
                "The temp folder '\(path)' does not exist. "
                    + "Ensure the user '\(self.host.userName)' has a valid temp folder."
            )
        }
        let probe = "\(path)/tentacle-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let descriptor = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw CommandError(
                "Could not write to temp folder '\(path)'. "
                    + "Ensure the user '\(self.host.userName)' can write to the temp folder."
            )
        }
        close(descriptor)
        unlink(probe)
    }
}
