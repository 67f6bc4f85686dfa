/// What follows the message of an unexpected failure on standard error (spec tentacle-cli.md 1.4).
package enum FailureReport {
    /// Exit codes that say everything: success, a refusal with its reason, an unknown command.
    private static let plainCodes: ClosedRange<Int32> = 0...2

    package static func lines(exitCode: Int32, logDirectories: [String]) -> [String] {
        guard !Self.plainCodes.contains(exitCode) else { return [] }
        let rule = String(repeating: "-", count: 79)
        let logs =
            logDirectories.isEmpty
            ? [] : ["Full error details are available in the log files at:"] + logDirectories.sorted()
        return [rule, "Terminating process with exit code \(exitCode)"] + logs
            + ["If you need help, please send these log files to https://octopus.com/support", rule]
    }
}
