package import Halibut
import HalibutProtocol
package import Logging
package import SecureTransport
package import ServerDomain
import Synchronization
package import TentacleContracts

/// Reaches agents over Halibut: listening ones by dialling them, polling ones through the queue they subscribe to.
package final class HalibutGateway: TentacleGateway, AgentDirectory {
    /// The certificates that may subscribe; always those of the polling agents in the store.
    package let trust = TrustedPeers()

    private let client: HalibutClient

    private struct State {
        var revision: Int64 = 0
        /// Which certificates own which subscription.
        var owners: [String: Set<Thumbprint>] = [:]
        /// By their ids.
        var proxies: [String: HTTPProxy] = [:]
    }

    private let state = Mutex(State())

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

    package func rosterChanged(to roster: AgentRoster) async {
        var owners: [String: Set<Thumbprint>] = [:]
        for agent in roster.agents where agent.endpoint.style == .polling {
            guard let thumbprint = Thumbprint(agent.endpoint.thumbprint) else { continue }
            owners[agent.endpoint.normalisedURI, default: []].insert(thumbprint)
        }
        var proxies: [String: HTTPProxy] = [:]
        for proxy in roster.proxies {
            let (user, password) = (proxy.username, proxy.password)
            proxies[proxy.id] = HTTPProxy(host: proxy.host, port: proxy.port, userName: user, password: password)
        }
        state.withLock { [owners, proxies] state in
            guard roster.revision > state.revision else { return }
            state.revision = roster.revision
            state.owners = owners
            state.proxies = proxies
            // After the owners, so that nobody is let in whose subscription is not known yet.
            trust.trustOnly(owners.values.reduce(into: Set<Thumbprint>()) { $0.formUnion($1) })
        }
    }

    /// Real Halibut lets any trusted agent take any other's calls; here only the owner may (halibut.md 2.3).
    package func mayPoll(_ subscription: String, _ peer: Thumbprint) -> Bool {
        let endpoint = AgentEndpoint(style: .polling, uri: subscription, thumbprint: peer.description)
        return state.withLock { $0.owners[endpoint.normalisedURI]?.contains(peer) ?? false }
    }

    package func discover(host: String, port: Int, proxyID: String?) async throws -> String {
        let proxy = try proxy(proxyID)
        do {
            return try await client.discover(host: host, port: port, proxy: proxy).description
        } catch let error as HalibutError {
            throw TentacleCallError(error)
        }
    }

    /// Never falls back to a direct connection, which is not what the proxy is there for.
    private func proxy(_ id: String?) throws -> HTTPProxy? {
        guard let id else { return nil }
        guard let proxy = state.withLock({ $0.proxies[id] }) else {
            throw TentacleCallError(.service, phase: .connecting, "The proxy '\(id)' does not exist any more.")
        }
        return proxy
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
            address.proxy = try proxy(endpoint.proxyID)
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
