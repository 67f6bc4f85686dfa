import AgentConfiguration
import BSON
import Foundation
import Halibut
import Logging
import ProcessTesting
import SecureTransport
import TentacleContracts
import Testing

/// The built program, reached over the network by a server that it trusts.
@Suite(.timeLimit(.minutes(4))) struct DaemonTests {
    private func call<Result: WireContract>(
        _ daemon: Daemon,
        _ service: String,
        _ method: String,
        _ parameters: [BSONValue],
        as type: Result.Type
    ) async throws -> Result {
        let response = try await daemon.client.call(
            daemon.endPoint,
            service: service,
            method: method,
            parameters: parameters
        )
        return try BSONDecoder().decode(type, from: response.value)
    }

    private func encoded<Value: WireContract>(_ value: Value) throws -> BSONValue {
        try BSONEncoder().encode(value, typeName: Value.wireTypeName)
    }

    @Test("runs a script of the second version, its files and environment included, and stops at SIGTERM")
    func script() async throws {
        let ended = try await Daemon.with { daemon in
            let file = OutgoingDataStream(bytes: Array("The File Contents\n".utf8))
            let command = StartScriptCommandV2(
                scriptTicket: .unique(),
                scriptBody: "exit 1",
                taskID: "ServerTasks-1",
                durationToWaitForScriptToFinish: .seconds(20),
                scripts: [.bash: "cat foo.txt\necho home=$TentacleHome arg=$1 >&2\nexit 7"],
                files: [ScriptFile(name: "foo.txt", contents: DataStreamReference(id: file.id, length: file.length))],
                arguments: ["First"]
            )
            let response = try await daemon.client.call(
                daemon.endPoint,
                service: "IScriptServiceV2",
                method: "StartScript",
                parameters: [try encoded(command)],
                streams: [file]
            )
            guard case .document(let document) = response.value else {
                Issue.record("no object")
                return
            }
            #expect(document["$type"] == .string(ScriptStatusResponseV2.wireTypeName))
            let status = try BSONDecoder().decode(ScriptStatusResponseV2.self, from: response.value)
            #expect(status.state == .complete)
            #expect(status.exitCode == 7)
            #expect(status.logs.contains { $0.source == .stdOut && $0.text == "The File Contents" })
            let home = daemon.home.path
            #expect(status.logs.contains { $0.source == .stdErr && $0.text == "home=\(home) arg=First" })
            let work = daemon.home.appending(path: "Work/\(command.scriptTicket)").path
            #expect(FileManager.default.fileExists(atPath: work))
            _ = try await daemon.client.call(
                daemon.endPoint,
                service: "IScriptServiceV2",
                method: "CompleteScript",
                parameters: [try encoded(CompleteScriptCommandV2(ticket: command.scriptTicket))]
            )
            #expect(!FileManager.default.fileExists(atPath: work))
            let log = try String(
                contentsOf: daemon.home.appending(path: "Logs/OctopusTentacle.txt"),
                encoding: .utf8
            )
            #expect(
                log.contains(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{4}  +\d+  +\d+  INFO  Agent listening on: \[::\]:0/)
            )
            #expect(FileManager.default.fileExists(atPath: daemon.home.appending(path: "livez.heartbeat").path))
        }
        #expect(ended.status == 0)
        #expect(ended.errors == "")
        #expect(ended.output.contains("Agent will trust Octopus Servers with the thumbprint: "))
    }

    @Test("tells the launcher which policy was configured and what scripts must not read")
    func sandbox() async throws {
        func configure(_ configuration: inout TentacleConfiguration) { configuration.set(.sandboxPolicy, "standard") }
        try await Daemon.with(configure: configure) { daemon in
            let command = StartScriptCommandV2(
                scriptTicket: .unique(),
                scriptBody: "exit 0",
                taskID: "ServerTasks-1",
                durationToWaitForScriptToFinish: .seconds(20),
                scripts: [:],
                files: [],
                arguments: []
            )
            let status = try await call(
                daemon,
                "IScriptServiceV2",
                "StartScript",
                [try encoded(command)],
                as: ScriptStatusResponseV2.self
            )
            #expect(status.exitCode == 0)
            let file = daemon.home.appending(path: "Work/\(command.scriptTicket)/script.json")
            let script = try JSONDecoder().decode(SandboxMembers.self, from: Data(contentsOf: file))
            #expect(script.sandbox == "standard")
            // Known by its file only.
            #expect(script.instance == nil)
            #expect(script.protected.contains(daemon.home.appending(path: "tentacle.config").path))
            #expect(script.protected.contains("/etc/octopus"))
        }
    }

    private struct SandboxMembers: Decodable {
        var sandbox: String?
        var instance: String?
        var protected: [String]
    }

    @Test("runs a script of the first version")
    func firstVersion() async throws {
        try await Daemon.with { daemon in
            let command = StartScriptCommand(scriptBody: "echo hello", taskID: "ServerTasks-4711")
            let ticket = try await call(
                daemon,
                "IScriptService",
                "StartScript",
                [try encoded(command)],
                as: ScriptTicket.self
            )
            #expect(ticket.taskID.contains(/^\d{14}-4711-1$/))
            var status: ScriptStatusResponse
            var logs: [String] = []
            var sequence: Int64 = 0
            repeat {
                status = try await call(
                    daemon,
                    "IScriptService",
                    "getstatus",
                    [try encoded(ScriptStatusRequest(ticket: ticket, lastLogSequence: sequence))],
                    as: ScriptStatusResponse.self
                )
                logs += status.logs.filter { $0.source == .stdOut }.map(\.text)
                sequence = status.nextLogSequence
            } while status.state != .complete
            #expect(status.exitCode == 0)
            // The agent's own lines about the mutex come first.
            #expect(logs.last == "hello")
            let last = try await call(
                daemon,
                "IScriptService",
                "CompleteScript",
                [try encoded(CompleteScriptCommand(ticket: ticket, lastLogSequence: 0))],
                as: ScriptStatusResponse.self
            )
            #expect(last.logs.contains { $0.text == "hello" })
        }
    }

    @Test("takes and gives files; says what it can")
    func files() async throws {
        try await Daemon.with { daemon in
            let capabilities = try await call(
                daemon,
                "ICapabilitiesServiceV2",
                "GetCapabilities",
                [],
                as: CapabilitiesResponseV2.self
            )
            #expect(
                capabilities.supportedCapabilities == ["IScriptService", "IFileTransferService", "IScriptServiceV2"]
            )
            let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
            let stream = OutgoingDataStream(bytes: bytes)
            let stored = try await daemon.client.call(
                daemon.endPoint,
                service: "IFileTransferService",
                method: "UploadFile",
                parameters: ["Files\\app.zip", stream.reference(typed: true)],
                streams: [stream]
            )
            let result = try BSONDecoder().decode(UploadResult.self, from: stored.value)
            #expect(result.fullPath == daemon.home.path + "/Files/app.zip")
            #expect(result.length == 3_000_000)
            #expect(result.hash?.uppercased() == Thumbprint(certificateDER: bytes).description)
            let answer = try await daemon.client.call(
                daemon.endPoint,
                service: "IFileTransferService",
                method: "DownloadFile",
                parameters: ["Files/app.zip"]
            )
            #expect(try answer.streams.values.first?.readAll() == bytes)
            let missing = try await daemon.client.call(
                daemon.endPoint,
                service: "IFileTransferService",
                method: "DownloadFile",
                parameters: ["Files/none"]
            )
            #expect(missing.value == .null)
        }
    }

    @Test("errors of the agent have the texts that servers match on")
    func errors() async throws {
        try await Daemon.with { daemon in
            func failure(_ service: String, _ method: String, _ parameters: [BSONValue]) async throws -> HalibutError {
                try await #require(throws: HalibutError.self) {
                    try await daemon.client.call(
                        daemon.endPoint,
                        service: service,
                        method: method,
                        parameters: parameters
                    )
                }
            }
            let service = try await failure("iscriptservice", "StartScript", [])
            #expect(service.code == .serviceNotFound)
            let method = try await failure("IScriptServiceV2", "StartScriptAsync", [])
            #expect(method.code == .methodNotFound)
            #expect(method.message.hasSuffix("ScriptServiceV2::StartScriptAsyncAsync not found"))
            #expect(try await failure("IScriptServiceV2", "GetStatus", []).code == .ambiguousMethod)
            #expect(try await failure("IScriptServiceV2", "GetStatus", ["text"]).code == .ambiguousMethod)
            let wrong = try encoded(CompleteScriptCommandV2(ticket: .unique()))
            #expect(try await failure("IScriptServiceV2", "GetStatus", [wrong]).code == .ambiguousMethod)
            let null = try await failure("IScriptServiceV2", "GetStatus", [.null])
            #expect(null.code == .invocation)
            #expect(null.serverDetails?.contains(" ---> System.NullReferenceException: Object reference") == true)
            let ticket = ScriptStatusRequestV2(ticket: ScriptTicket(taskID: "../../etc"), lastLogSequence: 0)
            #expect(try await failure("IScriptServiceV2", "GetStatus", [encoded(ticket)]).code == .invocation)
        }
    }

    @Test("an unknown ticket is complete with -45")
    func unknownTicket() async throws {
        try await Daemon.with { daemon in
            let request = ScriptStatusRequestV2(ticket: .unique(), lastLogSequence: 0)
            let status = try await call(
                daemon,
                "IScriptServiceV2",
                "GetStatus",
                [try encoded(request)],
                as: ScriptStatusResponseV2.self
            )
            #expect(status.state == .complete)
            #expect(status.exitCode == -45)
            #expect(status.ticket.taskID == request.ticket.taskID)
        }
    }

    @Test("a first start makes a certificate and repairs the way of contact")
    func firstStart() async throws {
        let server = Thumbprint(certificateDER: [1])
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: nil, server: nil) { configuration in
                configuration.setTrustedServers([
                    TrustedServer(thumbprint: server.description, communicationStyle: .none)
                ])
            }
            // Standard input is empty: on the console that ends the agent.
            let ended = try await Daemon.run(["--config", path, "--console"])
            #expect(ended.status == 0)
            #expect(ended.output.contains("A new certificate has been generated and installed"))
            #expect(ended.output.contains("Fixed communication style for: \(server)"))
            #expect(ended.output.contains("Running. Press <enter> to shut down..."))
            let configuration = try TentacleConfiguration.load(from: path, host: .current())
            let identity = try #require(try configuration.identity())
            #expect(ended.output.contains(identity.thumbprint.description))
            #expect(try configuration.trustedServers().map(\.communicationStyle) == [.listening])
        }
    }

    @Test("an agent that neither listens nor trusts anybody says so")
    func alone() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil) { configuration in
                configuration.set(.noListen, true)
            }
            let ended = try await Daemon.run(["--config", path, "--console"])
            #expect(ended.status == 0)
            #expect(ended.output.contains("The agent is not configured to trust any Octopus Servers.\n"))
            #expect(ended.output.contains("Agent will not listen on any TCP ports\n"))
        }
    }

    @Test("polls a server directly where proxies are switched off")
    func pollingDirectly() async throws {
        let server = Thumbprint(certificateDER: [1])
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil) { configuration in
                configuration.set(.noListen, true)
                configuration.set(.pollingProxyUseDefault, false)
                configuration.setTrustedServers([
                    TrustedServer(
                        thumbprint: server.description,
                        communicationStyle: .polling,
                        address: "https://localhost:1",
                        subscriptionID: "poll://bcdfghjkmnpqrstvwxyz/"
                    )
                ])
            }
            let ended = try await Daemon.run(["--config", path, "--console"])
            #expect(ended.status == 0)
            #expect(ended.output.contains("Agent will not use a proxy server\n"))
            #expect(
                ended.output.contains(
                    "Agent will poll Octopus Server at https://localhost:1 for subscription "
                        + "poll://bcdfghjkmnpqrstvwxyz/ expecting thumbprint \(server)\n"
                )
            )
            #expect(ended.output.contains("Starting 1 polling connections\n"))
        }
    }

    @Test("polls through the configured proxy, and keeps its password to itself")
    func pollingProxy() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil) { configuration in
                configuration.setTrustedServers([
                    TrustedServer(
                        thumbprint: try Daemon.serverIdentity.get().thumbprint.description,
                        communicationStyle: .polling,
                        address: "https://localhost:10943",
                        subscriptionID: "poll://abc/"
                    )
                ])
                configuration.set(.noListen, true)
                configuration.set(.pollingProxyUseDefault, false)
                // A host that cannot work is refused at once, and only if it is used.
                configuration.set(.pollingProxyHost, "http://proxy")
                configuration.set(.pollingProxyPort, 3128)
                configuration.set(.pollingProxyUsername, "user")
                try configuration.setSecret(.pollingProxyPassword, "hunter2")
            }
            let program = try RunningProgram(Daemon.executable, ["--config", path, "--noninteractive"])
            try await program.whileRunning {
                let chosen = await program.line(
                    containing:
                        "Agent will use the octopus configured proxy at http://proxy:3128 for server at https://localhost:10943/"
                )
                try #require(chosen != nil)
                let used = await program.line(containing: "The proxy's hostname cannot contain a protocol prefix")
                try #require(used != nil)
            }
            let output = await program.outcome()
            #expect(!(output.output + output.errors).contains("hunter2"))
        }
    }

    @Test("values of the environment stand in front of the file, which stays as it is")
    func environmentSettings() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: nil, server: nil) { $0.set(.port, 1) }
            let before = try Data(contentsOf: URL(filePath: path))
            let identity = try Daemon.agentIdentity.get()
            let program = try RunningProgram(
                Daemon.executable,
                ["--config", path, "--noninteractive"],
                environment: [
                    "OCTOPUS_CONTRIBUTE_ENV_SETTINGS": "true", "TENTACLE_SERVICE_PORT": "0",
                    "TENTACLE_CERTIFICATE": Data(try identity.pkcs12()).base64EncodedString(),
                    "TENTACLE_TRUSTED_SERVERS": #"[{"Thumbprint":"ABCD","CommunicationStyle":0}]"#,
                    "OCTOPUS_USE_DEFAULT_PROXY": "false", "OCTOPUS_PROXY_HOST": "proxy",
                    "OCTOPUS_PROXY_PASSWORD": "hunter2",
                ]
            )
            try await program.whileRunning {
                try #require(await program.line(containing: "Fixed communication style for: ABCD") != nil)
                try #require(await program.line(containing: "thumbprint: ABCD") != nil)
                try #require(await program.line(containing: "Listener started") != nil)
            }
            let output = await program.outcome()
            #expect(!output.output.contains("A new certificate has been generated"))
            #expect(try Data(contentsOf: URL(filePath: path)) == before)
            let log = try String(contentsOf: folder.appending(path: "Logs/OctopusTentacle.txt"), encoding: .utf8)
            #expect(log.contains(" WARN  The proxy password comes from the environment (OCTOPUS_PROXY_PASSWORD)"))
            #expect(!(output.output + output.errors).contains("OCTOPUS_PROXY_PASSWORD") && !log.contains("hunter2"))
        }
    }

    @Test("a server and a certificate of the environment are the ones that count while the agent runs")
    func environmentTrust() async throws {
        let server = try Daemon.serverIdentity.get()
        let environment = [
            "OCTOPUS_CONTRIBUTE_ENV_SETTINGS": "true",
            "TENTACLE_CERTIFICATE": Data(try Daemon.agentIdentity.get().pkcs12()).base64EncodedString(),
            "TENTACLE_TRUSTED_SERVERS": #"[{"Thumbprint":"\#(server.thumbprint)","CommunicationStyle":1}]"#,
        ]
        let ended = try await Daemon.with(environment: environment) { configuration in
            configuration.setTrustedServers([])
            try configuration.setIdentity(try TLSIdentity.generate())
        } _: { daemon in
            let capabilities = try await call(
                daemon,
                "ICapabilitiesServiceV2",
                "GetCapabilities",
                [],
                as: CapabilitiesResponseV2.self
            )
            #expect(!capabilities.supportedCapabilities.isEmpty)
        }
        #expect(!ended.output.contains("trusts Octopus Servers no longer"))
    }

    @Test("the proxy password is masked in the log and on the console, URL-encoded as well")
    func maskedPassword() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil) { configuration in
                configuration.setTrustedServers(
                    ["s3cret/word", "s3cret%2fword", "s3cret%2Fword"].map {
                        TrustedServer(thumbprint: $0, communicationStyle: .listening)
                    }
                )
                configuration.set(.proxyHost, "proxy")
                configuration.set(.proxyUseDefault, false)
                try configuration.setSecret(.proxyPassword, "s3cret/word")
            }
            let program = try RunningProgram(Daemon.executable, ["--config", path, "--noninteractive"])
            try await program.whileRunning {
                try #require(await program.line(containing: "with the thumbprint: ********") != nil)
                try #require(await program.line(containing: "Listener started") != nil)
            }
            let output = await program.outcome()
            let log = try String(contentsOf: folder.appending(path: "Logs/OctopusTentacle.txt"), encoding: .utf8)
            for text in [log, output.output + output.errors] { #expect(!text.contains("s3cret")) }
            #expect(log.contains("with the thumbprint: ********\n"))
        }
    }

    @Test("with the level Off nothing is logged anywhere")
    func silent() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil)
            let program = try RunningProgram(
                Daemon.executable,
                ["--config", path, "--console"],
                environment: ["OCTOPUS__TENTACLE__LOGLEVEL": "Off"]
            )
            let ended = await program.outcome()
            #expect(ended.status == 0 && ended.output == "" && ended.errors == "")
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "Logs").path))
        }
    }

    @Test("without console logging only errors are printed, and the file has everything")
    func quiet() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil)
            let arguments = ["--config", path, "--console", "--noconsolelogging"]
            let ended = try await Daemon.run(arguments)
            #expect(ended.status == 0 && ended.output == "" && ended.errors == "")
            let log = try String(contentsOf: folder.appending(path: "Logs/OctopusTentacle.txt"), encoding: .utf8)
            #expect(log.contains("Listener started") && log.contains("The agent has stopped"))
        }
    }

    @Test("a log that cannot be written is one line on standard error")
    func unwritableLog() async throws {
        try await withScratch { folder in
            let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil)
            try Data().write(to: folder.appending(path: "Logs"))
            let ended = try await Daemon.run(["--config", path, "--console"])
            #expect(ended.status == 0 && ended.output.contains("Listener started"))
            let file = "\(folder.path)/Logs/OctopusTentacle.txt"
            #expect(ended.errors.hasPrefix("The log file '\(file)' cannot be written: "))
            #expect(ended.errors.split(separator: "\n").count == 1)
        }
    }

    @Test("a port in use is exit code 100 and names the port")
    func portInUse() async throws {
        try await Daemon.with { daemon in
            try await withScratch { folder in
                let path = try Daemon.write(folder, agent: Daemon.agentIdentity.get(), server: nil) {
                    $0.set(.port, daemon.port)
                }
                let ended = try await Daemon.run(["--config", path, "--noninteractive"])
                #expect(ended.status == 100)
                #expect(ended.errors.contains("A required communications port is already in use."))
                #expect(ended.errors.contains("\(daemon.port)"))
                #expect(ended.errors.contains("Terminating process with exit code 100"))
            }
        }
    }

    @Test(
        "bad command lines and configurations are one line each",
        arguments: [(["--bogus"], 1), (["--instance"], 100), (["--config", "/nonexistent/tentacle.config"], 1)]
            as [([String], Int32)]
    )
    func badInput(arguments: [String], status: Int32) async throws {
        let ended = try await Daemon.run(arguments)
        #expect(ended.status == status)
        #expect(ended.output == "")
        #expect(!ended.errors.isEmpty)
        if status == 1 { #expect(ended.errors.split(separator: "\n").count == 1) }
    }

    @Test("SIGHUP reads the configuration again, says what needs a restart, and ends nothing")
    func hangUp() async throws {
        let ended = try await Daemon.with { daemon in
            let program = daemon.program
            program.send(signal: SIGHUP)
            #expect(await program.line(containing: "The configuration is in effect") != nil)
            let path = daemon.home.appending(path: "tentacle.config").path
            try TentacleConfiguration.update(path, host: .current()) { configuration in
                configuration.set(.port, 10_999)
                configuration.set(.proxyUseDefault, false)
                configuration.set(.proxyHost, "proxy.example")
                try configuration.setSecret(.proxyPassword, "hunter2")
                let trusted = try configuration.trustedServers()
                configuration.setTrustedServers(trusted + [Self.polled])
            }
            program.send(signal: SIGHUP)
            let line = try #require(await program.line(containing: "Changes that need a restart"))
            #expect(line.hasSuffix(": port, polled servers, proxy"))
            try "<octopus-settings>".write(toFile: path, atomically: true, encoding: .utf8)
            // Once because it has changed, once because it was asked for.
            #expect(await program.line(containing: "cannot be read; going on as before") != nil)
            program.send(signal: SIGHUP)
            #expect(await program.line(containing: "being read again (SIGHUP)") != nil)
            #expect(await program.line(containing: "cannot be read; going on as before") != nil)
            _ = try await daemon.client.call(
                daemon.endPoint,
                service: "ICapabilitiesServiceV2",
                method: "GetCapabilities"
            )
        }
        #expect(ended.status == 0)
        #expect(!ended.output.contains("hunter2"))
    }

    private static let polled = TrustedServer(
        thumbprint: String(repeating: "A", count: 40),
        communicationStyle: .polling,
        address: "https://polled.example:10943/",
        subscriptionID: "poll://abcdefghij0123456789/"
    )

    @Test("a caller that is not trusted gets no answer")
    func untrusted() async throws {
        try await Daemon.with { daemon in
            let stranger = try HalibutClient(
                identity: TLSIdentity.generate(commonName: "Stranger"),
                configuration: HalibutConfiguration(logger: .init(label: "test"))
            )
            var endPoint = daemon.endPoint
            endPoint.retryCountLimit = 1
            let error = await #expect(throws: HalibutError.self) {
                try await stranger.call(endPoint, service: "ICapabilitiesServiceV2", method: "GetCapabilities")
            }
            #expect(error?.code == .network)
            await stranger.close()
        }
    }
}
