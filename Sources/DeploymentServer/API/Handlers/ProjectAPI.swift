import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Projects, their settings and channels (rest-api.md 9, 12).
struct ProjectAPI: Sendable {
    private static let template = "{/id}{?name,skip,ids,clone,take,partialName,clonedFromProjectId}"

    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.get, "projects") { call in
            .json(
                APIPage.json(
                    try await projects(call).map(Self.json),
                    of: "Project",
                    call: call,
                    template: Self.template
                )
            )
        }
        routes.space(.get, "projects/all") { call in .json(.array(try await projects(call).map(Self.json))) }
        routes.space(.get, "projects/:id") { call in .json(Self.json(try await project(call))) }
        routes.space(.post, "projects") { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.put, "projects/:id") { call in .json(Self.json(try await update(call))) }
        routes.space(.delete, "projects/:id") { call in try await delete(call) }
        routes.space(.get, "projectgroups/:group/projects") { call in
            let group = call.parameter("group")
            let items = try await projects(call).filter { $0.projectGroupID.equalsIgnoringASCIICase(group) }
            return .json(APIPage.json(items.map(Self.json), of: "Project", call: call, template: "{?skip,take}"))
        }
        routes.space(.get, "projects/:id/deploymentsettings") { call in .json(Self.settings(try await project(call))) }
        routes.space(.put, "projects/:id/deploymentsettings") { call in
            .json(Self.settings(try await updateSettings(call)))
        }
        routes.space(.get, "projects/:id/summary") { call in .json(try await summary(call)) }
        registerChannels(in: &routes)
    }

    func project(_ call: APICall) async throws -> Project {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.read { try $0.get(Project.self, id, in: spaceID) }
    }

    private func projects(_ call: APICall) async throws -> [Project] {
        let spaceID = call.spaceID
        let all = try await services.store.read { try $0.all(Project.self, in: spaceID) }
        return call.filtered(all).sorted { $0.name.lowercased() < $1.name.lowercased() }
    }

    /// A project comes with an empty process and a default channel: all of it or nothing.
    private func create(_ call: APICall) async throws -> Project {
        let body = try call.body()
        let spaceID = call.spaceID
        return try await services.store.write { tx in
            let name = body.text("Name") ?? ""
            try tx.checkName(name, Project.self, of: "project", in: spaceID)
            let project = Project(
                id: try tx.nextID(Project.self),
                spaceID: spaceID,
                name: name,
                slug: try tx.slug(Project.self, wanted: body.text("Slug"), name: name, in: spaceID),
                projectGroupID: try Self.groupID(body, tx, spaceID),
                lifecycleID: try Self.lifecycleID(body, tx, spaceID),
                isDisabled: body.flag("IsDisabled"),
                echoed: body.only(Self.echoedNames)
            )
            try tx.insert(project)
            try tx.insert(DeploymentProcess(id: project.processID, spaceID: spaceID, projectID: project.id))
            try tx.insert(
                Channel(
                    id: try tx.nextID(Channel.self),
                    spaceID: spaceID,
                    projectID: project.id,
                    name: "Default",
                    slug: "default",
                    isDefault: true
                )
            )
            return project
        }
    }

    private static func groupID(_ body: JSONObject, _ tx: StoreTransaction, _ spaceID: String) throws -> String {
        guard let id = body.filled("ProjectGroupId") else { throw APIError.invalid("Please specify a ProjectGroupId.") }
        return try tx.require(ProjectGroup.self, id: id, in: spaceID, as: "project group").id
    }

    private static func lifecycleID(_ body: JSONObject, _ tx: StoreTransaction, _ spaceID: String) throws -> String {
        guard let id = body.filled("LifecycleId") else { throw APIError.invalid("Please specify a LifecycleId.") }
        return try tx.require(Lifecycle.self, id: id, in: spaceID, as: "lifecycle").id
    }

    private func update(_ call: APICall) async throws -> Project {
        let body = try call.body()
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.write { tx in
            var project = try tx.get(Project.self, id, in: spaceID)
            let name = body.text("Name") ?? project.name
            try tx.checkName(name, Project.self, of: "project", in: spaceID, except: project.id)
            if body["ProjectGroupId"] != nil { project.projectGroupID = try Self.groupID(body, tx, spaceID) }
            if body["LifecycleId"] != nil { project.lifecycleID = try Self.lifecycleID(body, tx, spaceID) }
            let slug = body.filled("Slug") ?? project.slug
            project.slug = try tx.slug(Project.self, wanted: slug, name: name, in: spaceID, except: project.id)
            project.name = name
            project.isDisabled = body["IsDisabled"]?.truth ?? project.isDisabled
            project.echoed = project.echoed.merging(body.only(Self.echoedNames))
            try tx.update(project)
            return project
        }
    }

    /// The settings are the project's own members under other names (rest-api.md 9.2).
    private func updateSettings(_ call: APICall) async throws -> Project {
        var body = try call.body()
        if let policy = body["ConnectivityPolicy"] { body["ProjectConnectivityPolicy"] = policy }
        let echoed = body.only(Self.echoedNames + Self.settingNames)
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.write { tx in
            var project = try tx.get(Project.self, id, in: spaceID)
            project.echoed = project.echoed.merging(echoed)
            try tx.update(project)
            return project
        }
    }

    private func delete(_ call: APICall) async throws -> APIAnswer {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        try await services.store.write { tx in
            let project = try tx.get(Project.self, id, in: spaceID)
            let tasks = try tx.all(ServerTask.self, where: [("projectId", .text(project.id))])
            guard tasks.allSatisfy(\.state.isCompleted) else {
                throw APIError.invalid("The project '\(project.name)' cannot be deleted while one of its tasks runs.")
            }
            // Releases hold their channel and snapshot: they go first.
            for release in try tx.all(Release.self, where: [("projectId", .text(project.id))]) {
                try tx.delete(Release.self, id: release.id)
            }
            try tx.delete(Project.self, id: project.id)
        }
        return .empty
    }

    private func summary(_ call: APICall) async throws -> JSONValue {
        let project = try await project(call)
        let process = try await services.store.read { try $0.find(DeploymentProcess.self, id: project.processID) }
        return [
            "HasDeploymentProcess": .bool(!(process?.steps.isEmpty ?? true)), "HasRunbooks": false,
            "HasBeenSuccessfullyDeployed": false,
        ]
    }

    // MARK: JSON

    private static let echoedNames = [
        "Description", "ClonedFromProjectId", "IncludedLibraryVariableSetIds", "DiscreteChannelRelease",
        "TenantedDeploymentMode", "DefaultGuidedFailureMode", "DefaultToSkipIfAlreadyInstalled", "VersioningStrategy",
        "ReleaseCreationStrategy", "AutoCreateRelease", "AutoDeployReleaseOverrides", "Templates",
        "ProjectConnectivityPolicy", "ReleaseNotesTemplate", "DeploymentChangesTemplate", "ForcePackageDownload",
        "AllowIgnoreChannelRules", "ExecuteDeploymentsOnResilientPipeline", "ExtensionSettings", "ProjectTags", "Icon",
    ]
    private static let settingNames = [
        "FailTargetDiscovery", "CancelQueuedTasks", "CancelRunningTasks", "ChangeDescription",
    ]
    private static let versioning: JSONValue = [
        "Template": .string(ReleaseVersion.defaultTemplate), "DonorPackage": nil, "DonorPackageStepId": nil,
    ]
    private static let connectivity: JSONValue = [
        "SkipMachineBehavior": "None", "TargetRoles": [], "AllowDeploymentsToNoTargets": false,
        "ExcludeUnhealthyTargets": false,
    ]
    private static let neverNull = [
        "IncludedLibraryVariableSetIds", "TenantedDeploymentMode", "DefaultGuidedFailureMode", "VersioningStrategy",
        "ReleaseCreationStrategy", "AutoDeployReleaseOverrides", "Templates", "ProjectConnectivityPolicy",
        "ExtensionSettings", "ProjectTags",
    ]

    static func json(_ project: Project) -> JSONValue {
        let fixed: JSONObject = [
            "Id": .string(project.id), "SpaceId": .string(project.spaceID), "Name": .string(project.name),
            "Slug": .string(project.slug), "Description": "", "IsDisabled": .bool(project.isDisabled),
            "ProjectGroupId": .string(project.projectGroupID), "LifecycleId": .string(project.lifecycleID),
            "VariableSetId": "variableset-\(project.id)", "DeploymentProcessId": .string(project.processID),
            "ClonedFromProjectId": nil, "IncludedLibraryVariableSetIds": [], "DiscreteChannelRelease": false,
            "IsVersionControlled": false, "PersistenceSettings": ["Type": "Database"],
            "TenantedDeploymentMode": "Untenanted", "DefaultGuidedFailureMode": "EnvironmentDefault",
            "DefaultToSkipIfAlreadyInstalled": false, "VersioningStrategy": versioning,
            "ReleaseCreationStrategy": [
                "ChannelId": nil, "ReleaseCreationPackage": nil, "ReleaseCreationPackageStepId": nil,
            ], "AutoCreateRelease": false, "AutoDeployReleaseOverrides": [], "Templates": [],
            "ProjectConnectivityPolicy": connectivity, "ReleaseNotesTemplate": nil, "DeploymentChangesTemplate": nil,
            "ForcePackageDownload": false, "AllowIgnoreChannelRules": true,
            "ExecuteDeploymentsOnResilientPipeline": false, "CombineHealthAndSyncStatusInDashboardLiveStatus": false,
            "DeprovisioningRunbookId": nil, "ProvisioningRunbookId": nil, "ExtensionSettings": [], "ProjectTags": [],
            "Icon": nil, "Links": .object(links(project)),
        ]
        return .object(fixed.merging(project.echoed.only(echoedNames).withoutNulls(in: neverNull)))
    }

    private static func links(_ project: Project) -> JSONObject {
        let space = "/api/\(project.spaceID)"
        let path = "\(space)/projects/\(project.id)"
        return [
            "Self": .string(path), "Web": "/app#/\(project.spaceID)/projects/\(project.slug)", "Logo": "\(path)/logo",
            "Releases": "\(path)/releases{/version}{?skip,take,searchByVersion}",
            "Channels": "\(path)/channels{/id}{?skip,take,partialName}",
            "Triggers": "\(path)/triggers{/id}{?skip,take,partialName,triggerActionType}",
            "DeploymentProcess": "\(path)/deploymentprocesses", "DeploymentSettings": "\(path)/deploymentsettings",
            "Variables": "\(space)/variables/variableset-\(project.id)",
            "Progression": "\(path)/progression{?aggregate,releaseHistoryCount}", "Summary": "\(path)/summary",
            "Runbooks": "\(path)/runbooks{/id}{?skip,take,partialName}", "ConvertToGit": "\(path)/git/convert",
            "ConvertToVcs": "\(path)/git/convert",
        ]
    }

    private static func settings(_ project: Project) -> JSONValue {
        let echoed = project.echoed
        let path = "/api/\(project.spaceID)/projects/\(project.id)"
        let fixed: JSONObject = [
            "Id": "deploymentsettings-\(project.id)", "SpaceId": .string(project.spaceID),
            "ProjectId": .string(project.id),
            "ConnectivityPolicy": echoed["ProjectConnectivityPolicy"] ?? connectivity,
            "DefaultGuidedFailureMode": "EnvironmentDefault", "DefaultToSkipIfAlreadyInstalled": false,
            "VersioningStrategy": versioning, "DeploymentChangesTemplate": nil, "ReleaseNotesTemplate": nil,
            "ForcePackageDownload": false, "FailTargetDiscovery": false, "CancelQueuedTasks": false,
            "CancelRunningTasks": false, "ChangeDescription": nil,
            "Links": ["Self": "\(path)/deploymentsettings", "Project": .string(path)],
        ]
        let names = fixed.members.map(\.name)
        return .object(fixed.merging(echoed.only(names).withoutNulls(in: neverNull)))
    }
}
