import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Deployments: by the executions API and the classic way (rest-api.md 15).
struct DeploymentAPI: Sendable {
    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.post, "deployments/create/untenanted/v1") { call in .json(try await createV1(call)) }
        routes.space(.post, "deployments") { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.get, "deployments/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            let found = try await services.store.read { try $0.find(Deployment.self, id: id) }
            guard let found, found.spaceID == spaceID else { throw APIError.notFound(id) }
            return .json(Self.json(found))
        }
        routes.space(.get, "deployments") { call in .json(try await page(call, releaseID: nil)) }
        routes.space(.get, "releases/:id/deployments") { call in
            .json(try await page(call, releaseID: call.parameter("id")))
        }
    }

    private func page(_ call: APICall, releaseID: String?) async throws -> JSONValue {
        let (spaceID, query) = (call.spaceID, call.query)
        let all = try await services.store.read { try $0.all(Deployment.self, newestFirst: true) }
        func allows(_ filter: String, _ value: String) -> Bool {
            query.list(filter)?.contains { $0.equalsIgnoringASCIICase(value) } ?? true
        }
        let items = all.filter { deployment in
            deployment.spaceID == spaceID
                && (releaseID.map { deployment.releaseID.equalsIgnoringASCIICase($0) } ?? true)
                && allows("ids", deployment.id) && allows("projects", deployment.projectID)
                && allows("environments", deployment.environmentID) && allows("channels", deployment.channelID)
        }
        return APIPage.json(
            items.map(Self.json),
            of: "Deployment",
            call: call,
            template: "{/id}{?skip,take,ids,projects,environments}"
        )
    }

    // MARK: Creating

    private struct Wish: Sendable {
        var release: Release
        var environment: DeploymentEnvironment
        var selection = TargetSelection()
        var skippedActionIDs: [String] = []
        var comments: String?
    }

    private func createV1(_ call: APICall) async throws -> JSONValue {
        let (body, user, spaceID) = (try call.body(), try call.user(), call.spaceID)
        try Self.refuseUnsupported(body)
        let deployments = try await services.store.write { tx -> [Deployment] in
            let release = try Self.release(body, in: spaceID, tx)
            let environments = try body.list("environmentNames").map { text in
                guard let found = try tx.named(DeploymentEnvironment.self, text, in: spaceID) else {
                    throw APIError.invalid("The environment '\(text)' does not exist.")
                }
                return found
            }
            guard !environments.isEmpty else {
                throw APIError.invalid("Please specify at least one environment in environmentNames.")
            }
            let selection = TargetSelection(
                specificIDs: try Self.machineIDs(body.list("specificMachineNames"), in: spaceID, tx),
                excludedIDs: try Self.machineIDs(body.list("excludedMachineNames"), in: spaceID, tx)
            )
            let skipped = try Self.actionIDs(body.list("skipStepNames"), of: release, tx)
            return try environments.map {
                try Self.create(
                    Wish(release: release, environment: $0, selection: selection, skippedActionIDs: skipped),
                    by: user,
                    tx
                )
            }
        }
        services.runner.wake()
        return [
            "DeploymentServerTasks": .array(
                deployments.map { ["DeploymentId": .string($0.id), "ServerTaskId": .string($0.taskID)] }
            )
        ]
    }

    private func create(_ call: APICall) async throws -> Deployment {
        let (body, user, spaceID) = (try call.body(), try call.user(), call.spaceID)
        try Self.refuseUnsupported(body)
        let deployment = try await services.store.write { tx -> Deployment in
            guard let releaseID = body.filled("ReleaseId"), let environmentID = body.filled("EnvironmentId") else {
                throw APIError.invalid("Please specify a ReleaseId and an EnvironmentId.")
            }
            guard let release = try tx.find(Release.self, id: releaseID), release.spaceID == spaceID else {
                throw APIError.invalid("The release '\(releaseID)' does not exist.")
            }
            let environment = try tx.require(
                DeploymentEnvironment.self,
                id: environmentID,
                in: spaceID,
                as: "environment"
            )
            let selection = TargetSelection(
                specificIDs: try Self.machineIDs(body.list("SpecificMachineIds"), in: spaceID, tx),
                excludedIDs: try Self.machineIDs(body.list("ExcludedMachineIds"), in: spaceID, tx)
            )
            let wish = Wish(
                release: release,
                environment: environment,
                selection: selection,
                skippedActionIDs: try body.list("SkipActions"),
                comments: body.text("Comments")
            )
            return try Self.create(wish, by: user, tx)
        }
        services.runner.wake()
        return deployment
    }

    /// What would change the meaning of the deployment if it were ignored is refused.
    private static func refuseUnsupported(_ body: JSONObject) throws {
        for name in ["runAt", "QueueTime"] where body.filled(name) != nil {
            throw APIError.invalid("Scheduled deployments ('\(name)') are not supported by this server; deploy now.")
        }
        for name in ["variables", "FormValues"] where !(body[name]?.members?.members.isEmpty ?? true) {
            throw APIError.invalid("Prompted variables ('\(name)') are not supported by this server.")
        }
        if body.filled("TenantId") != nil {
            throw APIError.invalid("Deployments for tenants are not supported by this server.")
        }
    }

    private static func release(_ body: JSONObject, in spaceID: String, _ tx: StoreTransaction) throws -> Release {
        guard let text = body.filled("projectName") ?? body.filled("projectIdOrName") else {
            throw APIError.invalid("Please specify a projectName.")
        }
        guard let project = try tx.named(Project.self, text, in: spaceID) else { throw APIError.notFound(text) }
        guard let version = body.filled("releaseVersion") else {
            throw APIError.invalid("Please specify a releaseVersion.")
        }
        let found = try tx.all(Release.self, where: [("projectId", .text(project.id)), ("version", .text(version))])
            .first
        guard let found else { throw APIError.invalid("The project '\(project.name)' has no release '\(version)'.") }
        return found
    }

    private static func machineIDs(_ names: [String], in spaceID: String, _ tx: StoreTransaction) throws -> [String] {
        try names.map { name in
            guard let machine = try tx.named(DeploymentTarget.self, name, in: spaceID) else {
                throw APIError.invalid("The machine '\(name)' does not exist.")
            }
            return machine.id
        }
    }

    private static func actionIDs(_ names: [String], of release: Release, _ tx: StoreTransaction) throws -> [String] {
        let steps = try tx.find(DeploymentProcess.self, id: release.processSnapshotID)?.steps ?? []
        return try names.flatMap { name -> [String] in
            let step = steps.first { $0.name.equalsIgnoringASCIICase(name) }
            let action = steps.flatMap(\.actions).first { $0.name.equalsIgnoringASCIICase(name) }
            guard let ids = step?.actions.map(\.id) ?? action.map({ [$0.id] }) else {
                throw APIError.invalid("The release \(release.version) has no step '\(name)'.")
            }
            return ids
        }
    }

    /// Stores the deployment and its task together; refuses one that has nowhere to run.
    private static func create(_ wish: Wish, by user: User, _ tx: StoreTransaction) throws -> Deployment {
        let (release, environment) = (wish.release, wish.environment)
        guard let project = try tx.find(Project.self, id: release.projectID),
            let process = try tx.find(DeploymentProcess.self, id: release.processSnapshotID)
        else { throw APIError.notFound(release.id) }
        guard !project.isDisabled else { throw APIError.invalid("The project '\(project.name)' is disabled.") }
        try checkLifecycle(release, project, environment, tx)
        try checkRequired(wish, process)
        let plan = DeploymentPlan(
            process: process,
            environmentID: environment.id,
            channelID: release.channelID,
            targets: try tx.all(DeploymentTarget.self, in: release.spaceID),
            selection: wish.selection,
            skippedActionIDs: wish.skippedActionIDs
        )
        guard !plan.activeSteps.isEmpty else {
            throw APIError.invalid(
                "No step of release \(release.version) runs in the environment '\(environment.name)'."
            )
        }
        let allowsNone =
            project.echoed["ProjectConnectivityPolicy"]?.members?.flag("AllowDeploymentsToNoTargets") ?? false
        guard !plan.targetIDs.isEmpty || allowsNone else {
            throw APIError.invalid(DeploymentExecution.noTargets(plan, in: environment))
        }
        let deploymentID = try tx.nextID(Deployment.self)
        let task = try ServerTask.queue(
            .deploy,
            "Deploy \(project.name) release \(release.version) to \(environment.name)",
            arguments: ["DeploymentId": .string(deploymentID)],
            spaceID: release.spaceID,
            projectID: project.id,
            environmentID: environment.id,
            tx
        )
        let deployment = Deployment(
            id: deploymentID,
            release: release,
            environment: environment,
            taskID: task.id,
            created: Date(),
            by: user,
            selection: wish.selection,
            skippedActionIDs: wish.skippedActionIDs,
            comments: wish.comments,
            deployedToMachineIDs: plan.targetIDs
        )
        try tx.insert(deployment)
        return deployment
    }

    private static func checkRequired(_ wish: Wish, _ process: DeploymentProcess) throws {
        let required = process.steps.flatMap(\.actions).first { $0.isRequired && wish.skippedActionIDs.contains($0.id) }
        if let required { throw APIError.invalid("The step '\(required.name)' is required and cannot be skipped.") }
    }

    private static func checkLifecycle(
        _ release: Release,
        _ project: Project,
        _ environment: DeploymentEnvironment,
        _ tx: StoreTransaction
    ) throws {
        let channel = try tx.find(Channel.self, id: release.channelID)
        guard let lifecycle = try tx.find(Lifecycle.self, id: channel?.lifecycleID ?? project.lifecycleID) else {
            return
        }
        var deployed = Set<String>()
        for deployment in try tx.all(Deployment.self, where: [("releaseId", .text(release.id))]) {
            if try tx.find(ServerTask.self, id: deployment.taskID)?.state == .success {
                deployed.insert(deployment.environmentID)
            }
        }
        guard lifecycle.allows(environmentID: environment.id, deployed: deployed) else {
            throw APIError.invalid(
                """
                Release \(release.version) cannot be deployed to '\(environment.name)' now: the lifecycle \
                '\(lifecycle.name)' does not have it in an open phase.
                """
            )
        }
    }

    static func json(_ deployment: Deployment) -> JSONValue {
        let space = "/api/\(deployment.spaceID)"
        return [
            "Id": .string(deployment.id), "SpaceId": .string(deployment.spaceID), "Name": .string(deployment.name),
            "ReleaseId": .string(deployment.releaseID), "EnvironmentId": .string(deployment.environmentID),
            "TenantId": nil,
            "ProjectId": .string(deployment.projectID), "ChannelId": .string(deployment.channelID),
            "TaskId": .string(deployment.taskID), "ManifestVariableSetId": "variableset-\(deployment.id)",
            "Changes": [],
            "ChangesMarkdown": "", "Comments": JSONValue(orNull: deployment.comments),
            "Created": WireTime.json(deployment.created), "QueueTime": nil, "QueueTimeExpiry": nil,
            "DeployedBy": .string(deployment.deployedBy), "DeployedById": .string(deployment.deployedByID),
            "FailureEncountered": false, "UseGuidedFailure": false, "Priority": "LifecycleDefault",
            "ForcePackageDownload": false, "ForcePackageRedeployment": false, "FailTargetDiscovery": false,
            "DebugMode": "None", "SkipActions": JSONValue(deployment.skippedActionIDs),
            "SpecificMachineIds": JSONValue(deployment.specificMachineIDs),
            "ExcludedMachineIds": JSONValue(deployment.excludedMachineIDs), "SpecificTargetTagIds": [],
            "ExcludedTargetTagIds": [], "DeployedToMachineIds": JSONValue(deployment.deployedToMachineIDs),
            "FormValues": [:], "TentacleRetentionPeriod": nil,
            "Links": [
                "Self": "\(space)/deployments/\(deployment.id)", "Task": "/api/tasks/\(deployment.taskID)",
                "Environment": "\(space)/environments/\(deployment.environmentID)",
                "Project": "\(space)/projects/\(deployment.projectID)",
                "Release": "\(space)/releases/\(deployment.releaseID)",
                "Web": "/tasks/\(deployment.taskID)", "Artifacts": "\(space)/artifacts?regarding=\(deployment.id)",
                "Interruptions": "\(space)/interruptions?regarding=\(deployment.id)",
            ],
        ]
    }
}

extension ServerTask {
    /// Puts a task into the queue, with the root of its tree.
    static func queue(
        _ kind: Kind,
        _ description: String,
        arguments: JSONObject,
        spaceID: String,
        projectID: String? = nil,
        environmentID: String? = nil,
        _ tx: StoreTransaction
    ) throws -> ServerTask {
        let id = try tx.nextID(ServerTask.self)
        let task = ServerTask(
            id: id,
            spaceID: spaceID,
            kind: kind,
            description: description,
            arguments: arguments,
            queueTime: Date(),
            rootNodeID: "\(id)_\(RandomText.uppercased(10))",
            projectID: projectID,
            environmentID: environmentID
        )
        try tx.insert(task)
        try tx.insert([
            ActivityNode(id: task.rootNodeID, taskID: id, parentID: nil, name: description, showAtSummaryLevel: true)
        ])
        return task
    }
}
