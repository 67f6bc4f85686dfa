/// One step between the clone and the script's first instruction.
package enum SandboxOperation: Equatable, Sendable, CustomStringConvertible {
    /// The kernel kills this process when its parent ends, however that ends.
    case dieWithParent
    /// Whoever loses its parent below this process becomes its child.
    case adoptOrphans
    /// The script counts as alive as long as this process does.
    case holdClaim
    case keepMountsInside
    case mountProc
    /// Process numbers in the namespace go on behind the launcher's own: `$$` would be 2 in every script otherwise, and
    /// scripts name files in /tmp by it. Where the kernel refuses, it stays so.
    case numberProcessesFromOurs
    case newSession
    /// Descriptors 0, 1 and 2: nothing to read, the two pipes to write.
    case standardStreams
    case closeOtherDescriptors
    case defaultSignals
    case enterDirectory(String)
    case execute(path: String, arguments: [String])

    package var description: String {
        switch self {
        case .dieWithParent: "die with the keeper"
        case .adoptOrphans: "adopt orphans"
        case .holdClaim: "hold the claim on the workspace"
        case .keepMountsInside: "keep mounts inside the namespace"
        case .mountProc: "mount /proc of the PID namespace"
        case .numberProcessesFromOurs: "number processes from the launcher's own number"
        case .newSession: "begin a session"
        case .standardStreams: "input from /dev/null, output and errors into the pipes"
        case .closeOtherDescriptors: "close every other descriptor at execution"
        case .defaultSignals: "default action for every signal, none blocked"
        case .enterDirectory(let path): "enter \(path)"
        case .execute(let path, let arguments): "execute \(path) with \(arguments.count) arguments"
        }
    }
}

/// The program a plan ends in.
package struct SandboxedCommand: Equatable, Sendable {
    package var path: String
    /// With the zeroth.
    package var arguments: [String]
    package var environment: [String: String]
    package var directory: String

    package init(path: String, arguments: [String], environment: [String: String], directory: String) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }
}

/// What happens to one script before it runs, in order, as data (STYLE.md C13): printed, compared, then executed.
package struct SandboxPlan: Equatable, Sendable, CustomStringConvertible {
    /// A PID and a mount namespace around keeper and script.
    package var ownNamespaces: Bool
    /// In the keeper, the process between the launcher and the script, before it starts the script.
    package var keeperOperations: [SandboxOperation]
    /// In the script's process; the last one executes it.
    package var scriptOperations: [SandboxOperation]
    package var command: SandboxedCommand

    package init(policy: SandboxPolicy, privileges: SandboxPrivileges, command: SandboxedCommand) {
        self.command = command
        ownNamespaces = policy.processes.ownNamespace && privileges.canMakeNamespaces
        keeperOperations = [.adoptOrphans, .holdClaim]
        // The mount namespace is cut off before the first mount, or the host would see our /proc.
        if ownNamespaces { keeperOperations += [.keepMountsInside, .mountProc, .numberProcessesFromOurs] }
        scriptOperations = [
            // First of all: from here on a keeper that is killed takes the script with it.
            .dieWithParent,
            // Before anything can open a terminal.
            .newSession,
            .standardStreams,
            // Behind the streams, which are copies of descriptors that this closes.
            .closeOtherDescriptors,
            .enterDirectory(command.directory),
            // As late as possible: a signal that comes before the program is there kills this process.
            .defaultSignals,
            .execute(path: command.path, arguments: command.arguments),
        ]
    }

    package var operations: [SandboxOperation] { keeperOperations + scriptOperations }

    /// One line a step, as a person reads it.
    package var description: String {
        var lines = ownNamespaces ? ["new PID and mount namespace"] : []
        lines += operations.map(\.description)
        return lines.enumerated().map { "\($0.offset + 1). \($0.element)" }.joined(separator: "\n")
    }
}

/// Which step failed in the child, and why.
package struct SandboxFailure: Error, Equatable, Sendable {
    /// Index in `SandboxPlan.operations`; -1 is the clone.
    package var stage: Int
    package var number: Int32

    package init(stage: Int, number: Int32) {
        self.stage = stage
        self.number = number
    }
}
