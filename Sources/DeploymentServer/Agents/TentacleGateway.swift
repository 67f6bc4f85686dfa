package import ServerDomain
package import TentacleContracts

/// How the orchestration reaches an agent: the calls of `IScriptServiceV2` and `ICapabilitiesServiceV2`, nothing else.
package protocol TentacleGateway: Sendable {
    func capabilities(of endpoint: AgentEndpoint) async throws -> [String]
    func startScript(_ command: StartScriptCommandV2, on endpoint: AgentEndpoint) async throws -> ScriptStatusResponseV2
    func getStatus(_ request: ScriptStatusRequestV2, on endpoint: AgentEndpoint) async throws -> ScriptStatusResponseV2
    func cancelScript(
        _ command: CancelScriptCommandV2,
        on endpoint: AgentEndpoint
    ) async throws -> ScriptStatusResponseV2
    func completeScript(_ command: CompleteScriptCommandV2, on endpoint: AgentEndpoint) async throws
}

/// A call that failed, with what the retry rules need to know (tentacle-services.md 15.4).
package struct TentacleCallError: Error, CustomStringConvertible {
    package enum Code: Sendable {
        /// The agent could not be reached, or the connection broke.
        case network
        /// The agent answered that it could not do it.
        case service
        /// The agent has no such service or method.
        case notFound
        /// The agent showed another certificate than the machine is registered with.
        case unexpectedCertificate
        case cancelled
        case unknown
    }

    package enum Phase: Sendable { case connecting, transferring }

    package var code: Code
    package var phase: Phase
    package var description: String

    package init(_ code: Code, phase: Phase = .transferring, _ description: String) {
        (self.code, self.phase, self.description) = (code, phase, description)
    }

    package var isRetryable: Bool {
        switch code {
        case .network, .unknown, .cancelled: true
        case .service, .notFound, .unexpectedCertificate: false
        }
    }
}

/// Whoever must know at once which agents exist (the listener for polling agents), and can look at one before it does.
package protocol AgentDirectory: Sendable {
    /// These are the agents now; a roster that is older than the last one changes nothing.
    func rosterChanged(to roster: AgentRoster) async
    /// The thumbprint of the certificate that whoever listens there presents, seen through a proxy if one is named.
    func discover(host: String, port: Int, proxyID: String?) async throws -> String
}
