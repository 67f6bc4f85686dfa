import AgentConfiguration
import FoundationEssentials
import Glibc
import HostIntegration
import Logging
import NIOCore
import NIOPosix
import SecureTransport
import ServiceLifecycle
import TentacleLog
import UnixSignals

/// The daemon as a whole: from the arguments to the exit code.
package enum AgentProgram {
    /// After this long a stop no longer waits for calls under way.
    private static let stopTimeout = Duration.seconds(20)

    /// The program file, with links resolved.
    static var path: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    /// Runs the agent until it is told to stop; returns the exit code of tentacle-cli.md 1.4.
    package static func main(_ arguments: [String]) async -> Int32 {
        // From the first moment on: by default the signal ends a process.
        let reloads = await UnixSignalsSequence(trapping: .sighup)
        let host = HostFiles.current()
        let threshold = LogLevel(named: host.environment[LogLevel.variable])
        // Until there is a home directory.
        var file = OperationLog(
            directory: host.defaultLogDirectory,
            threshold: threshold,
            warn: AgentLog.writeToConsole
        )
        for variable in EnvironmentSettings.secretVariables { file.masker.hide(host.environment[variable.rawValue]) }
        do {
            let arguments = try AgentArguments(arguments)
            let settings = try AgentSettings.load(arguments.selector, host: host)
            for proxy in [settings.proxy, settings.pollingProxy] { file.masker.hide(proxy.password) }
            if let home = settings.homeDirectory {
                file = OperationLog(
                    directory: "\(home)/Logs",
                    threshold: threshold,
                    masker: file.masker,
                    warn: AgentLog.writeToConsole
                )
            }
            file.settle()
            try await run(settings, arguments, host, file, reloads)
            return 0
        } catch {
            let failure = AgentFailure(error)
            file.settle()
            AgentLog(file: file).write(failure.exitCode == .controlled ? .error : .fatal, failure.description)
            FailureReport.lines(exitCode: failure.exitCode.rawValue, logDirectories: file.directories)
                .forEach(AgentLog.writeToConsole)
            return failure.exitCode.rawValue
        }
    }

    private static func run(
        _ settings: AgentSettings,
        _ arguments: AgentArguments,
        _ host: HostFiles,
        _ file: OperationLog,
        _ reloads: UnixSignalsSequence
    ) async throws {
        let isInJournal = JournalLogHandler.isJournalStream(STDERR_FILENO, environment: host.environment)
        // What goes to the journal with its fields does not go there a second time as text.
        let console: AgentLog.Console = arguments.logsToConsole ? .everything : .errors
        let log = AgentLog(file: file, console: isInJournal ? .nothing : console)
        let logger = makeLogger(log, isInJournal: isInJournal, instance: settings.instance.name)
        Diagnostics(host: host, programName: FilePathText.name(of: path)).write(to: file, instance: settings.instance)
        for warning in settings.environment.warnings { file.write(.warning, warning) }
        var settings = settings
        let identity = try settings.identity ?? makeIdentity(for: settings, host, logger)
        settings.identity = identity
        settings.trustedServers = try fixCommunicationStyles(of: settings, host, logger)
        let loops = min(AgentServices.maximumEventLoops, System.coreCount)
        let eventLoops = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        var services = try AgentServices(
            settings: settings,
            identity: identity,
            host: host,
            eventLoops: eventLoops,
            logger: logger
        ).make(reloads: reloads)
        if arguments.isInteractive { services.append(ConsoleHost(logger: logger)) }
        var configuration = ServiceGroupConfiguration(
            services: services.map {
                ServiceGroupConfiguration.ServiceConfiguration(
                    service: $0,
                    successTerminationBehavior: $0 is ConsoleHost ? .gracefullyShutdownGroup : .ignore,
                    failureTerminationBehavior: .cancelGroup
                )
            },
            gracefulShutdownSignals: [.sigterm, .sigint, .sigquit],
            // Its own life is of no interest to operators.
            logger: Logger(label: "tentacle.services") { _ in SwiftLogNoOpLogHandler() }
        )
        configuration.maximumGracefulShutdownDuration = stopTimeout
        try await ServiceGroup(configuration: configuration).run()
        file.write(.info, "The agent has stopped")
    }

    private static func makeLogger(_ log: AgentLog, isInJournal: Bool, instance: String?) -> Logger {
        guard let level = Logger.Level(log.file.threshold) else {
            return Logger(label: "tentacle") { _ in SwiftLogNoOpLogHandler() }
        }
        return Logger(label: "tentacle") { label in
            let handler = AgentLogHandler(log: log, level: level)
            guard isInJournal else { return handler }
            var journal = JournalLogHandler(label: label, identifier: "tentacle")
            journal.logLevel = level
            journal[metadataKey: "tentacle.instance"] = instance.map { "\($0)" }
            return MultiplexLogHandler([handler, MaskingLogHandler(base: journal, masker: log.file.masker)])
        }
    }

    /// An agent without a certificate makes itself one (tentacle-cli.md 15.1).
    private static func makeIdentity(
        for settings: AgentSettings,
        _ host: HostFiles,
        _ logger: Logger
    ) throws -> TLSIdentity {
        let identity = try TLSIdentity.generate()
        do {
            try TentacleConfiguration.update(settings.instance.configurationPath, host: host) {
                try $0.setIdentity(identity)
            }
            logger.info("A new certificate has been generated and installed as none were yet available. Thumbprint:")
        } catch {
            logger.warning("A new certificate could not be stored and lives until the agent stops: \(error)")
        }
        logger.info("\(identity.thumbprint)")
        return identity
    }
}

extension AgentProgram {
    /// Servers that were trusted without saying how they get in touch dial us (tentacle-cli.md 15.1).
    private static func fixCommunicationStyles(
        of settings: AgentSettings,
        _ host: HostFiles,
        _ logger: Logger
    ) throws -> [TrustedServer] {
        guard !settings.noListen, settings.trustedServers.contains(where: { $0.communicationStyle == .none }) else {
            return settings.trustedServers
        }
        guard settings.environment[.trustedServers] == nil else {
            // Not the file's to say.
            return settings.trustedServers.map { server in
                var server = server
                if server.communicationStyle == .none {
                    server.communicationStyle = .listening
                    logger.info("Fixed communication style for: \(server.thumbprint)")
                }
                return server
            }
        }
        return try TentacleConfiguration.update(settings.instance.configurationPath, host: host) { configuration in
            var servers = try configuration.trustedServers()
            for index in servers.indices where servers[index].communicationStyle == .none {
                servers[index].communicationStyle = .listening
                logger.info("Fixed communication style for: \(servers[index].thumbprint)")
            }
            configuration.setTrustedServers(servers)
            return servers
        }
    }
}

/// Ends the agent at an empty line or the end of standard input (tentacle-cli.md 1.5).
private struct ConsoleHost: Service {
    let logger: Logger

    func run() async throws {
        logger.info("Running. Press <enter> to shut down...")
        let (ends, end) = AsyncStream<Void>.makeStream()
        // Blocks a thread until the input ends; the process does not wait for it.
        NIOThreadPool.singleton.submit { _ in
            while let line = readLine(), !line.isEmpty {}
            end.finish()
        }
        for await _ in ends.cancelOnGracefulShutdown() {}
    }
}
