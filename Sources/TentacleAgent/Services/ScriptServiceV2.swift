import Halibut
import ScriptExecution
import TentacleContracts

extension RPCService {
    /// `IScriptServiceV2` (tentacle-services.md 3.4, 5).
    static func scriptServiceV2(_ scripts: ScriptService) -> RPCService {
        var service = RPCService(agentService: ServiceName.scriptServiceV2)
        service.method(MethodName.startScript) { (request, command: StartScriptCommandV2) in
            let start = try ScriptStart(command, request)
            return ScriptStatusResponseV2(try await scripts.start(start, ticket: command.scriptTicket.taskID))
        }
        service.method(MethodName.getStatus) { (_, request: ScriptStatusRequestV2) in
            try ScriptStatusResponseV2(
                await scripts.status(ticket: request.ticket.taskID, after: request.lastLogSequence, generation: .v2)
            )
        }
        service.method(MethodName.cancelScript) { (_, command: CancelScriptCommandV2) in
            try ScriptStatusResponseV2(
                await scripts.cancel(ticket: command.ticket.taskID, after: command.lastLogSequence, generation: .v2)
            )
        }
        service.method(MethodName.completeScript) { (_, command: CompleteScriptCommandV2) in
            await scripts.complete(ticket: command.ticket.taskID)
        }
        return service
    }
}

extension ScriptStatusResponseV2 {
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
    init(_ command: StartScriptCommandV2, _ request: RPCRequest) throws {
        self.init(
            body: command.scripts[.bash] ?? command.scriptBody,
            taskID: command.taskID,
            wait: command.durationToWaitForScriptToFinish,
            isolation: ScriptIsolation(command.isolation),
            mutexName: command.isolationMutexName,
            mutexTimeout: command.scriptIsolationMutexTimeout,
            files: try command.files.map { try File($0, request) },
            arguments: command.arguments
        )
    }
}

extension ScriptStart.File {
    init(_ file: ScriptFile, _ request: RPCRequest) throws {
        guard let stream = request.streams[file.contents.id] else {
            throw RPCServiceError("The data stream \(file.contents.id) did not come with the call.")
        }
        self.init(
            name: file.name,
            contents: .file(path: stream.path, length: stream.length),
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
