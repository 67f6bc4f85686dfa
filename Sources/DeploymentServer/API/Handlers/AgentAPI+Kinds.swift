import HTTPTypes
import ServerDomain
import ServerStore

extension AgentEndpoint {
    /// Of an agent of which nothing is known yet; refused by the rules.
    fileprivate static let unknown = AgentEndpoint(style: .listening, uri: "", thumbprint: "")
}

extension DeploymentTarget: APIAgent {
    static let path = "machines"
    static let itemType = "DeploymentTarget"
    static let kind = "machine"
    static let ownFilters = "roles,environmentIds,tenantIds,tenantTags,deploymentTargetTypes"

    init(id: String, spaceID: String) {
        self.init(id: id, spaceID: spaceID, name: "", slug: "", environmentIDs: [], roles: [], endpoint: .unknown)
    }

    mutating func apply(_ body: JSONObject, _ tx: StoreTransaction) throws {
        if body["EnvironmentIds"] != nil {
            let ids = try body.list("EnvironmentIds")
            environmentIDs = try tx.require(DeploymentEnvironment.self, ids: ids, in: spaceID, as: "environment")
        }
        if body["Roles"] != nil { roles = try body.list("Roles").uniqueIgnoringCase }
        if body["TenantIds"] != nil {
            tenantIDs = try tx.require(Tenant.self, ids: try body.list("TenantIds"), in: spaceID, as: "tenant")
        }
        if body["TenantTags"] != nil {
            tenantTags = try tx.canonicalTags(try body.list("TenantTags"), in: spaceID)
        }
        if let text = body.filled("TenantedDeploymentParticipation") {
            guard let value = Participation.allCases.first(where: { $0.rawValue.equalsIgnoringASCIICase(text) }) else {
                throw APIError.invalid(
                    "The TenantedDeploymentParticipation '\(text)' is not valid. "
                        + "Valid values are Untenanted, TenantedOrUntenanted and Tenanted."
                )
            }
            participation = value
        }
    }

    var ownFilterValues: [(filter: String, values: [String])] {
        [
            ("roles", roles), ("environmentIds", environmentIDs), ("tenantIds", tenantIDs), ("tenantTags", tenantTags),
        ]
    }

    var ownJSON: JSONObject {
        [
            "EnvironmentIds": JSONValue(environmentIDs), "Roles": JSONValue(roles),
            "TenantedDeploymentParticipation": .string(participation.rawValue), "TenantIds": JSONValue(tenantIDs),
            "TenantTags": JSONValue(tenantTags),
        ]
    }
}

extension AgentAPI where Agent == DeploymentTarget {
    /// What is asked of targets only.
    func registerTargets(in routes: inout APIRoutes) {
        register(in: &routes)
        register(below: "environments", of: DeploymentEnvironment.self, in: &routes) {
            $0.environmentIDs.contains($1.id)
        }
        routes.space(.get, "machineroles/all") { call in
            let spaceID = call.spaceID
            let all = try await services.store.read { try $0.all(DeploymentTarget.self, in: spaceID) }
            return .json(JSONValue(Set(all.flatMap(\.roles)).sorted()))
        }
    }
}

extension Worker: APIAgent {
    static let path = "workers"
    static let itemType = "Worker"
    static let kind = "worker"
    static let ownFilters = "workerPoolIds"

    init(id: String, spaceID: String) {
        self.init(id: id, spaceID: spaceID, name: "", slug: "", poolIDs: [], endpoint: .unknown)
    }

    mutating func apply(_ body: JSONObject, _ tx: StoreTransaction) throws {
        guard body["WorkerPoolIds"] != nil else { return }
        poolIDs = try tx.require(WorkerPool.self, ids: try body.list("WorkerPoolIds"), in: spaceID, as: "worker pool")
    }

    var ownFilterValues: [(filter: String, values: [String])] { [("workerPoolIds", poolIDs)] }

    var ownJSON: JSONObject { ["WorkerPoolIds": JSONValue(poolIDs)] }
}

extension AgentAPI where Agent == Worker {
    func registerWorkers(in routes: inout APIRoutes) {
        register(in: &routes)
        register(below: "workerpools", of: WorkerPool.self, in: &routes) { $0.poolIDs.contains($1.id) }
    }
}
