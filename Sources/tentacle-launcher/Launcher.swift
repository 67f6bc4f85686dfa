internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// One process, one request.
enum Launcher {
    static func main(_ arguments: [String]) -> Int32 {
        // First: a signal must find the supervisor's descriptor, never its default action.
        let signals = clinux_signal_descriptor()
        RequestConnection.fillStandardDescriptors()
        if let word = SandboxProgram.position(in: arguments) {
            return SandboxProgram.main(Array(arguments[1..<word]), Array(arguments[(word + 1)...]), signals: signals)
        }
        let connection = RequestConnection.inherited()
        let settings: LauncherSettings
        do {
            settings = try LauncherSettings(arguments: Array(arguments.dropFirst()))
        } catch {
            complain("\(error)")
            connection.refuse("\(error)")
            return 2
        }
        if let problem = settings.fileProblem { complain("\(problem)") }
        do {
            switch try connection.readRequest() {
            case .start(let ticket): try start(ticket, settings, connection, signals: signals)
            case .remove(let ticket):
                try Remover.remove(ticket, for: connection.peer, settings)
                connection.answer(.removed)
            case .cancel(let ticket):
                let workspace = try settings.open(ticket, for: connection.peer)
                connection.answer(try Canceller.cancel(ticket, workspace.directory, settings))
            }
            return 0
        } catch {
            connection.answer(.failed("\(error)"))
            complain("\(error)")
            return 1
        }
    }

    /// One line for whoever reads the agent's or the unit's standard error.
    static func complain(_ text: String) {
        let line = Array("tentacle-launcher: \(text)\n".utf8)
        _ = unsafe write(2, line, line.count)
    }

    private static func start(
        _ ticket: ScriptTicketName,
        _ settings: LauncherSettings,
        _ connection: RequestConnection,
        signals: Int32
    ) throws {
        let workspace = try settings.open(ticket, for: connection.peer)
        // The claim is what makes a start happen once, whoever asks how often.
        guard let claim = try workspace.directory.claim(.process) else { return connection.answer(.alreadyStarted) }
        guard var state = try workspace.directory.readState() else {
            throw LauncherProtocolError("the workspace of \(ticket) has no state.json")
        }
        guard state.phase == .pending else { return connection.answer(.alreadyStarted) }
        // Behind the claim: an agent that is there now was there when the claim was taken, so that one that comes after it
        // finds it. One that was gone before may have a successor that takes this script for one that waits.
        guard connection.hasPeer else { return }
        let limit = ScriptSpecification.maximumBytes
        guard let bytes = try workspace.directory.read(ScriptSpecification.fileName, limit: limit) else {
            throw LauncherProtocolError("the workspace of \(ticket) has no script.json")
        }
        let specification = try ScriptSpecification(bytes: bytes)
        let log = try OutputLogWriter(workspace.directory)
        state.begin(at: .now, supervisor: getpid())
        // Not synced: the boot id in the record makes up for it, and the script starts sooner.
        try workspace.directory.writeState(state, durable: false)
        connection.answer(.started)
        connection.close()
        Journal.scriptBegan(specification)
        var policy = SandboxPolicy.none
        var refusal: String?
        do throws(LauncherProtocolError) {
            policy = try settings.policy(for: specification, in: workspace.work)
        } catch {
            refusal = error.description
        }
        var supervisor = Supervisor(
            settings: settings,
            policy: policy,
            ticket: ticket,
            directoryPath: workspace.path,
            specification: specification,
            state: state,
            signals: signals,
            claim: claim.descriptor,
            logLength: log.length
        )
        if let refusal {
            supervisor.refuse(refusal, workspace.directory, log)
        } else {
            supervisor.run(workspace.directory, log)
        }
        claim.release()
    }
}
