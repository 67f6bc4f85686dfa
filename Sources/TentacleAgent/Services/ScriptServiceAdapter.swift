import BSON
import Halibut
import ScriptExecution
import TentacleContracts

/// `IScriptService`, the first generation (tentacle-services.md 3.5, 5.5).
struct ScriptServiceAdapter: ServiceAdapter {
    static let name = ServiceName.scriptService

    let scripts: ScriptService

    func call(_ method: String, _ arguments: CallArguments) async throws -> RPCResult {
        switch method.lowercased() {
        case "startscript":
            let command = try arguments.only(
                StartScriptCommand.self,
                of: "ScriptTicket StartScript(StartScriptCommand)"
            )
            let ticket = try await scripts.startLegacy(try ScriptStart(command, arguments))
            return try RPCResult(contract: ScriptTicket(taskID: ticket))
        case "getstatus":
            let request = try arguments.only(
                ScriptStatusRequest.self,
                of: "ScriptStatusResponse GetStatus(ScriptStatusRequest)"
            )
            return try answer(
                await scripts.status(
                    ticket: request.ticket.taskID,
                    after: request.lastLogSequence,
                    generation: .v1
                )
            )
        case "cancelscript":
            let command = try arguments.only(
                CancelScriptCommand.self,
                of: "ScriptStatusResponse CancelScript(CancelScriptCommand)"
            )
            return try answer(
                await scripts.cancel(
                    ticket: command.ticket.taskID,
                    after: command.lastLogSequence,
                    generation: .v1
                )
            )
        case "completescript":
            let command = try arguments.only(
                CompleteScriptCommand.self,
                of: "ScriptStatusResponse CompleteScript(CompleteScriptCommand)"
            )
            return try answer(
                await scripts.completeLegacy(ticket: command.ticket.taskID, after: command.lastLogSequence)
            )
        default: throw methodNotFound(method)
        }
    }

    private func answer(_ status: ScriptStatus) throws -> RPCResult {
        try RPCResult(
            contract: ScriptStatusResponse(
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
    init(_ command: StartScriptCommand, _ arguments: CallArguments) throws {
        self.init(
            body: command.scripts[.bash] ?? command.scriptBody,
            taskID: command.taskID,
            isolation: ScriptIsolation(command.isolation),
            mutexName: command.isolationMutexName,
            mutexTimeout: command.scriptIsolationMutexTimeout,
            files: try command.files.map { try File($0, arguments) },
            arguments: command.arguments
        )
    }
}
