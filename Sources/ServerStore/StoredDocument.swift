package import ServerDomain

/// A value of a key column: what the schema checks and what queries filter by.
package enum StoreValue: Hashable, Sendable {
    case text(String)
    case integer(Int64)
    case null

    package init(orNull text: String?) { self = text.map(StoreValue.text) ?? .null }
}

/// A document with an id of its own: a row with key columns that the schema guards, and the value as JSON.
package protocol StoredDocument: Codable, Sendable {
    static var tableName: String { get }
    /// The text before the number of a new id.
    static var idPrefix: String { get }
    var id: String { get }
    var keys: [(column: String, value: StoreValue)] { get }
}

/// A document of a space that people call by name, and clients by slug, too.
package protocol NamedDocument: StoredDocument {
    var spaceID: String { get }
    var name: String { get set }
    var slug: String { get set }
}

extension NamedDocument {
    package var keys: [(column: String, value: StoreValue)] {
        [("spaceId", .text(spaceID)), ("name", .text(name)), ("slug", .text(slug))]
    }
}

extension Space: StoredDocument {
    package static let tableName = "space"
    package static let idPrefix = "Spaces"
    package var keys: [(column: String, value: StoreValue)] { [("name", .text(name)), ("slug", .text(slug))] }
}

extension DeploymentEnvironment: NamedDocument {
    package static let tableName = "environment"
    package static let idPrefix = "Environments"
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("spaceId", .text(spaceID)), ("name", .text(name)), ("slug", .text(slug)),
            ("sortOrder", .integer(Int64(sortOrder))),
        ]
    }
}

extension Lifecycle: NamedDocument {
    package static let tableName = "lifecycle"
    package static let idPrefix = "Lifecycles"
}

extension ProjectGroup: NamedDocument {
    package static let tableName = "projectGroup"
    package static let idPrefix = "ProjectGroups"
}

extension Project: NamedDocument {
    package static let tableName = "project"
    package static let idPrefix = "Projects"
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("spaceId", .text(spaceID)), ("name", .text(name)), ("slug", .text(slug)),
            ("lifecycleId", .text(lifecycleID)), ("projectGroupId", .text(projectGroupID)),
        ]
    }
}

extension Channel: NamedDocument {
    package static let tableName = "channel"
    package static let idPrefix = "Channels"
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("spaceId", .text(spaceID)), ("projectId", .text(projectID)), ("name", .text(name)), ("slug", .text(slug)),
            ("lifecycleId", StoreValue(orNull: lifecycleID)),
        ]
    }
}

extension DeploymentProcess: StoredDocument {
    package static let tableName = "deploymentProcess"
    package static let idPrefix = "deploymentprocess"
    package var keys: [(column: String, value: StoreValue)] {
        [("projectId", .text(projectID)), ("version", .integer(Int64(version)))]
    }
}

extension Release: StoredDocument {
    package static let tableName = "release"
    package static let idPrefix = "Releases"
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("projectId", .text(projectID)), ("channelId", .text(channelID)), ("version", .text(version)),
            ("processSnapshotId", .text(processSnapshotID)),
        ]
    }
}

extension Deployment: StoredDocument {
    package static let tableName = "deployment"
    package static let idPrefix = "Deployments"
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("projectId", .text(projectID)), ("releaseId", .text(releaseID)), ("environmentId", .text(environmentID)),
            ("taskId", .text(taskID)),
        ]
    }
}

extension ServerTask: StoredDocument {
    package static let tableName = "serverTask"
    package static let idPrefix = "ServerTasks"
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("spaceId", .text(spaceID)), ("projectId", StoreValue(orNull: projectID)), ("kind", .text(kind.rawValue)),
            ("state", .text(state.rawValue)),
        ]
    }
}

/// A stored agent of either kind: their tables have the same key columns.
package protocol StoredAgent: KnownAgent, NamedDocument {}

extension StoredAgent {
    package var keys: [(column: String, value: StoreValue)] {
        [
            ("spaceId", .text(spaceID)), ("name", .text(name)), ("slug", .text(slug)),
            ("thumbprint", .text(endpoint.thumbprint)), ("uri", .text(endpoint.normalisedURI)),
        ]
    }
}

extension DeploymentTarget: StoredAgent {
    package static let tableName = "machine"
    package static let idPrefix = "Machines"
}

extension Worker: StoredAgent {
    package static let tableName = "worker"
    package static let idPrefix = "Workers"
}

extension WorkerPool: NamedDocument {
    package static let tableName = "workerPool"
    package static let idPrefix = "WorkerPools"
}

extension MachinePolicy: NamedDocument {
    package static let tableName = "machinePolicy"
    package static let idPrefix = "MachinePolicies"
}

extension AgentProxy: NamedDocument {
    package static let tableName = "proxy"
    package static let idPrefix = "Proxies"
}

extension Tenant: NamedDocument {
    package static let tableName = "tenant"
    package static let idPrefix = "Tenants"
}

extension TagSet: NamedDocument {
    package static let tableName = "tagSet"
    package static let idPrefix = "TagSets"
}

extension User: StoredDocument {
    package static let tableName = "user"
    package static let idPrefix = "Users"
    package var keys: [(column: String, value: StoreValue)] { [("username", .text(username))] }
}

extension APIKey: StoredDocument {
    package static let tableName = "apiKey"
    package static let idPrefix = "apikeys"
    package var keys: [(column: String, value: StoreValue)] { [("userId", .text(userID)), ("digest", .text(digest))] }
}
