package import FoundationEssentials

/// A host that runs steps for the server.
package struct Worker: KnownAgent {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var poolIDs: [String]
    package var endpoint: AgentEndpoint
    package var isDisabled: Bool
    package var machinePolicyID: String
    package var health: AgentHealth
    package var healthSummary: String
    package var lastChecked: Date?
    package var facts: HostFacts

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        poolIDs: [String],
        endpoint: AgentEndpoint,
        isDisabled: Bool = false,
        machinePolicyID: String = MachinePolicy.defaultID
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.poolIDs, self.endpoint) = (poolIDs, endpoint)
        (self.isDisabled, self.machinePolicyID) = (isDisabled, machinePolicyID)
        (self.health, self.healthSummary) = (.unknown, AgentHealth.notCheckedSummary)
        (self.lastChecked, self.facts) = (nil, HostFacts())
    }
}

/// A named group of workers; every space has a default one.
package struct WorkerPool: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var isDefault: Bool
    package var sortOrder: Int
    /// Members the server stores and gives back without reading them.
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        isDefault: Bool = false,
        sortOrder: Int = 0,
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.isDefault, self.sortOrder, self.echoed) = (isDefault, sortOrder, echoed)
    }
}

/// How the server looks after machines: what it is made of is kept and given back; this version follows none of it yet.
package struct MachinePolicy: Codable, Hashable, Sendable {
    /// The policy of machines that name none: the first one, made at the first start.
    package static let defaultID = "MachinePolicies-1"

    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var echoed: JSONObject

    package init(id: String, spaceID: String, name: String, slug: String, echoed: JSONObject = [:]) {
        (self.id, self.spaceID, self.name, self.slug, self.echoed) = (id, spaceID, name, slug, echoed)
    }

    package var isDefault: Bool { id == Self.defaultID }
}
