import BSON
import Halibut
import ScriptExecution
import TentacleContracts

/// `IScriptServiceV2` (tentacle-services.md 3.4, 5).
struct ScriptServiceV2Adapter: ServiceAdapter {
    static let name = ServiceName.scriptServiceV2

    let scripts: ScriptService

    func call(_ method: String, _ arguments: CallArguments) async throws -> RPCResult {
        switch method.lowercased() {
        case "startscript":
            let command = try arguments.only(
                StartScriptCommandV2.self,
                of: "ScriptStatusResponseV2 StartScript(StartScriptCommandV2)"
            )
            let start = try ScriptStart(command, arguments)
            return try answer(await scripts.start(start, ticket: command.scriptTicket.taskID))
        case "getstatus":
            let request = try arguments.only(
                ScriptStatusRequestV2.self,
                of: "ScriptStatusResponseV2 GetStatus(ScriptStatusRequestV2)"
            )
            return try answer(
                await scripts.status(
                    ticket: request.ticket.taskID,
                    after: request.lastLogSequence,
                    generation: .v2
                )
            )
        case "cancelscript":
            let command = try arguments.only(
                CancelScriptCommandV2.self,
                of: "ScriptStatusResponseV2 CancelScript(CancelScriptCommandV2)"
            )
            return try answer(
                await scripts.cancel(
                    ticket: command.ticket.taskID,
                    after: command.lastLogSequence,
                    generation: .v2
                )
            )
        case "completescript":
            let command = try arguments.only(
                CompleteScriptCommandV2.self,
                of: "Void CompleteScript(CompleteScriptCommandV2)"
            )
            await scripts.complete(ticket: command.ticket.taskID)
            return .void
        default: throw methodNotFound(method)
        }
    }

    private func answer(_ status: ScriptStatus) throws -> RPCResult {
        try RPCResult(
            contract: ScriptStatusResponseV2(
                ticket: ScriptTicket(taskID: status.ticket),
                logs: status.logs.map(ProcessOutput.init),
                nextLogSequence: status.nextLogSequence,
                state: ProcessState(status.state),
                exitCode: status.exitCode
            )
        )
    }
}

extension ScriptStart {
    init(_ command: StartScriptCommandV2, _ arguments: CallArguments) throws {
        self.init(
            body: command.scripts[.bash] ?? command.scriptBody,
            taskID: command.taskID,
            wait: command.durationToWaitForScriptToFinish,
            isolation: ScriptIsolation(command.isolation),
            mutexName: command.isolationMutexName,
            mutexTimeout: command.scriptIsolationMutexTimeout,
            files: try command.files.map { try File($0, arguments) },
            arguments: command.arguments
        )
    }
}

extension ScriptStart.File {
    init(_ file: ScriptFile, _ arguments: CallArguments) throws {
        self.init(
            name: file.name,
            contents: try arguments.staged(file.contents),
            encryptionPassword: file.encryptionPassword
        )
    }
}

extension ScriptIsolation {
    init(_ level: ScriptIsolationLevel) {
        self = level == .fullIsolation ? .full : .none
    }
}

extension ProcessOutput {
    init(_ entry: ScriptLogEntry) {
        let source: ProcessOutputSource =
            switch entry.source {
            case .standardOutput: .stdOut
            case .standardError: .stdErr
            case .debug: .debug
            }
        self.init(source: source, occurred: entry.occurred, text: entry.text)
    }
}

extension ProcessState {
    init(_ state: ScriptStatus.State) {
        self =
            switch state {
            case .pending: .pending
            case .running: .running
            case .complete: .complete
            }
    }
}
