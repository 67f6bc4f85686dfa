package import AgentConfiguration
import Halibut

/// The command line of `tentacle-agent`: `--instance NAME | --config FILE [--noninteractive | --console]`.
package struct AgentArguments: Hashable, Sendable {
    package var selector: InstanceSelector
    /// Whether the end of standard input or an empty line ends the agent (tentacle-cli.md 1.5).
    package var isInteractive: Bool
    /// Off with `--noconsolelogging`: then only the file is written.
    package var logsToConsole = true

    /// - Throws: ``AgentFailure`` that names the argument.
    package init(_ arguments: [String]) throws(AgentFailure) {
        var selector = InstanceSelector()
        isInteractive = true
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            switch parts[0] {
            case "--noninteractive": isInteractive = false
            case "--console": isInteractive = true
            case "--noconsolelogging": logsToConsole = false
            case "--nologo": break
            case "--instance", "--config":
                guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
                    throw AgentFailure(.failure, "Missing required value for option '\(parts[0])'.")
                }
                if parts[0] == "--instance" { selector.instance = value } else { selector.configuration = value }
            default: throw AgentFailure(.controlled, "Unrecognized command line arguments: \(argument)")
            }
        }
        self.selector = selector
    }
}

/// Why the agent cannot run: one line for the operator and the exit code (tentacle-cli.md 1.4).
package struct AgentFailure: Error, Equatable, CustomStringConvertible {
    package enum ExitCode: Int32, Sendable {
        case controlled = 1
        case failure = 100
    }

    package var exitCode: ExitCode
    package var description: String

    package init(_ exitCode: ExitCode, _ description: String) {
        self.exitCode = exitCode
        self.description = description
    }

    /// What an error of the modules below means.
    package init(_ error: any Error) {
        switch error {
        case let error as AgentFailure: self = error
        case let error as HalibutError where error.code == .portInUse:
            self.init(.failure, "A required communications port is already in use. \(error.message)")
        case let error as ConfigurationError:
            self.init(error.code == .instance || error.code == .permission ? .controlled : .failure, error.message)
        default: self.init(.failure, "\(error)")
        }
    }
}
