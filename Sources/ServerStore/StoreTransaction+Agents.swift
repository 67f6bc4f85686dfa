package import ServerDomain

extension StoreTransaction {
    /// All agents, targets first.
    package func agents(
        where conditions: [(column: String, value: StoreValue)] = []
    ) throws -> [any StoredAgent] {
        try all(DeploymentTarget.self, where: conditions) + all(Worker.self, where: conditions)
    }

    /// The target or the worker with this id.
    package func agent(id: String) throws -> (any StoredAgent)? {
        if let target = try find(DeploymentTarget.self, id: id) { return target }
        return try find(Worker.self, id: id)
    }

    /// The agents as this transaction leaves them, under a revision that no other roster has.
    package func roster() throws -> AgentRoster {
        AgentRoster(
            revision: try nextNumber("#roster"),
            agents: try agents(),
            proxies: try all(AgentProxy.self)
        )
    }
}
