package import Halibut
package import Logging
package import SecureTransport
package import ServerDomain
import Synchronization
package import TentacleContracts

/// Reaches agents over Halibut: listening ones by dialling them, polling ones through the queue they subscribe to.
package final class HalibutGateway: TentacleGateway, AgentDirectory {
    /// The certificates that may subscribe; always those of the polling machines in the store.
    package let trust = TrustedPeers()

    private let client: HalibutClient
    /// Which certificates own which subscription.
    private let subscriptions = Mutex<[String: Set<Thumbprint>]>([:])

    package init(identity: TLSIdentity, logger: Logger) throws {
        client = try HalibutClient(identity: identity, configuration: HalibutConfiguration(logger: logger))
    }

    /// The port on which polling agents collect their calls.
    package func makeListener(host: String?, port: Int, identity: TLSIdentity, logger: Logger) -> HalibutListener {
        HalibutListener(
            host: host,
            port: port,
            identity: identity,
            trust: trust,
            pollingQueues: client.pollingQueues,
            authorise: { [weak self] subscription, peer in self?.mayPoll(subscription, peer) ?? false },
            configuration: HalibutConfiguration(logger: logger)
        )
    }

    package func close() async { await client.close() }

    // MARK: Directory

    package func machinesChanged(to machines: [DeploymentTarget]) async {
        var owners: [String: Set<Thumbprint>] = [:]
        for machine in machines where machine.endpoint.style == .polling {
            guard let thumbprint = Thumbprint(machine.endpoint.thumbprint) else { continue }
            owners[machine.endpoint.normalisedURI, default: []].insert(thumbprint)
        }
        subscriptions.withLock { $0 = owners }
        // After the owners, so that nobody is let in whose subscription is not known yet.
        trust.trustOnly(owners.values.reduce(into: Set<Thumbprint>()) { $0.formUnion($1) })
    }

    /// Real Halibut lets any trusted agent take any other's calls; here only the owner may (halibut.md 2.3).
    package func mayPoll(_ subscription: String, _ peer: Thumbprint) -> Bool {
        let endpoint = AgentEndpoint(style: .polling, uri: subscription, thumbprint: peer.description)
        return subscriptions.withLock { $0[endpoint.normalisedURI]?.contains(peer) ?? false }
    }

    package func discover(host: String, port: Int) async throws -> String {
        do { return try await client.discover(host: host, port: port).description } catch let error as HalibutError {
            throw TentacleCallError(error)
        }
    }

    // MARK: Calls

    package func capabilities(of endpoint: AgentEndpoint) async throws -> [String] {
        let response: CapabilitiesResponseV2 = try await calling(endpoint, ServiceName.capabilitiesServiceV2) {
            try await $0.call(MethodName.getCapabilities)
        }
        return response.supportedCapabilities
    }

    package func startScript(
        _ command: StartScriptCommandV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        try await calling(endpoint) { try await $0.call(MethodName.startScript, command) }
    }

    package func getStatus(
        _ request: ScriptStatusRequestV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        try await calling(endpoint) { try await $0.call(MethodName.getStatus, request) }
    }

    package func cancelScript(
        _ command: CancelScriptCommandV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        try await calling(endpoint) { try await $0.call(MethodName.cancelScript, command) }
    }

    package func completeScript(_ command: CompleteScriptCommandV2, on endpoint: AgentEndpoint) async throws {
        try await calling(endpoint) { try await $0.call(MethodName.completeScript, command) }
    }

    private func calling<Result>(
        _ endpoint: AgentEndpoint,
        _ service: String = ServiceName.scriptServiceV2,
        _ body: (RemoteService) async throws -> Result
    ) async throws -> Result {
        do {
            var address = try ServiceEndPoint(endpoint.uri, remoteThumbprint: Thumbprint(endpoint.thumbprint))
            // An agent whose certificate is being changed shows the other one then: no call is lost over it.
            address.retriesUnexpectedCertificate = true
            return try await body(RemoteService(service, at: address, client: client))
        } catch let error as HalibutError {
            throw TentacleCallError(error)
        }
    }
}

extension TentacleCallError {
    /// Which failures may be tried again (halibut.md 8.5, tentacle-services.md 15.4).
    init(_ error: HalibutError) {
        let code: Code =
            switch error.code {
            case .network, .pickupTimeout: .network
            case .unexpectedCertificate: .unexpectedCertificate
            case .cancelled: .cancelled
            case .invocation, .local, .unexpectedResult: .service
            case .serviceNotFound, .methodNotFound, .ambiguousMethod, .noMatchingServiceOrMethod: .notFound
            default: .unknown
            }
        self.init(code, phase: error.phase == .connecting ? .connecting : .transferring, error.message)
    }
}
