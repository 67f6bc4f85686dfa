import HTTPTypes
import ServerDomain
import ServerStore

/// What agents refer to: worker pools, machine policies, proxies (rest-api.md 19.3), tenants and tag sets.
struct InfrastructureAPI: Sendable {
    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        Self.pools.register(in: &routes, services)
        Self.policies.register(in: &routes, services)
        routes.space(.get, "machinepolicies/template") { _ in .json(.object(Self.policyDefaults)) }
        Self.proxies.register(in: &routes, services)
        Self.tenants.register(in: &routes, services)
        Self.tagSets.register(in: &routes, services)
    }

    // MARK: Worker pools

    static let pools = NamedCollection<WorkerPool>(
        path: "workerpools",
        itemType: "WorkerPool",
        kind: "worker pool",
        make: { WorkerPool(id: $0, spaceID: $1, name: "", slug: "") },
        apply: { body, pool, tx in
            let type = body.filled("WorkerPoolType") ?? "StaticWorkerPool"
            guard type == "StaticWorkerPool" else {
                throw APIError.invalid("Only pools of the type StaticWorkerPool can be made, not '\(type)'.")
            }
            pool.sortOrder = body["SortOrder"]?.wholeNumber ?? pool.sortOrder
            pool.echoed = pool.echoed.merging(body.only(["Description"]))
            guard body.flag("IsDefault"), !pool.isDefault else { return }
            // One pool is the default one, always.
            for var other in try tx.all(WorkerPool.self, in: pool.spaceID) where other.isDefault {
                other.isDefault = false
                try tx.update(other)
            }
            pool.isDefault = true
        },
        json: { pool in
            let path = "/api/\(pool.spaceID)/workerpools/\(pool.id)"
            let filters = "skip,take,partialName,isDisabled,healthStatuses,commStyles,shellNames"
            return pool.echoed.merging([
                "WorkerPoolType": "StaticWorkerPool", "IsDefault": .bool(pool.isDefault), "CanAddWorkers": true,
                "SortOrder": .integer(Int64(pool.sortOrder)),
                "Links": ["Self": .string(path), "Workers": "\(path)/workers{?\(filters)}"],
            ])
        },
        reasonToKeep: { pool, tx in
            if pool.isDefault { return "it is the default one" }
            return try tx.users(in: pool.spaceID) { ($0 as? Worker)?.poolIDs.contains(pool.id) ?? false }
        },
        isBefore: { ($0.sortOrder, $0.name.lowercased()) < ($1.sortOrder, $1.name.lowercased()) }
    )

    // MARK: Machine policies

    static let policies = NamedCollection<MachinePolicy>(
        path: "machinepolicies",
        itemType: "MachinePolicy",
        kind: "machine policy",
        make: { MachinePolicy(id: $0, spaceID: $1, name: "", slug: "") },
        apply: { body, policy, _ in
            let known = body.only(["Description"] + policyDefaults.members.map(\.name))
            // The parts of a policy are objects: a null means that nothing is wanted otherwise.
            policy.echoed = policy.echoed.merging(known.withoutNulls(in: known.members.map(\.name)))
        },
        json: { policy in
            let path = "/api/\(policy.spaceID)"
            return policyDefaults.merging(policy.echoed).merging([
                "IsDefault": .bool(policy.isDefault),
                "Links": [
                    "Self": "\(path)/machinepolicies/\(policy.id)", "DeploymentTargets": "\(path)/machines",
                    "Workers": "\(path)/workers",
                ],
            ])
        },
        reasonToKeep: { policy, tx in
            if policy.isDefault { return "it is the default one" }
            return try tx.users(in: policy.spaceID) { $0.machinePolicyID == policy.id }
        }
    )

    /// What a policy consists of, where it says nothing else.
    private static let policyDefaults: JSONObject = {
        let inherit: JSONValue = ["RunType": "InheritFromDefault", "ScriptBody": nil]
        return [
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
        ]
    }()

    // MARK: Proxies

    static let proxies = NamedCollection<AgentProxy>(
        path: "proxies",
        itemType: "Proxy",
        kind: "proxy",
        concernsAgents: true,
        make: { AgentProxy(id: $0, spaceID: $1, name: "", slug: "", host: "") },
        apply: { body, proxy, _ in
            if let type = body.filled("ProxyType"), type != "HTTP" {
                throw APIError.invalid("Only proxies of the type HTTP are supported, not '\(type)'.")
            }
            proxy.host = body.text("Host") ?? proxy.host
            if let port = body["Port"] { proxy.port = port.wholeNumber ?? 0 }
            if let username = body["Username"] { proxy.username = username.text.flatMap { $0.isEmpty ? nil : $0 } }
            proxy.password = body.secret("Password", keeping: proxy.password)
            guard proxy.problems.isEmpty else { throw APIError.invalid(proxy.problems) }
        },
        json: { proxy in
            [
                "Host": .string(proxy.host), "Port": .integer(Int64(proxy.port)), "ProxyType": "HTTP",
                "Username": JSONValue(orNull: proxy.username),
                "Password": ["HasValue": .bool(proxy.password != nil), "NewValue": nil, "Hint": nil],
            ]
        },
        reasonToKeep: { proxy, tx in try tx.users(in: proxy.spaceID) { $0.endpoint.proxyID == proxy.id } }
    )
}

extension JSONObject {
    /// A sensitive member of a request (rest-api.md 5.2): the new value, none, or the one that is there.
    func secret(_ name: String, keeping current: String?) -> String? {
        switch self[name] {
        case .string(let text): return text.isEmpty ? nil : text
        case .object(let object):
            if let value = object.text("NewValue") { return value.isEmpty ? nil : value }
            return object["HasValue"]?.truth == false ? nil : current
        default: return current
        }
    }
}
