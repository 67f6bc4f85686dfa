import AgentConfiguration
import OctopusClient
import SecureTransport

/// A command that ends with something else than success.
package struct CommandError: Error, Equatable, CustomStringConvertible {
    package var exitCode: ExitCode
    package var message: String

    package init(_ exitCode: ExitCode = .controlledFailure, _ message: String) {
        self.exitCode = exitCode
        self.message = message
    }

    package var description: String { self.message }

    /// What a failure of the modules below means for the caller (spec tentacle-cli.md 1.4, 12.2).
    package init(_ error: any Error) {
        switch error {
        case let error as CommandError: self = error
        case let error as ConfigurationError:
            let isControlled = error.code == .instance || error.code == .permission
            self.init(isControlled ? .controlledFailure : .failure, error.message)
        case let error as OctopusError:
            switch error.code {
            case .refused, .security: self.init(.controlledFailure, error.message)
            // What a server finds wrong with a registration is a controlled failure: see `Registrar`.
            case .validation, .invalidAddress, .unreachable, .tls, .notFound, .server, .unreadable:
                self.init(.failure, error.message)
            }
        default: self.init(.failure, "\(error)")
        }
    }
}

/// Exit codes of the program (spec tentacle-cli.md 1.4).
package struct ExitCode: Hashable, Sendable, RawRepresentable {
    package var rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let success = ExitCode(rawValue: 0)
    package static let controlledFailure = ExitCode(rawValue: 1)
    package static let unknownCommand = ExitCode(rawValue: 2)
    package static let failure = ExitCode(rawValue: 100)
}
