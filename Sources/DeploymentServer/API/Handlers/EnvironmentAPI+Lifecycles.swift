import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

extension EnvironmentAPI {
    private static let template = "{/id}{?skip,take,ids,partialName}"

    // MARK: Lifecycles (rest-api.md 8.2)

    func registerLifecycles(in routes: inout APIRoutes) {
        routes.space(.get, "lifecycles") { call in
            .json(
                APIPage.json(
                    try await lifecycles(call).map(Self.json),
                    of: "Lifecycle",
                    call: call,
                    template: Self.template
                )
            )
        }
        routes.space(.get, "lifecycles/all") { call in .json(.array(try await lifecycles(call).map(Self.json))) }
        routes.space(.get, "lifecycles/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            return .json(Self.json(try await services.store.read { try $0.get(Lifecycle.self, id, in: spaceID) }))
        }
        routes.space(.post, "lifecycles") { call in .json(Self.json(try await saveLifecycle(call, id: nil)), .created) }
        routes.space(.put, "lifecycles/:id") { call in
            .json(Self.json(try await saveLifecycle(call, id: call.parameter("id"))))
        }
        routes.space(.delete, "lifecycles/:id") { call in
            try await delete(Lifecycle.self, call, kind: "lifecycle") { tx, lifecycle in
                let users: [(column: String, value: StoreValue)] = [("lifecycleId", .text(lifecycle.id))]
                return try tx.exists(Project.self, where: users) || tx.exists(Channel.self, where: users)
                    ? "a project" : nil
            }
        }
    }

    private func lifecycles(_ call: APICall) async throws -> [Lifecycle] {
        let spaceID = call.spaceID
        return call.filtered(try await services.store.read { try $0.all(Lifecycle.self, in: spaceID) })
    }

    private func saveLifecycle(_ call: APICall, id: String?) async throws -> Lifecycle {
        let body = try call.body()
        let spaceID = call.spaceID
        return try await services.store.write { tx in
            let old = try id.map { try tx.get(Lifecycle.self, $0, in: spaceID) }
            let name = body.text("Name") ?? old?.name ?? ""
            try tx.checkName(name, Lifecycle.self, of: "lifecycle", in: spaceID, except: old?.id)
            let lifecycle = Lifecycle(
                id: try old?.id ?? tx.nextID(Lifecycle.self),
                spaceID: spaceID,
                name: name,
                slug: try tx.slug(
                    Lifecycle.self,
                    wanted: body.filled("Slug") ?? old?.slug,
                    name: name,
                    in: spaceID,
                    except: old?.id
                ),
                phases: try (body["Phases"]?.items ?? []).map { try Self.phase($0, tx, spaceID) },
                echoed: (old?.echoed ?? [:]).merging(
                    body.only(["Description", "ReleaseRetentionPolicy", "TentacleRetentionPolicy"])
                )
            )
            if old == nil { try tx.insert(lifecycle) } else { try tx.update(lifecycle) }
            return lifecycle
        }
    }

    private static func phase(_ json: JSONValue, _ tx: StoreTransaction, _ spaceID: String) throws -> LifecyclePhase {
        guard let body = json.members, let name = body.filled("Name") else {
            throw APIError.invalid("A phase needs a name.")
        }
        let phase = LifecyclePhase(
            id: body.filled("Id") ?? UUID().uuidString.lowercased(),
            name: name,
            optionalEnvironmentIDs: try body.list("OptionalDeploymentTargets"),
            automaticEnvironmentIDs: try body.list("AutomaticDeploymentTargets"),
            minimumBeforePromotion: body["MinimumEnvironmentsBeforePromotion"]?.wholeNumber ?? 0,
            isOptional: body.flag("IsOptionalPhase"),
            echoed: body.only(["IsPriorityPhase", "ReleaseRetentionPolicy", "TentacleRetentionPolicy"])
        )
        for id in phase.environmentIDs {
            _ = try tx.require(DeploymentEnvironment.self, id: id, in: spaceID, as: "environment")
        }
        return phase
    }

    static func json(_ lifecycle: Lifecycle) -> JSONValue {
        let path = "/api/\(lifecycle.spaceID)/lifecycles/\(lifecycle.id)"
        let retention: JSONValue = [
            "Unit": "Items", "QuantityToKeep": 0, "ShouldKeepForever": true, "Strategy": "Default",
        ]
        let fixed: JSONObject = [
            "Id": .string(lifecycle.id), "SpaceId": .string(lifecycle.spaceID), "Name": .string(lifecycle.name),
            "Slug": .string(lifecycle.slug), "Description": "", "ReleaseRetentionPolicy": retention,
            "TentacleRetentionPolicy": retention, "Phases": .array(lifecycle.phases.map(json)),
            "Links": ["Self": .string(path), "Preview": "\(path)/preview", "Projects": "\(path)/projects"],
        ]
        return .object(
            fixed.merging(lifecycle.echoed.withoutNulls(in: ["ReleaseRetentionPolicy", "TentacleRetentionPolicy"]))
        )
    }

    private static func json(_ phase: LifecyclePhase) -> JSONValue {
        let fixed: JSONObject = [
            "Id": .string(phase.id), "Name": .string(phase.name),
            "OptionalDeploymentTargets": JSONValue(phase.optionalEnvironmentIDs),
            "AutomaticDeploymentTargets": JSONValue(phase.automaticEnvironmentIDs),
            "MinimumEnvironmentsBeforePromotion": .integer(Int64(phase.minimumBeforePromotion)),
            "IsOptionalPhase": .bool(phase.isOptional), "IsPriorityPhase": false, "ReleaseRetentionPolicy": nil,
            "TentacleRetentionPolicy": nil,
        ]
        return .object(fixed.merging(phase.echoed))
    }

    // MARK: Project groups (rest-api.md 8.3)

    func registerGroups(in routes: inout APIRoutes) {
        routes.space(.get, "projectgroups") { call in
            .json(
                APIPage.json(
                    try await groups(call).map(Self.json),
                    of: "ProjectGroup",
                    call: call,
                    template: Self.template
                )
            )
        }
        routes.space(.get, "projectgroups/all") { call in .json(.array(try await groups(call).map(Self.json))) }
        routes.space(.get, "projectgroups/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            return .json(Self.json(try await services.store.read { try $0.get(ProjectGroup.self, id, in: spaceID) }))
        }
        routes.space(.post, "projectgroups") { call in .json(Self.json(try await saveGroup(call, id: nil)), .created) }
        routes.space(.put, "projectgroups/:id") { call in
            .json(Self.json(try await saveGroup(call, id: call.parameter("id"))))
        }
        routes.space(.delete, "projectgroups/:id") { call in
            try await delete(ProjectGroup.self, call, kind: "project group") { tx, group in
                try tx.exists(Project.self, where: [("projectGroupId", .text(group.id))]) ? "a project" : nil
            }
        }
    }

    private func groups(_ call: APICall) async throws -> [ProjectGroup] {
        let spaceID = call.spaceID
        let all = try await services.store.read { try $0.all(ProjectGroup.self, in: spaceID) }
        return call.filtered(all).sorted { $0.name.lowercased() < $1.name.lowercased() }
    }

    private func saveGroup(_ call: APICall, id: String?) async throws -> ProjectGroup {
        let body = try call.body()
        let spaceID = call.spaceID
        return try await services.store.write { tx in
            let old = try id.map { try tx.get(ProjectGroup.self, $0, in: spaceID) }
            let name = body.text("Name") ?? old?.name ?? ""
            try tx.checkName(name, ProjectGroup.self, of: "project group", in: spaceID, except: old?.id)
            let group = ProjectGroup(
                id: try old?.id ?? tx.nextID(ProjectGroup.self),
                spaceID: spaceID,
                name: name,
                slug: try tx.slug(
                    ProjectGroup.self,
                    wanted: body.filled("Slug") ?? old?.slug,
                    name: name,
                    in: spaceID,
                    except: old?.id
                ),
                echoed: (old?.echoed ?? [:]).merging(body.only(["Description", "EnvironmentIds", "RetentionPolicyId"]))
            )
            if old == nil { try tx.insert(group) } else { try tx.update(group) }
            return group
        }
    }

    static func json(_ group: ProjectGroup) -> JSONValue {
        let path = "/api/\(group.spaceID)/projectgroups/\(group.id)"
        let fixed: JSONObject = [
            "Id": .string(group.id), "SpaceId": .string(group.spaceID), "Name": .string(group.name),
            "Slug": .string(group.slug), "Description": nil, "EnvironmentIds": [], "RetentionPolicyId": nil,
            "Links": ["Self": .string(path), "Projects": "\(path)/projects"],
        ]
        return .object(fixed.merging(group.echoed.withoutNulls(in: ["EnvironmentIds"])))
    }

    /// Deletes a document unless something uses it.
    private func delete<D: NamedDocument>(
        _ type: D.Type,
        _ call: APICall,
        kind: String,
        usedBy: @escaping @Sendable (StoreTransaction, D) throws -> String?
    ) async throws -> APIAnswer {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        try await services.store.write { tx in
            let document = try tx.get(type, id, in: spaceID)
            if let user = try usedBy(tx, document) {
                throw APIError.invalid("The \(kind) '\(document.name)' cannot be deleted: it is used by \(user).")
            }
            try tx.delete(type, id: document.id)
        }
        return .empty
    }
}
