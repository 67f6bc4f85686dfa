import BSON

/// The parameter of `IScriptServiceV2.StartScript` (tentacle-services.md 3.4).
package struct StartScriptCommandV2: WireContract, Hashable {
    package static let wireTypeName =
        "Octopus.Tentacle.Contracts.ScriptServiceV2.StartScriptCommandV2, Octopus.Tentacle.Contracts"

    /// Chosen by the server; starting the same ticket again is answered with its status.
    package var scriptTicket: ScriptTicket
    /// The body when ``scripts`` has none for the host's shell.
    package var scriptBody: String
    /// The server task, like `ServerTasks-1234`; shown in messages about the isolation mutex.
    package var taskID: String
    /// How long the call may wait for the script to finish; `nil` returns at once.
    package var durationToWaitForScriptToFinish: Duration?
    package var isolation: ScriptIsolationLevel
    /// Zero means no limit.
    package var scriptIsolationMutexTimeout: Duration
    /// `nil` stands for `RunningScript`.
    package var isolationMutexName: String?
    package var scripts: ScriptBodies
    package var files: [ScriptFile]
    package var arguments: [String]

    package init(
        scriptTicket: ScriptTicket,
        scriptBody: String,
        taskID: String = "",
        durationToWaitForScriptToFinish: Duration? = nil,
        isolation: ScriptIsolationLevel = .noIsolation,
        scriptIsolationMutexTimeout: Duration = ScriptIsolationDefault.mutexTimeout,
        isolationMutexName: String? = nil,
        scripts: ScriptBodies = [:],
        files: [ScriptFile] = [],
        arguments: [String] = []
    ) {
        self.scriptTicket = scriptTicket
        self.scriptBody = scriptBody
        self.taskID = taskID
        self.durationToWaitForScriptToFinish = durationToWaitForScriptToFinish
        self.isolation = isolation
        self.scriptIsolationMutexTimeout = scriptIsolationMutexTimeout
        self.isolationMutexName = isolationMutexName
        self.scripts = scripts
        self.files = files
        self.arguments = arguments
    }

    private enum CodingKeys: String, CodingKey {
        case scriptTicket = "ScriptTicket"
        case scriptBody = "ScriptBody"
        case taskID = "TaskId"
        case durationToWaitForScriptToFinish = "DurationToWaitForScriptToFinish"
        case isolation = "Isolation"
        case scriptIsolationMutexTimeout = "ScriptIsolationMutexTimeout"
        case isolationMutexName = "IsolationMutexName"
        case scripts = "Scripts"
        case files = "Files"
        case arguments = "Arguments"
    }
}

/// The parameter of `IScriptServiceV2.GetStatus`.
package struct ScriptStatusRequestV2: WireContract, Hashable {
    package static let wireTypeName =
        "Octopus.Tentacle.Contracts.ScriptServiceV2.ScriptStatusRequestV2, Octopus.Tentacle.Contracts"

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

/// The parameter of `IScriptServiceV2.CancelScript`.
package struct CancelScriptCommandV2: WireContract, Hashable {
    package static let wireTypeName =
        "Octopus.Tentacle.Contracts.ScriptServiceV2.CancelScriptCommandV2, Octopus.Tentacle.Contracts"

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

/// The parameter of `IScriptServiceV2.CompleteScript`, which returns nothing.
package struct CompleteScriptCommandV2: WireContract, Hashable {
    package static let wireTypeName =
        "Octopus.Tentacle.Contracts.ScriptServiceV2.CompleteScriptCommandV2, Octopus.Tentacle.Contracts"

    package var ticket: ScriptTicket

    package init(ticket: ScriptTicket) {
        self.ticket = ticket
    }

    private enum CodingKeys: String, CodingKey {
        case ticket = "Ticket"
    }
}

/// The result of every method of `IScriptServiceV2` but `CompleteScript`.
package struct ScriptStatusResponseV2: WireContract, Hashable {
    package static let wireTypeName =
        "Octopus.Tentacle.Contracts.ScriptServiceV2.ScriptStatusResponseV2, Octopus.Tentacle.Contracts"

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
