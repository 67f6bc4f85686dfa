import AgentConfiguration
import BSON
import Foundation
import Halibut
import Logging
import ProcessTesting
import SecureTransport
import TentacleContracts
import Testing

/// Every file-changing call of the daemon's start fails once: it says why it ends, or lives and serves.
@Suite(.timeLimit(.minutes(5)))
struct DaemonFaultTests {
    @Test("an agent that cannot write its log, or anything, still listens and answers")
    func start() async throws {
        let walked = try await Fault.walk { fault in
            try await withScratch { folder in try await Self.run(fault, folder) }
        }
        print("daemon: \(walked) faults")
        #expect(walked > 4)
    }

    /// The call that failed before the agent listened.
    private static func run(_ fault: Fault, _ folder: URL) async throws -> String? {
        let server = try Daemon.serverIdentity.get()
        let agent = try Daemon.agentIdentity.get()
        let home = folder.appending(path: "home")
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        let configuration = try Daemon.write(home, agent: agent, server: server.thumbprint)
        let injector = URL(filePath: Daemon.executable).deletingLastPathComponent().appending(path: "fault-injector")
            .path
        let report = folder.appending(path: "report").path
        let program = try FaultInjector(injector, program: Daemon.executable, below: home.path).start(
            fault,
            [Daemon.executable, "--config", configuration, "--noninteractive"],
            report: report
        )
        var failed: String?
        try await program.whileRunning {
            let line = await program.line(containing: "Listener started")
            failed = FaultInjector.failed(in: report)
            let comment = Comment(rawValue: "\(fault): \(failed ?? "none")")
            guard let line else { return }
            let port = try #require(line.firstMatch(of: /listen:\/\/.*:(\d+)\//).flatMap { Int($0.1) }, comment)
            let client = try HalibutClient(
                identity: server,
                configuration: HalibutConfiguration(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            )
            let endPoint = try ServiceEndPoint("https://localhost:\(port)/", remoteThumbprint: agent.thumbprint)
            let exitCode = await Result { try await script(client, endPoint) }
            let capabilities = await Result {
                try await client.call(
                    endPoint,
                    service: "ICapabilitiesServiceV2",
                    method: "GetCapabilities",
                    parameters: []
                )
            }
            await client.close()
            #expect(throws: Never.self, comment) { try capabilities.get() }
            // Where it is to come is behind the start: the walk is over.
            guard let failed else { return }
            if fault.extent == .once {
                #expect(try exitCode.get() == 7, comment)
            } else {
                let error = #expect(throws: (any Error).self, comment) { try exitCode.get() }
                let reason = fault.kind == .noSpace ? "No space left on device" : "Input/output error"
                #expect(error.map { "\($0)" }?.contains(reason) == true, "\(fault): \(failed)")
            }
        }
        let outcome = await program.outcome()
        let comment = Comment(rawValue: "\(fault): \(failed ?? "none") \(outcome)")
        if outcome.output.contains("Listener started") {
            #expect(outcome.status == 0, comment)
        } else {
            // Without the folder for received files it cannot do its work.
            #expect(outcome.status == 100, comment)
            let text = "Could not create the directory '\(home.path)/Spool': "
            #expect(
                outcome.errors.contains(text + (fault.kind == .noSpace ? "No space" : "Input/output error")),
                comment
            )
        }
        let log = (try? String(contentsOf: home.appending(path: "Logs/OctopusTentacle.txt"), encoding: .utf8)) ?? ""
        // A piece at the very end had no record behind it that could end its line.
        let lines = log.split(separator: "\n").dropLast(log.hasSuffix("\n") ? 0 : 1)
        // What goes on over several lines is indented.
        let isWhole = lines.allSatisfy { $0.contains(#/^\d{4}-\d\d-\d\d .{10,40} [A-Z]{4,5} |^  /#) }
        #expect(isWhole, "\(fault): \(failed ?? "none") \(log)")
        return failed
    }

    private static func script(_ client: HalibutClient, _ endPoint: ServiceEndPoint) async throws -> Int32? {
        let command = StartScriptCommandV2(
            scriptTicket: .unique(),
            scriptBody: "exit 7",
            taskID: "ServerTasks-1",
            durationToWaitForScriptToFinish: .seconds(20)
        )
        let response = try await client.call(
            endPoint,
            service: "IScriptServiceV2",
            method: "StartScript",
            parameters: [try BSONEncoder().encode(command, typeName: StartScriptCommandV2.wireTypeName)]
        )
        return try BSONDecoder().decode(ScriptStatusResponseV2.self, from: response.value).exitCode
    }
}

extension Result where Failure == any Error {
    /// What an asynchronous body gives or throws.
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
