import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Environments, lifecycles and project groups (rest-api.md 8).
struct EnvironmentAPI: Sendable {
    static let environmentTemplate = "{/id}{?name,skip,ids,take,partialName}"

    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.get, "environments") { call in
            let items = try await environments(call).map(Self.json)
            return .json(APIPage.json(items, of: "Environment", call: call, template: Self.environmentTemplate))
        }
        routes.space(.get, "environments/all") { call in .json(.array(try await environments(call).map(Self.json))) }
        routes.space(.get, "environments/v2") { call in .json(try await environmentsV2(call)) }
        routes.space(.get, "environments/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            return .json(
                Self.json(try await services.store.read { try $0.get(DeploymentEnvironment.self, id, in: spaceID) })
            )
        }
        routes.space(.post, "environments") { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.put, "environments/:id") { call in .json(Self.json(try await update(call))) }
        routes.space(.delete, "environments/:id") { call in try await delete(call) }
        registerLifecycles(in: &routes)
        registerGroups(in: &routes)
    }

    // MARK: Environments

    private func environments(_ call: APICall) async throws -> [DeploymentEnvironment] {
        let spaceID = call.spaceID
        let all = try await services.store.read { try $0.all(DeploymentEnvironment.self, in: spaceID) }
        return call.filtered(all).sorted { ($0.sortOrder, $0.name.lowercased()) < ($1.sortOrder, $1.name.lowercased()) }
    }

    /// The newer route that `register` asks first; each item needs a `Type` (rest-api.md 8.1).
    private func environmentsV2(_ call: APICall) async throws -> JSONValue {
        let items = try await environments(call).map { environment -> JSONValue in
            var item = Self.json(environment).members ?? [:]
            item["Type"] = "Static"
            return .object(item)
        }
        return APIPage.json(items, of: "Environment", call: call, template: "{?type,skip,take,partialName,ids}")
    }

    private func create(_ call: APICall) async throws -> DeploymentEnvironment {
        let body = try call.body()
        let name = body.text("Name") ?? ""
        let spaceID = call.spaceID
        return try await services.store.write { tx in
            try tx.checkName(name, DeploymentEnvironment.self, of: "environment", in: spaceID)
            let last = try tx.all(DeploymentEnvironment.self, in: spaceID).map(\.sortOrder).max()
            let environment = DeploymentEnvironment(
                id: try tx.nextID(DeploymentEnvironment.self),
                spaceID: spaceID,
                name: name,
                slug: try tx.slug(DeploymentEnvironment.self, wanted: body.text("Slug"), name: name, in: spaceID),
                sortOrder: last.map { $0 + 1 } ?? 0,
                echoed: body.only(Self.echoedNames)
            )
            try tx.insert(environment)
            return environment
        }
    }

    private func update(_ call: APICall) async throws -> DeploymentEnvironment {
        let body = try call.body()
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.write { tx in
            var environment = try tx.get(DeploymentEnvironment.self, id, in: spaceID)
            let name = body.text("Name") ?? environment.name
            try tx.checkName(name, DeploymentEnvironment.self, of: "environment", in: spaceID, except: environment.id)
            environment.slug = try tx.slug(
                DeploymentEnvironment.self,
                wanted: body.filled("Slug") ?? environment.slug,
                name: name,
                in: spaceID,
                except: environment.id
            )
            environment.name = name
            environment.sortOrder = body["SortOrder"]?.wholeNumber ?? environment.sortOrder
            environment.echoed = environment.echoed.merging(body.only(Self.echoedNames))
            try tx.update(environment)
            return environment
        }
    }

    private func delete(_ call: APICall) async throws -> APIAnswer {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        try await services.store.write { tx in
            let environment = try tx.get(DeploymentEnvironment.self, id, in: spaceID)
            var users: [String] = []
            let machines = try tx.all(DeploymentTarget.self, in: spaceID).filter {
                $0.environmentIDs.contains(environment.id)
            }
            if !machines.isEmpty { users.append("\(machines.count) machine(s)") }
            let lifecycles = try tx.all(Lifecycle.self, in: spaceID).filter {
                $0.phases.contains { $0.environmentIDs.contains(environment.id) }
            }
            if !lifecycles.isEmpty { users.append("the lifecycle '\(lifecycles[0].name)'") }
            if try tx.exists(Deployment.self, where: [("environmentId", .text(environment.id))]) {
                users.append("deployments")
            }
            guard users.isEmpty else {
                throw APIError.invalid(
                    "The environment '\(environment.name)' cannot be deleted: it is used by \(users.joined(separator: " and "))."
                )
            }
            try tx.delete(DeploymentEnvironment.self, id: environment.id)
        }
        return .empty
    }

    private static let echoedNames = [
        "Description", "UseGuidedFailure", "AllowDynamicInfrastructure", "ExtensionSettings", "EnvironmentTags",
    ]

    static func json(_ environment: DeploymentEnvironment) -> JSONValue {
        let path = "/api/\(environment.spaceID)/environments/\(environment.id)"
        let fixed: JSONObject = [
            "Id": .string(environment.id), "SpaceId": .string(environment.spaceID), "Name": .string(environment.name),
            "Slug": .string(environment.slug), "Description": "", "SortOrder": .integer(Int64(environment.sortOrder)),
            "UseGuidedFailure": false, "AllowDynamicInfrastructure": true, "ExtensionSettings": [],
            "EnvironmentTags": [],
            "Links": ["Self": .string(path), "Machines": "\(path)/machines{?skip,take,partialName,roles}"],
        ]
        return .object(fixed.merging(environment.echoed.withoutNulls(in: ["ExtensionSettings", "EnvironmentTags"])))
    }
}

extension JSONObject {
    /// Without members that must not be null but are.
    func withoutNulls(in names: [String]) -> JSONObject {
        var result = self
        for name in names where result[name] == .null { result[name] = nil }
        return result
    }
}
