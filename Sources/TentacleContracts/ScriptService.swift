import BSON

/// The parameter of `IScriptService.StartScript`, the first version (tentacle-services.md 3.5).
///
/// The agent chooses the ticket and returns it, so a repeated call starts the script twice.
package struct StartScriptCommand: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.StartScriptCommand, Octopus.Shared"

    /// The body when ``scripts`` has none for the host's shell.
    package var scriptBody: String
    package var isolation: ScriptIsolationLevel
    package var scripts: ScriptBodies
    package var files: [ScriptFile]
    package var arguments: [String]
    /// The server task; becomes part of the ticket.
    package var taskID: String?
    /// Zero means no limit.
    package var scriptIsolationMutexTimeout: Duration
    /// `nil` stands for `RunningScript`.
    package var isolationMutexName: String?

    package init(
        scriptBody: String,
        isolation: ScriptIsolationLevel = .noIsolation,
        scripts: ScriptBodies = [:],
        files: [ScriptFile] = [],
        arguments: [String] = [],
        taskID: String? = nil,
        scriptIsolationMutexTimeout: Duration = ScriptIsolationDefault.mutexTimeout,
        isolationMutexName: String? = nil
    ) {
        self.scriptBody = scriptBody
        self.isolation = isolation
        self.scripts = scripts
        self.files = files
        self.arguments = arguments
        self.taskID = taskID
        self.scriptIsolationMutexTimeout = scriptIsolationMutexTimeout
        self.isolationMutexName = isolationMutexName
    }

    private enum CodingKeys: String, CodingKey {
        case scriptBody = "ScriptBody"
        case isolation = "Isolation"
        case scripts = "Scripts"
        case files = "Files"
        case arguments = "Arguments"
        case taskID = "TaskId"
        case scriptIsolationMutexTimeout = "ScriptIsolationMutexTimeout"
        case isolationMutexName = "IsolationMutexName"
    }
}

/// The parameter of `IScriptService.GetStatus`.
package struct ScriptStatusRequest: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.ScriptStatusRequest, Octopus.Shared"

    package var ticket: ScriptTicket
    /// The cursor of the last response; output after it is wanted.
    package var lastLogSequence: Int64

    package init(ticket: ScriptTicket, lastLogSequence: Int64) {
        self.ticket = ticket
        self.lastLogSequence = lastLogSequence
    }

    private enum CodingKeys: String, CodingKey {
        case ticket = "Ticket"
        case lastLogSequence = "LastLogSequence"
    }
}

/// The parameter of `IScriptService.CancelScript`.
package struct CancelScriptCommand: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.CancelScriptCommand, Octopus.Shared"

    package var ticket: ScriptTicket
    package var lastLogSequence: Int64

    package init(ticket: ScriptTicket, lastLogSequence: Int64) {
        self.ticket = ticket
        self.lastLogSequence = lastLogSequence
    }

    private enum CodingKeys: String, CodingKey {
        case ticket = "Ticket"
        case lastLogSequence = "LastLogSequence"
    }
}

/// The parameter of `IScriptService.CompleteScript`, which, unlike the second version, returns the status.
package struct CompleteScriptCommand: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.CompleteScriptCommand, Octopus.Shared"

    package var ticket: ScriptTicket
    package var lastLogSequence: Int64

    package init(ticket: ScriptTicket, lastLogSequence: Int64) {
        self.ticket = ticket
        self.lastLogSequence = lastLogSequence
    }

    private enum CodingKeys: String, CodingKey {
        case ticket = "Ticket"
        case lastLogSequence = "LastLogSequence"
    }
}

/// The result of every method of `IScriptService` but `StartScript`.
package struct ScriptStatusResponse: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.ScriptStatusResponse, Octopus.Shared"

    /// The request's ticket, in the request's casing.
    package var ticket: ScriptTicket
    package var logs: [ProcessOutput]
    package var nextLogSequence: Int64
    package var state: ProcessState
    /// Zero while pending or running; else ``ScriptExitCode`` or the status of the process.
    package var exitCode: Int32

    package init(
        ticket: ScriptTicket,
        logs: [ProcessOutput] = [],
        nextLogSequence: Int64,
        state: ProcessState,
        exitCode: Int32
    ) {
        self.ticket = ticket
        self.logs = logs
        self.nextLogSequence = nextLogSequence
        self.state = state
        self.exitCode = exitCode
    }

    private enum CodingKeys: String, CodingKey {
        case ticket = "Ticket"
        case logs = "Logs"
        case nextLogSequence = "NextLogSequence"
        case state = "State"
        case exitCode = "ExitCode"
    }
}
