import HTTPTypes
import ServerDomain

/// Collections that clients ask for and that are empty, or have one fixed member, in this version (rest-api.md 19.3, 19.5).
struct StubAPI: Sendable {
    private static let empty = [
        "tenants", "tagsets", "libraryvariablesets", "accounts", "certificates", "actiontemplates", "projecttriggers",
        "runbooks", "git-credentials", "proxies", "subscriptions", "feeds", "workers", "artifacts", "interruptions",
    ]

    func register(in routes: inout APIRoutes) {
        for name in Self.empty {
            routes.space(.get, name) { call in
                .json(APIPage.json([], of: name, call: call, template: "{/id}{?skip,take,ids,partialName}"))
            }
            routes.space(.get, "\(name)/all") { _ in .json([]) }
        }
        routes.space(.get, "machines/operatingsystem/names/all") { _ in .json([]) }
        routes.space(.get, "machines/operatingsystem/shells/all") { _ in .json([]) }
        fixed("machinepolicies", "MachinePolicy", Self.policy, in: &routes)
        routes.space(.get, "machinepolicies/template") { call in .json(Self.policy(call.spaceID)) }
        fixed("workerpools", "WorkerPool", Self.pool, in: &routes)
        routes.space(.get, "variables/:id") { call in .json(Self.variables(call)) }
    }

    private func fixed(
        _ name: String,
        _ itemType: String,
        _ make: @escaping @Sendable (String) -> JSONValue,
        in routes: inout APIRoutes
    ) {
        routes.space(.get, name) { call in
            .json(
                APIPage.json(
                    Self.matching(make(call.spaceID), call),
                    of: itemType,
                    call: call,
                    template: "{/id}{?skip,take,ids,partialName}"
                )
            )
        }
        routes.space(.get, "\(name)/all") { call in .json(.array(Self.matching(make(call.spaceID), call))) }
        routes.space(.get, "\(name)/:id") { call in
            let item = make(call.spaceID)
            let (id, slug) = (item.members?.text("Id") ?? "", item.members?.text("Slug") ?? "")
            guard [id, slug].contains(where: { $0.equalsIgnoringASCIICase(call.parameter("id")) }) else {
                throw APIError.notFound(call.parameter("id"))
            }
            return .json(item)
        }
    }

    private static func matching(_ item: JSONValue, _ call: APICall) -> [JSONValue] {
        let name = item.members?.text("Name") ?? ""
        let id = item.members?.text("Id") ?? ""
        let isWanted =
            (call.query["name"].map { name.equalsIgnoringASCIICase($0) } ?? true)
            && (call.query["partialName"].map { name.lowercased().contains($0.lowercased()) } ?? true)
            && (call.query.list("ids")?.contains { $0.equalsIgnoringASCIICase(id) } ?? true)
        return isWanted ? [item] : []
    }

    private static func pool(_ space: String) -> JSONValue {
        let path = "/api/\(space)/workerpools/WorkerPools-1"
        return [
            "Id": "WorkerPools-1", "SpaceId": .string(space), "Name": "Default Worker Pool",
            "Slug": "default-worker-pool",
            "Description": "", "WorkerPoolType": "StaticWorkerPool", "IsDefault": true, "CanAddWorkers": true,
            "SortOrder": 0, "Links": ["Self": .string(path), "Workers": "\(path)/workers{?skip,take,partialName}"],
        ]
    }

    private static func policy(_ space: String) -> JSONValue {
        let inherit: JSONValue = ["RunType": "InheritFromDefault", "ScriptBody": nil]
        return [
            "Id": "MachinePolicies-1", "SpaceId": .string(space), "Name": "Default Machine Policy", "Description": "",
            "IsDefault": true,
            "MachineHealthCheckPolicy": [
                "PowerShellHealthCheckPolicy": inherit, "BashHealthCheckPolicy": inherit,
                "HealthCheckInterval": "1.00:00:00", "HealthCheckCron": nil, "HealthCheckCronTimezone": "UTC",
                "HealthCheckType": "RunScript",
            ], "MachineConnectivityPolicy": ["MachineConnectivityBehavior": "ExpectedToBeOnline"],
            "MachineCleanupPolicy": [
                "DeleteMachinesBehavior": "DoNotDelete", "DeleteMachinesElapsedTimeSpan": "00:00:00",
            ],
            "MachineUpdatePolicy": [
                "CalamariUpdateBehavior": "UpdateOnDeployment", "TentacleUpdateBehavior": "NeverUpdate",
                "TentacleUpdateAccountId": nil, "KubernetesAgentUpdateBehavior": "NeverUpdate",
            ],
            "MachinePackageCacheRetentionPolicy": [
                "Strategy": "Default", "QuantityOfPackagesToKeep": nil, "PackageUnit": nil,
                "QuantityOfVersionsToKeep": nil, "VersionUnit": nil,
            ],
            "MachineRpcCallRetryPolicy": [
                "Enabled": true, "HealthCheckRetryDuration": "00:02:30", "RetryDuration": "00:02:30",
            ], "PollingRequestQueueTimeout": "00:02:00", "PollingRequestMaximumMessageProcessingTimeout": "00:10:00",
            "ConnectionRetrySleepInterval": "00:00:01", "ConnectionRetryCountLimit": 5,
            "ConnectionRetryTimeLimit": "00:05:00", "ConnectionConnectTimeout": "00:01:00",
            "Links": ["Self": "/api/\(space)/machinepolicies/MachinePolicies-1"],
        ]
    }

    /// Every project has a variable set; in this version it is always empty.
    private static func variables(_ call: APICall) -> JSONValue {
        let id = call.parameter("id")
        return [
            "Id": .string(id), "SpaceId": .string(call.spaceID),
            "OwnerId": .string(String(id.dropFirst("variableset-".count))),
            "Version": 0, "Variables": [],
            "ScopeValues": [
                "Environments": [], "Machines": [], "Actions": [], "Roles": [], "Channels": [], "TenantTags": [],
            ],
            "Links": ["Self": .string(call.path)],
        ]
    }
}
