import Halibut
import ScriptExecution
import TentacleContracts

extension RPCService {
    /// `IScriptService`, the first generation (tentacle-services.md 3.5, 5.5).
    static func scriptService(_ scripts: ScriptService) -> RPCService {
        var service = RPCService(agentService: ServiceName.scriptService)
        service.method(MethodName.startScript) { (request, command: StartScriptCommand) in
            ScriptTicket(taskID: try await scripts.startLegacy(try ScriptStart(command, request)))
        }
        service.method(MethodName.getStatus) { (_, request: ScriptStatusRequest) in
            try ScriptStatusResponse(
                await scripts.status(ticket: request.ticket.taskID, after: request.lastLogSequence, generation: .v1)
            )
        }
        service.method(MethodName.cancelScript) { (_, command: CancelScriptCommand) in
            try ScriptStatusResponse(
                await scripts.cancel(ticket: command.ticket.taskID, after: command.lastLogSequence, generation: .v1)
            )
        }
        service.method(MethodName.completeScript) { (_, command: CompleteScriptCommand) in
            try ScriptStatusResponse(
                await scripts.completeLegacy(ticket: command.ticket.taskID, after: command.lastLogSequence)
            )
        }
        return service
    }
}

extension ScriptStatusResponse {
    init(_ status: ScriptStatus) {
        self.init(
            ticket: ScriptTicket(taskID: status.ticket),
            logs: status.logs.map(ProcessOutput.init),
            nextLogSequence: status.nextLogSequence,
            state: ProcessState(status.state),
            exitCode: status.exitCode
        )
    }
}

extension ScriptStart {
    init(_ command: StartScriptCommand, _ request: RPCRequest) throws {
        self.init(
            body: command.scripts[.bash] ?? command.scriptBody,
            taskID: command.taskID,
            isolation: ScriptIsolation(command.isolation),
            mutexName: command.isolationMutexName,
            mutexTimeout: command.scriptIsolationMutexTimeout,
            files: try command.files.map { try File($0, request) },
            arguments: command.arguments
        )
    }
}
