import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Releases: by the executions API and the classic way (rest-api.md 14).
struct ReleaseAPI: Sendable {
    private static let template = "{/id}{?skip,ignoreChannelRules,take,ids}"

    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.post, "releases/create/v1") { call in .json(try await createV1(call)) }
        routes.space(.post, "releases") { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.get, "releases/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            return .json(Self.json(try await services.store.read { try Self.get(id, in: spaceID, $0) }))
        }
        routes.space(.get, "releases") { call in
            let spaceID = call.spaceID
            let ids = call.query.list("ids")
            let all = try await services.store.read { try $0.all(Release.self, newestFirst: true) }
            let items = all.filter { release in
                release.spaceID == spaceID && (ids?.contains { $0.equalsIgnoringASCIICase(release.id) } ?? true)
            }
            return .json(APIPage.json(items.map(Self.json), of: "Release", call: call, template: Self.template))
        }
        routes.space(.delete, "releases/:id") { call in try await delete(call) }
        routes.space(.get, "projects/:project/releases") { call in
            let search = call.query["searchByVersion"]?.lowercased()
            let items = try await releases(call).filter { release in
                search.map { release.version.lowercased().contains($0) } ?? true
            }
            return .json(
                APIPage.json(
                    items.map(Self.json),
                    of: "Release",
                    call: call,
                    template: "{/version}{?skip,take,searchByVersion}"
                )
            )
        }
        routes.space(.get, "projects/:project/releases/:version") { call in
            let version = call.parameter("version")
            let found = try await releases(call).first { $0.version.equalsIgnoringASCIICase(version) }
            guard let found else { throw APIError.notFound(version) }
            return .json(Self.json(found))
        }
        routes.space(.get, "projects/:project/channels/:channel/releases") { call in
            let channel = call.parameter("channel")
            let items = try await releases(call).filter { $0.channelID.equalsIgnoringASCIICase(channel) }
            return .json(
                APIPage.json(items.map(Self.json), of: "Release", call: call, template: "{?skip,take,searchByVersion}")
            )
        }
    }

    static func get(_ id: String, in spaceID: String, _ tx: StoreTransaction) throws -> Release {
        guard let release = try tx.find(Release.self, id: id), release.spaceID == spaceID else {
            throw APIError.notFound(id)
        }
        return release
    }

    private func releases(_ call: APICall) async throws -> [Release] {
        let (id, spaceID) = (call.parameter("project"), call.spaceID)
        return try await services.store.read { tx in
            let project = try tx.get(Project.self, id, in: spaceID)
            return try tx.all(Release.self, where: [("projectId", .text(project.id))], newestFirst: true)
        }
    }

    // MARK: Creating

    private struct Wish: Sendable {
        var project: Project
        var channel: Channel
        var version: String?
        var notes: String?
        var echoed: JSONObject = [:]
    }

    private func createV1(_ call: APICall) async throws -> JSONValue {
        let body = try call.body()
        let spaceID = call.spaceID
        let release = try await services.store.write { tx -> Release in
            guard let text = body.filled("projectName") ?? body.filled("projectIdOrName") else {
                throw APIError.invalid("Please specify a projectName.")
            }
            guard let project = try tx.named(Project.self, text, in: spaceID) else { throw APIError.notFound(text) }
            let wish = Wish(
                project: project,
                channel: try Self.channel(
                    body.filled("channelName") ?? body.filled("channelIdOrName"),
                    of: project,
                    tx
                ),
                version: body.filled("releaseVersion"),
                notes: body.text("releaseNotes"),
                echoed: body.only(["CustomFields"])
            )
            if body.flag("ignoreIfAlreadyExists"), let version = wish.version,
                let existing = try Self.existing(version, of: project, tx)
            {
                return existing
            }
            return try Self.create(wish, tx)
        }
        return [
            "ReleaseId": .string(release.id), "ReleaseVersion": .string(release.version),
            "AutomaticallyDeployedEnvironments": nil,
        ]
    }

    private func create(_ call: APICall) async throws -> Release {
        let body = try call.body()
        let spaceID = call.spaceID
        return try await services.store.write { tx in
            guard let id = body.filled("ProjectId") else { throw APIError.invalid("Please specify a ProjectId.") }
            let project = try tx.require(Project.self, id: id, in: spaceID, as: "project")
            return try Self.create(
                Wish(
                    project: project,
                    channel: try Self.channel(body.filled("ChannelId"), of: project, tx),
                    version: body.filled("Version"),
                    notes: body.text("ReleaseNotes"),
                    echoed: body.only([
                        "SelectedPackages", "SelectedGitResources", "CustomFields", "IgnoreChannelRules",
                    ])
                ),
                tx
            )
        }
    }

    private static func channel(_ text: String?, of project: Project, _ tx: StoreTransaction) throws -> Channel {
        let channels = try tx.all(Channel.self, where: [("projectId", .text(project.id))])
        let found = channels.first { channel in
            guard let text else { return channel.isDefault }
            return [channel.id, channel.slug, channel.name].contains { $0.equalsIgnoringASCIICase(text) }
        }
        guard let found else {
            throw APIError.invalid("The project '\(project.name)' has no channel '\(text ?? "Default")'.")
        }
        return found
    }

    private static func existing(_ version: String, of project: Project, _ tx: StoreTransaction) throws -> Release? {
        try tx.all(Release.self, where: [("projectId", .text(project.id)), ("version", .text(version))]).first
    }

    private static func create(_ wish: Wish, _ tx: StoreTransaction) throws -> Release {
        let project = wish.project
        guard !project.isDisabled else { throw APIError.invalid("The project '\(project.name)' is disabled.") }
        let last = try tx.all(Release.self, where: [("projectId", .text(project.id))], newestFirst: true, limit: 1)
            .first
        guard let version = wish.version ?? ReleaseVersion.next(template: project.versionTemplate, after: last?.version)
        else {
            throw APIError.invalid(
                "The version template '\(project.versionTemplate)' cannot be evaluated; give a release version."
            )
        }
        if let problem = ReleaseVersion.problem(with: version) { throw APIError.invalid(problem) }
        guard try existing(version, of: project, tx) == nil else {
            throw APIError.invalid(
                """
                Release \(version) already exists for this project. Please use a different version, \
                or look at using a mask to auto-increment the number.
                """
            )
        }
        let release = Release(
            id: try tx.nextID(Release.self),
            spaceID: project.spaceID,
            projectID: project.id,
            channelID: wish.channel.id,
            version: version,
            releaseNotes: wish.notes,
            assembled: Date(),
            processSnapshotID: try snapshotID(of: project, tx),
            echoed: wish.echoed
        )
        try tx.insert(release)
        return release
    }

    /// The current process as an immutable copy; one that equals the last copy is shared.
    private static func snapshotID(of project: Project, _ tx: StoreTransaction) throws -> String {
        guard var process = try tx.find(DeploymentProcess.self, id: project.processID) else {
            throw APIError.notFound(project.processID)
        }
        guard !process.steps.isEmpty else {
            throw APIError.invalid(
                "The deployment process of '\(project.name)' has no steps; add one before you create a release."
            )
        }
        if let last = process.lastSnapshotID, let snapshot = try tx.find(DeploymentProcess.self, id: last),
            snapshot.version == process.version
        {
            return last
        }
        let snapshot = process.snapshot(suffix: RandomText.uppercased(5))
        try tx.insert(snapshot)
        process.lastSnapshotID = snapshot.id
        try tx.update(process)
        return snapshot.id
    }

    private func delete(_ call: APICall) async throws -> APIAnswer {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        try await services.store.write { tx in
            let release = try Self.get(id, in: spaceID, tx)
            for deployment in try tx.all(Deployment.self, where: [("releaseId", .text(release.id))]) {
                guard let task = try tx.find(ServerTask.self, id: deployment.taskID), !task.state.isCompleted else {
                    continue
                }
                throw APIError.invalid(
                    "The release \(release.version) cannot be deleted while it is being deployed (\(task.id))."
                )
            }
            try tx.delete(Release.self, id: release.id)
        }
        return .empty
    }

    static func json(_ release: Release) -> JSONValue {
        let space = "/api/\(release.spaceID)"
        let path = "\(space)/releases/\(release.id)"
        let variables = "variableset-\(release.projectID)"
        let fixed: JSONObject = [
            "Id": .string(release.id), "SpaceId": .string(release.spaceID), "ProjectId": .string(release.projectID),
            "ChannelId": .string(release.channelID), "Version": .string(release.version),
            "ReleaseNotes": JSONValue(orNull: release.releaseNotes), "Assembled": WireTime.json(release.assembled),
            "IgnoreChannelRules": false, "ProjectDeploymentProcessSnapshotId": .string(release.processSnapshotID),
            "ProjectVariableSetSnapshotId": .string(variables), "LibraryVariableSetSnapshotIds": [],
            "BuildInformation": [], "CustomFields": [:], "VersionControlReference": nil, "SelectedPackages": [],
            "SelectedGitResources": [],
            "Links": [
                "Self": .string(path), "Project": "\(space)/projects/\(release.projectID)",
                "Channel": "\(space)/channels/\(release.channelID)",
                "Web": "/app#/\(release.spaceID)/releases/\(release.id)",
                "Deployments": "\(path)/deployments{?skip,take}", "DeploymentTemplate": "\(path)/deployments/template",
                "Progression": "\(path)/progression", "Artifacts": "\(space)/artifacts?regarding=\(release.id)",
                "Defects": "\(path)/defects", "ReportDefect": "\(path)/defects",
                "ResolveDefect": "\(path)/defects/resolve",
                "ProjectVariableSnapshot": "\(space)/variables/\(variables)",
                "ProjectDeploymentProcessSnapshot": "\(space)/deploymentprocesses/\(release.processSnapshotID)",
            ],
        ]
        return .object(
            fixed.merging(
                release.echoed.withoutNulls(in: ["SelectedPackages", "SelectedGitResources", "CustomFields"])
            )
        )
    }
}
