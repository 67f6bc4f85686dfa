import ArgumentParser
import DeploymentServer
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

@main
struct TentacleServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tentacle-server",
        abstract: "The companion server of the tentacle deployment agent.",
        subcommands: [RunCommand.self]
    )
}

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs the server until SIGTERM or SIGINT.",
        discussion: """
            The first start makes the database, the server's certificate and an API key for the administrator, which \
            is written to DIR/admin-api-key.
            """
    )

    @Option(name: .customLong("data"), help: ArgumentHelp("Folder of the database and keys.", valueName: "dir"))
    var dataDirectory: String

    @Option(help: ArgumentHelp("Where to serve the REST API and the pages; port 0 = any.", valueName: "host:port"))
    var http = "127.0.0.1:8080"

    @Option(help: ArgumentHelp("Where polling agents connect; port 0 = any.", valueName: "host:port"))
    var polling = "0.0.0.0:10943"

    @Option(help: ArgumentHelp("File to write a line of JSON to when the server is ready.", valueName: "file"))
    var readyFile: String?

    @Option(
        help: ArgumentHelp(
            "File with a password for the user admin, for signing in without an API key; read at the start.",
            valueName: "file"
        )
    )
    var adminPasswordFile: String?

    @Option(help: ArgumentHelp("Least level of log lines: trace, debug, info, warning, error.", valueName: "level"))
    var logLevel = "info"

    func run() async throws {
        guard let http = ServerConfiguration.Address(http) else {
            throw ValidationError("--http needs host:port, not '\(http)'.")
        }
        guard let polling = ServerConfiguration.Address(polling) else {
            throw ValidationError("--polling needs host:port, not '\(polling)'.")
        }
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("--log-level needs trace, debug, info, warning or error, not '\(logLevel)'.")
        }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        // Whatever the server writes is for its own user only.
        umask(0o077)
        let configuration = ServerConfiguration(
            dataDirectory: dataDirectory,
            http: http,
            polling: polling,
            readyFile: readyFile,
            adminPasswordFile: adminPasswordFile
        )
        do {
            let logger = Logger(label: "tentacle-server")
            try await ServiceGroup(
                services: [CompanionServer(configuration, logger: logger)],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            ).run()
        } catch {
            FileHandleOutput.standardError("tentacle-server: \(error)\n")
            throw ExitCode(1)
        }
    }
}

/// Plain text to standard error.
enum FileHandleOutput {
    static func standardError(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
