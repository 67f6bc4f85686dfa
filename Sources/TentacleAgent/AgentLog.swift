import Glibc
import Logging
import TentacleLog

/// Where an agent's log goes: bare messages on the console, dated lines in `<home>/Logs/OctopusTentacle.txt`
/// (tentacle-cli.md 1.6 and 9.3).
///
/// Nowhere with the secrets that the agent knows.
final class AgentLog: Sendable {
    let file: OperationLog
    private let console: Console

    /// What is printed beside the file.
    enum Console {
        case everything
        /// After `--noconsolelogging`.
        case errors
        /// The journal has it already.
        case nothing
    }

    init(file: OperationLog, console: Console = .everything) {
        self.file = file
        self.console = console
    }

    /// Info and warnings to standard output, errors to standard error, everything to the file.
    func write(_ level: LogLevel, _ message: String) {
        let isError = level >= .error
        if level >= file.threshold, console == .everything || (console == .errors && isError) {
            TextOutput.write(file.masker.masked(message) + "\n", to: isError ? STDERR_FILENO : STDOUT_FILENO)
        }
        file.write(level, message)
    }

    /// For what only a person at the console is told.
    @Sendable
    static func writeToConsole(_ line: String) { TextOutput.write(line + "\n", to: STDERR_FILENO) }
}

/// swift-log's view of an ``AgentLog``.
struct AgentLogHandler: LogHandler {
    let log: AgentLog
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(log: AgentLog, level: Logger.Level) {
        self.log = log
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var text = event.message.description
        if let error = event.error { text += ": \(error)" }
        log.write(LogLevel(event.level), text)
    }
}

/// Hides the secrets that the agent knows from another handler.
struct MaskingLogHandler<Base: LogHandler>: LogHandler {
    var base: Base
    let masker: LogMasker

    var logLevel: Logger.Level {
        get { base.logLevel }
        set { base.logLevel = newValue }
    }

    var metadata: Logger.Metadata {
        get { base.metadata }
        set { base.metadata = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { base.metadataProvider }
        set { base.metadataProvider = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { base[metadataKey: key] }
        set { base[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        var event = event
        event.message = "\(masker.masked(event.message.description))"
        event.error = event.error.map { MaskedError(description: masker.masked("\($0)")) }
        event.metadata = event.metadata?.mapValues { "\(masker.masked($0.description))" }
        base.log(event: event)
    }

    private struct MaskedError: Error, CustomStringConvertible {
        var description: String
    }
}

extension LogLevel {
    fileprivate init(_ level: Logger.Level) {
        self =
            switch level {
            case .trace: .trace
            case .debug: .debug
            case .info, .notice: .info
            case .warning: .warning
            case .error: .error
            case .critical: .fatal
            }
    }
}

extension Logger.Level {
    /// The least level that is logged; nil for nothing at all.
    init?(_ threshold: LogLevel) {
        switch threshold {
        case .trace: self = .trace
        case .debug: self = .debug
        case .info: self = .info
        case .warning: self = .warning
        case .error: self = .error
        case .fatal: self = .critical
        case .off: return nil
        }
    }
}
