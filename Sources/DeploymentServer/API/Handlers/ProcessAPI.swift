import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// The deployment process of a project, and the copies that releases hold (rest-api.md 10).
struct ProcessAPI: Sendable {
    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.get, "deploymentprocesses/:id") { call in .json(Self.json(try await process(call))) }
        routes.space(.put, "deploymentprocesses/:id") { call in .json(Self.json(try await replace(call))) }
        routes.space(.get, "projects/:project/deploymentprocesses") { call in .json(Self.json(try await process(call)))
        }
        routes.space(.put, "projects/:project/deploymentprocesses") { call in .json(Self.json(try await replace(call)))
        }
        routes.space(.get, "projects/:project/deploymentprocesses/template") { call in .json(try await template(call)) }
    }

    private func process(_ call: APICall) async throws -> DeploymentProcess {
        try await services.store.read { try Self.find(call, $0) }
    }

    private static func find(_ call: APICall, _ tx: StoreTransaction) throws -> DeploymentProcess {
        let id =
            if let project = call.parameters["project"] {
                try tx.get(Project.self, project, in: call.spaceID).processID
            } else {
                call.parameter("id")
            }
        guard let process = try tx.find(DeploymentProcess.self, id: id), process.spaceID == call.spaceID else {
            throw APIError.notFound(id)
        }
        return process
    }

    /// Replaces the whole process; the version in the request must be the current one.
    private func replace(_ call: APICall) async throws -> DeploymentProcess {
        let body = try call.body()
        return try await services.store.write { tx in
            var process = try Self.find(call, tx)
            guard process.id == DeploymentProcess.id(projectID: process.projectID) else {
                throw APIError.invalid("The snapshot '\(process.id)' belongs to a release and cannot be changed.")
            }
            guard body["Version"]?.wholeNumber == process.version else {
                throw APIError(
                    .conflict,
                    "There was a problem with your request.",
                    problems: [
                        """
                        The deployment process you are trying to update has been changed since you loaded it. \
                        Please refresh it and send version \(process.version) with your change.
                        """
                    ]
                )
            }
            guard let steps = body["Steps"]?.items else { throw APIError.invalid("'Steps' must be a list.") }
            process.steps = try Self.steps(steps)
            let problems = process.problems
            guard problems.isEmpty else { throw APIError.invalid(problems) }
            try Self.checkReferences(process, tx)
            process.version += 1
            try tx.update(process)
            return process
        }
    }

    private static func checkReferences(_ process: DeploymentProcess, _ tx: StoreTransaction) throws {
        for action in process.steps.flatMap(\.actions) {
            for id in action.environmentIDs + action.excludedEnvironmentIDs {
                _ = try tx.require(DeploymentEnvironment.self, id: id, in: process.spaceID, as: "environment")
            }
            for id in action.channelIDs { _ = try tx.require(Channel.self, id: id, in: process.spaceID, as: "channel") }
        }
    }

    // MARK: Reading

    private static func steps(_ items: [JSONValue]) throws -> [DeploymentStep] {
        var stepSlugs = Set<String>()
        var actionSlugs = Set<String>()
        return try items.map { item in
            guard let body = item.members else { throw APIError.invalid("A step must be an object.") }
            let name = body.text("Name") ?? ""
            let actions = try (body["Actions"]?.items ?? []).map { try action($0, of: body, slugs: &actionSlugs) }
            return DeploymentStep(
                id: body.filled("Id") ?? UUID().uuidString.lowercased(),
                name: name,
                slug: slug(body, name: name, taken: &stepSlugs),
                condition: try enumeration(body, "Condition", default: .success),
                startTrigger: try enumeration(body, "StartTrigger", default: .startAfterPrevious),
                packageRequirement: body.filled("PackageRequirement") ?? "LetOctopusDecide",
                properties: try properties(body),
                actions: actions
            )
        }
    }

    private static func action(
        _ item: JSONValue,
        of step: JSONObject,
        slugs: inout Set<String>
    ) throws -> DeploymentAction {
        guard let body = item.members else { throw APIError.invalid("An action must be an object.") }
        // A single-action step lends its name to the action.
        let isOnly = step["Actions"]?.items?.count == 1
        let name = body.filled("Name") ?? (isOnly ? step.text("Name") ?? "" : "")
        return DeploymentAction(
            id: body.filled("Id") ?? UUID().uuidString.lowercased(),
            name: name,
            slug: slug(body, name: name, taken: &slugs),
            actionType: body.text("ActionType") ?? "",
            isDisabled: body.flag("IsDisabled"),
            isRequired: body.flag("IsRequired"),
            environmentIDs: try body.list("Environments"),
            excludedEnvironmentIDs: try body.list("ExcludedEnvironments"),
            channelIDs: try body.list("Channels"),
            properties: try properties(body),
            echoed: body.only(echoedNames)
        )
    }

    private static func slug(_ body: JSONObject, name: String, taken: inout Set<String>) -> String {
        let slug = body.filled("Slug") ?? Slug.unique(for: name) { taken.contains($0) }
        taken.insert(slug)
        return slug
    }

    private static func enumeration<E: RawRepresentable<String>>(
        _ body: JSONObject,
        _ name: String,
        default value: E
    ) throws -> E {
        guard let text = body.filled(name) else { return value }
        guard let found = E(rawValue: text) else { throw APIError.invalid("'\(text)' is not a value of '\(name)'.") }
        return found
    }

    /// Values are texts, or sensitive objects; never null (rest-api.md 5, rule 7).
    private static func properties(_ body: JSONObject) throws -> JSONObject {
        guard let properties = body["Properties"], properties != .null else { return [:] }
        guard var object = properties.members else { throw APIError.invalid("'Properties' must be an object.") }
        for member in object.members {
            switch member.value {
            case .string: break
            case .object:
                throw APIError.invalid(
                    "The property '\(member.name)' is sensitive; this server cannot keep sensitive values yet."
                )
            case .null: object[member.name] = nil
            default: throw APIError.invalid("The property '\(member.name)' must be a text.")
            }
        }
        return object
    }

    // MARK: JSON

    private static let echoedNames = [
        "Notes", "CanBeUsedForProjectVersioning", "WorkerPoolId", "WorkerPoolVariable", "Container", "TenantTags",
        "Packages",
        "GitDependencies", "Condition", "StepPackageVersion",
    ]

    static func json(_ process: DeploymentProcess) -> JSONValue {
        let project = "/api/\(process.spaceID)/projects/\(process.projectID)"
        return [
            "Id": .string(process.id), "SpaceId": .string(process.spaceID), "ProjectId": .string(process.projectID),
            "Version": .integer(Int64(process.version)), "LastSnapshotId": JSONValue(orNull: process.lastSnapshotID),
            "Steps": .array(process.steps.map(json)),
            "Links": [
                "Self": "/api/\(process.spaceID)/deploymentprocesses/\(process.id)", "Project": .string(project),
                "Template": "\(project)/deploymentprocesses/template{?channel,releaseId}",
                "Validation": "\(project)/deploymentprocesses/validate",
            ],
        ]
    }

    private static func json(_ step: DeploymentStep) -> JSONValue {
        [
            "Id": .string(step.id), "Name": .string(step.name), "Slug": .string(step.slug),
            "PackageRequirement": .string(step.packageRequirement), "Condition": .string(step.condition.rawValue),
            "StartTrigger": .string(step.startTrigger.rawValue), "Properties": .object(step.properties),
            "Actions": .array(step.actions.map(json)),
        ]
    }

    private static func json(_ action: DeploymentAction) -> JSONValue {
        let fixed: JSONObject = [
            "Id": .string(action.id), "Name": .string(action.name), "Slug": .string(action.slug),
            "ActionType": .string(action.actionType), "Notes": nil, "IsDisabled": .bool(action.isDisabled),
            "IsRequired": .bool(action.isRequired), "CanBeUsedForProjectVersioning": false, "WorkerPoolId": nil,
            "WorkerPoolVariable": nil, "Container": ["Image": nil, "FeedId": nil, "GitUrl": nil, "Dockerfile": nil],
            "Environments": JSONValue(action.environmentIDs),
            "ExcludedEnvironments": JSONValue(action.excludedEnvironmentIDs), "Channels": JSONValue(action.channelIDs),
            "TenantTags": [], "Packages": [], "GitDependencies": [], "Condition": "Success", "StepPackageVersion": nil,
            "Properties": .object(action.properties), "Links": [:],
        ]
        return .object(
            fixed.merging(
                action.echoed.withoutNulls(in: ["Container", "TenantTags", "Packages", "GitDependencies", "Condition"])
            )
        )
    }

    // MARK: Release template (rest-api.md 14.2)

    private func template(_ call: APICall) async throws -> JSONValue {
        let (id, spaceID) = (call.parameter("project"), call.spaceID)
        let (project, last) = try await services.store.read { tx in
            let project = try tx.get(Project.self, id, in: spaceID)
            let last = try tx.all(Release.self, where: [("projectId", .text(project.id))], newestFirst: true, limit: 1)
                .first
            return (project, last?.version)
        }
        return [
            "DeploymentProcessId": .string(project.processID), "LastReleaseVersion": JSONValue(orNull: last),
            "NextVersionIncrement": JSONValue(
                orNull: ReleaseVersion.next(template: project.versionTemplate, after: last)
            ),
            "VersioningPackageStepName": nil, "VersioningPackageReferenceName": nil, "Packages": [], "GitResources": [],
            "Links": ["Self": .string(call.path)],
        ]
    }
}
