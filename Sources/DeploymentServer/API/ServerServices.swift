package import ServerStore

/// What the API and the portal work with.
package struct ServerServices: Sendable {
    package var store: Store
    package var runner: TaskRunner
    package var agents: any AgentDirectory
    package var identity: ServerCertificate
    package var installationID: String

    package init(
        store: Store,
        runner: TaskRunner,
        agents: any AgentDirectory,
        identity: ServerCertificate,
        installationID: String
    ) {
        (self.store, self.runner, self.agents) = (store, runner, agents)
        (self.identity, self.installationID) = (identity, installationID)
    }
}

/// What the API tells about the certificate with which the server meets its agents.
package struct ServerCertificate: Sendable {
    package var thumbprint: String
    package var signatureAlgorithm: String
    package var der: [UInt8]

    package init(thumbprint: String, signatureAlgorithm: String, der: [UInt8]) {
        (self.thumbprint, self.signatureAlgorithm, self.der) = (thumbprint, signatureAlgorithm, der)
    }
}

extension ServerServices {
    /// Writes what decides how agents are reached, and tells the directory before the caller answers: a polling agent
    /// connects as soon as it has registered.
    func writeAgents<T: Sendable>(_ body: @Sendable (StoreTransaction) throws -> T) async throws -> T {
        let (result, roster) = try await store.write { tx in (try body(tx), try tx.roster()) }
        await agents.rosterChanged(to: roster)
        return result
    }
}
