import FoundationEssentials
import Glibc
import Logging
import Synchronization

/// Where an agent's log goes: bare messages on the console, dated lines in `<home>/Logs/OctopusTentacle.txt`
/// (tentacle-cli.md 1.6 and 9.3).
final class AgentLog: Sendable {
    static let fileName = "OctopusTentacle.txt"
    /// Archives kept beside the file, one a day.
    static let archives = 7

    /// nil before there is a home directory, or when the directory cannot be written.
    private let path: String?
    private let isOnConsole: Bool
    /// The day of the last line written, so that the first line of a new day moves the file away.
    private let day: Mutex<String>

    init(homeDirectory: String?, isOnConsole: Bool = true) {
        self.isOnConsole = isOnConsole
        let directory = homeDirectory.map { $0 + "/Logs" }
        path = directory.flatMap { directory in
            do {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
                return directory + "/" + Self.fileName
            } catch {
                Self.write("The log folder '\(directory)' cannot be created; logging to the console only.\n", to: 2)
                return nil
            }
        }
        day = Mutex(path.flatMap(Self.day(ofFile:)) ?? "")
    }

    /// Info and warnings to standard output, errors to standard error, everything to the file.
    func write(_ level: Logger.Level, _ message: String) {
        if isOnConsole { Self.write(message + "\n", to: level >= .error ? 2 : 1) }
        writeToFile(level, message)
    }

    /// For what only a person at the console is told.
    func writeToConsole(_ line: String) { Self.write(line + "\n", to: 2) }

    func writeToFile(_ level: Logger.Level, _ message: String) {
        guard let path else { return }
        let time = LocalTime.now
        let line =
            "\(time.day) \(time.clock)  \(padded(getpid(), 5))  \(padded(pthread_self() % 100_000, 5)) \(padded(level.tentacleName, 5))  "
            + message + "\n"
        day.withLock { day in
            if day != time.day {
                if !day.isEmpty { Self.rotate(path) }
                day = time.day
            }
            // Opened for each line, so that several processes can append and anybody can move the file away.
            let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
            guard file >= 0 else { return }
            Self.write(line, to: file)
            close(file)
        }
    }

    private func padded(_ value: some CustomStringConvertible, _ width: Int) -> String {
        let text = value.description
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// `OctopusTentacle.0.txt` is the newest archive.
    private static func rotate(_ path: String) {
        let stem = path.dropLast(".txt".count)
        for number in stride(from: archives - 1, to: 0, by: -1) {
            rename("\(stem).\(number - 1).txt", "\(stem).\(number).txt")
        }
        rename(path, "\(stem).0.txt")
    }

    private static func day(ofFile path: String) -> String? {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        return LocalTime(information.st_mtim).day
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// Local time in the two parts of a log line.
private struct LocalTime {
    var day: String
    var clock: String

    static var now: LocalTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LocalTime(time)
    }

    init(_ time: timespec) {
        var seconds = time.tv_sec
        var parts = tm()
        localtime_r(&seconds, &parts)
        func digits(_ value: Int32, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        day = "\(digits(parts.tm_year + 1900, 4))-\(digits(parts.tm_mon + 1, 2))-\(digits(parts.tm_mday, 2))"
        let fraction = digits(Int32(time.tv_nsec / 100_000), 4)
        clock = "\(digits(parts.tm_hour, 2)):\(digits(parts.tm_min, 2)):\(digits(parts.tm_sec, 2)).\(fraction)"
    }
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
        log.write(event.level, text)
    }
}

extension Logger.Level {
    /// The level's name in the log file.
    fileprivate var tentacleName: String {
        switch self {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info, .notice: "INFO"
        case .warning: "WARN"
        case .error: "ERROR"
        case .critical: "FATAL"
        }
    }

    /// What `OCTOPUS__TENTACLE__LOGLEVEL` says, exact case; info otherwise (tentacle-cli.md 1.6).
    init(tentacleName: String?) {
        let levels: [String: Logger.Level] = [
            "Trace": .trace, "Debug": .debug, "Info": .info, "Warn": .warning, "Error": .error, "Fatal": .critical,
            "Off": .critical,
        ]
        self = tentacleName.flatMap { levels[$0] } ?? .info
    }
}
