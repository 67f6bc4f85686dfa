package import FoundationEssentials

/// A host that receives deployments (the wire calls it Machine).
package struct DeploymentTarget: KnownAgent {
    /// Which deployments a target takes: those for a tenant, those for none, or both.
    package enum Participation: String, Codable, Sendable, CaseIterable {
        case untenanted = "Untenanted"
        case tenantedOrUntenanted = "TenantedOrUntenanted"
        case tenanted = "Tenanted"
    }

    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var environmentIDs: [String]
    package var roles: [String]
    package var participation: Participation
    package var tenantIDs: [String]
    /// Canonical names, `Set/Tag`.
    package var tenantTags: [String]
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
        environmentIDs: [String],
        roles: [String],
        participation: Participation = .untenanted,
        tenantIDs: [String] = [],
        tenantTags: [String] = [],
        endpoint: AgentEndpoint,
        isDisabled: Bool = false,
        machinePolicyID: String = MachinePolicy.defaultID
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.environmentIDs, self.roles, self.endpoint) = (environmentIDs, roles, endpoint)
        (self.participation, self.tenantIDs, self.tenantTags) = (participation, tenantIDs, tenantTags)
        (self.isDisabled, self.machinePolicyID) = (isDisabled, machinePolicyID)
        (self.health, self.healthSummary) = (.unknown, AgentHealth.notCheckedSummary)
        (self.lastChecked, self.facts) = (nil, HostFacts())
    }
}
