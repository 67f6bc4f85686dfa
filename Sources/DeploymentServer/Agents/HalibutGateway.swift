import BSON
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
        let response = try await call(endpoint, ServiceName.capabilitiesServiceV2, MethodName.getCapabilities, [])
        return try decode(CapabilitiesResponseV2.self, response).supportedCapabilities
    }

    package func startScript(
        _ command: StartScriptCommandV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        try await callScriptService(MethodName.startScript, command, on: endpoint)
    }

    package func getStatus(
        _ request: ScriptStatusRequestV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        try await callScriptService(MethodName.getStatus, request, on: endpoint)
    }

    package func cancelScript(
        _ command: CancelScriptCommandV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        try await callScriptService(MethodName.cancelScript, command, on: endpoint)
    }

    package func completeScript(_ command: CompleteScriptCommandV2, on endpoint: AgentEndpoint) async throws {
        _ = try await call(endpoint, ServiceName.scriptServiceV2, MethodName.completeScript, [encode(command)])
    }

    private func callScriptService(
        _ method: String,
        _ parameter: some WireContract,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2 {
        let value = try await call(endpoint, ServiceName.scriptServiceV2, method, [encode(parameter)])
        return try decode(ScriptStatusResponseV2.self, value)
    }

    private func call(
        _ endpoint: AgentEndpoint,
        _ service: String,
        _ method: String,
        _ parameters: [BSONValue]
    ) async throws -> BSONValue {
        do {
            let address = try ServiceEndPoint(endpoint.uri, remoteThumbprint: Thumbprint(endpoint.thumbprint))
            return try await client.call(address, service: service, method: method, parameters: parameters).value
        } catch let error as HalibutError {
            throw TentacleCallError(error)
        }
    }

    private func encode<T: WireContract>(_ value: T) throws -> BSONValue {
        try BSONEncoder().encode(value, typeName: T.wireTypeName)
    }

    private func decode<T: WireContract>(_ type: T.Type, _ value: BSONValue) throws -> T {
        do { return try BSONDecoder().decode(type, from: value) } catch {
            throw TentacleCallError(.service, "The agent answered something unexpected: \(error)")
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
            case .invocation, .local: .service
            case .serviceNotFound, .methodNotFound, .ambiguousMethod: .notFound
            default: .unknown
            }
        self.init(code, phase: error.phase == .connecting ? .connecting : .transferring, error.message)
    }
}
