/// Levels of the log file and the console, the least important first (spec tentacle-cli.md 1.6).
package enum LogLevel: Int, Comparable, Sendable, CaseIterable {
    case trace, debug, info, warning, error, fatal
    /// As a threshold: nothing at all.
    case off

    /// What environment variable says how much is logged, on the console and in the file.
    package static let variable = "OCTOPUS__TENTACLE__LOGLEVEL"

    /// As the variable spells them, exact case; another text, or none, is info.
    package init(named name: String?) {
        let names: [String: LogLevel] = [
            "Trace": .trace, "Debug": .debug, "Info": .info, "Warn": .warning, "Error": .error, "Fatal": .fatal,
            "Off": .off,
        ]
        self = name.flatMap { names[$0] } ?? .info
    }

    /// In the log file.
    var name: String {
        switch self {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info: "INFO"
        case .warning: "WARN"
        case .error: "ERROR"
        case .fatal: "FATAL"
        case .off: "OFF"
        }
    }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
