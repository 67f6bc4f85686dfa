import DeploymentServer
import Halibut
import Logging
import SecureTransport
import ServerDomain
import Synchronization
import TentacleContracts
import Testing

/// The real wire: a gateway against Halibut's own services on loopback.
@Suite(.timeLimit(.minutes(4))) struct HalibutGatewayTests {
    /// Answers as an agent whose scripts are over at once.
    static var agent: RPCServices {
        var capabilities = RPCService(ServiceName.capabilitiesServiceV2)
        capabilities.method(MethodName.getCapabilities) { _ in CapabilitiesResponseV2.ofTentacle }
        var scripts = RPCService(ServiceName.scriptServiceV2)
        scripts.method(MethodName.startScript) { (_, command: StartScriptCommandV2) in
            ScriptStatusResponseV2.complete(command.scriptTicket, [command.scriptBody], exitCode: 4)
        }
        scripts.method(MethodName.completeScript) { (_, _: CompleteScriptCommandV2) in }
        return RPCServices([capabilities, scripts])
    }

    static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    static func target(_ id: String, _ endpoint: AgentEndpoint) -> DeploymentTarget {
        DeploymentTarget(
            id: id,
            spaceID: "Spaces-1",
            name: id,
            slug: id,
            environmentIDs: [],
            roles: [],
            endpoint: endpoint
        )
    }

    /// Runs a script through the whole executor; its exit code and output.
    static func run(_ gateway: HalibutGateway, on endpoint: AgentEndpoint) async throws -> (Int32, [String]) {
        let log = ScriptExecutorTests.Log()
        let executor = ScriptExecutor(gateway: gateway, clock: ContinuousClock(), retry: .none)
        let command = StartScriptCommandV2(scriptTicket: .unique(), scriptBody: "hello")
        let code = try await executor.run(command, on: endpoint, log: log, cancel: CancelSignal())
        return (code, log.output)
    }

    @Test("a listening agent is dialled, and must show its certificate")
    func listening() async throws {
        let server = try TLSIdentity.generate()
        let agent = try TLSIdentity.generate()
        let gateway = try HalibutGateway(identity: server, logger: Self.logger)
        let service = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: agent,
            trust: TrustedPeers([server.thumbprint]),
            dispatcher: Self.agent,
            configuration: HalibutConfiguration(logger: Self.logger)
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await service.run() }
            defer { group.cancelAll() }
            let uri = "https://127.0.0.1:\(try await service.boundPort)/"
            let endpoint = AgentEndpoint(style: .listening, uri: uri, thumbprint: agent.thumbprint.description)
            let (code, output) = try await Self.run(gateway, on: endpoint)
            #expect(code == 4 && output == ["hello"])
            let wrong = AgentEndpoint(style: .listening, uri: uri, thumbprint: server.thumbprint.description)
            let error = await #expect(throws: TentacleCallError.self) { try await gateway.capabilities(of: wrong) }
            #expect(error?.code == .unexpectedCertificate)
            #expect(error?.isRetryable == false)
        }
        await gateway.close()
    }

    @Test("a polling agent collects its calls; only it may, and only while it is registered")
    func polling() async throws {
        let server = try TLSIdentity.generate()
        let agent = try TLSIdentity.generate()
        let gateway = try HalibutGateway(identity: server, logger: Self.logger)
        let listener = gateway.makeListener(host: "127.0.0.1", port: 0, identity: server, logger: Self.logger)
        let endpoint = AgentEndpoint(style: .polling, uri: "poll://ABCDEF", thumbprint: agent.thumbprint.description)
        #expect(!gateway.mayPoll("poll://abcdef/", agent.thumbprint))
        await gateway.rosterChanged(to: AgentRoster(revision: 1, agents: [Self.target("m1", endpoint)]))
        #expect(gateway.mayPoll("poll://abcdef/", agent.thumbprint))
        #expect(!gateway.mayPoll("poll://abcdef/", server.thumbprint))
        #expect(!gateway.mayPoll("poll://other/", agent.thumbprint))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await listener.run() }
            defer { group.cancelAll() }
            let service = try PollingService(
                subscription: "poll://abcdef/",
                server: ServiceEndPoint(
                    "https://127.0.0.1:\(try await listener.boundPort)/",
                    remoteThumbprint: server.thumbprint
                ),
                identity: agent,
                dispatcher: Self.agent,
                configuration: HalibutConfiguration(logger: Self.logger)
            )
            group.addTask { try? await service.run() }
            let (code, output) = try await Self.run(gateway, on: endpoint)
            #expect(code == 4 && output == ["hello"])
        }
        await gateway.rosterChanged(to: AgentRoster(revision: 2, agents: []))
        #expect(!gateway.mayPoll("poll://abcdef/", agent.thumbprint))
        #expect(gateway.trust.all.isEmpty)
        await gateway.close()
    }

    @Test("a call that nobody answers can be cancelled, and says that nothing was sent")
    func cancelled() async throws {
        let gateway = try HalibutGateway(identity: try TLSIdentity.generate(), logger: Self.logger)
        let endpoint = AgentEndpoint(
            style: .polling,
            uri: "poll://nobody/",
            thumbprint: String(repeating: "A", count: 40)
        )
        let cancel = CancelSignal()
        cancel.cancel()
        let error = await #expect(throws: CancelSignal.Interrupted.self) {
            try await cancel.interrupting { try await gateway.capabilities(of: endpoint) }
        }
        let underlying = try #require(error?.underlying as? TentacleCallError)
        #expect(underlying.code == .cancelled && underlying.phase == .connecting)
    }
}
