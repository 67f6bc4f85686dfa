import HTTPTypes
import ServerDomain
import ServerStore

/// The routes that every collection of named documents has (rest-api.md 2, 4).
struct NamedCollection<D: NamedDocument>: Sendable {
    /// Below the space: `workerpools`.
    var path: String
    /// In pages: `WorkerPool`.
    var itemType: String
    /// In messages: `worker pool`.
    var kind: String
    var template = "{/id}{?name,skip,ids,take,partialName}"
    /// Whether agents are reached differently after a change.
    var concernsAgents = false
    /// An empty document.
    var make: @Sendable (_ id: String, _ spaceID: String) -> D
    /// Takes over what a body says, and refuses what cannot be; name and slug have been taken over already.
    var apply: @Sendable (JSONObject, inout D, StoreTransaction) throws -> Void
    /// The members that not all documents have.
    var json: @Sendable (D) -> JSONObject
    /// Why the document cannot be deleted: "it is …".
    var reasonToKeep: @Sendable (D, StoreTransaction) throws -> String?
    /// Filters that only this collection has.
    var allows: @Sendable (APIQuery, D) -> Bool = { _, _ in true }
    var isBefore: @Sendable (D, D) -> Bool = { $0.name.lowercased() < $1.name.lowercased() }

    func register(in routes: inout APIRoutes, _ services: ServerServices) {
        routes.space(.get, path) { call in
            let items = try await all(call, services).map(document)
            return .json(APIPage.json(items, of: itemType, call: call, template: template))
        }
        routes.space(.get, "\(path)/all") { call in .json(.array(try await all(call, services).map(document))) }
        routes.space(.get, "\(path)/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            return .json(document(try await services.store.read { try $0.get(D.self, id, in: spaceID) }))
        }
        routes.space(.post, path) { call in
            let (body, spaceID) = (try call.body(), call.spaceID)
            let made = try await write(services) { tx in
                var made = make(try tx.nextID(D.self), spaceID)
                try take(body, &made, tx)
                try tx.insert(made)
                return made
            }
            return .json(document(made), .created)
        }
        routes.space(.put, "\(path)/:id") { call in
            let (body, id, spaceID) = (try call.body(), call.parameter("id"), call.spaceID)
            let changed = try await write(services) { tx in
                var changed = try tx.get(D.self, id, in: spaceID)
                try take(body, &changed, tx)
                try tx.update(changed)
                return changed
            }
            return .json(document(changed))
        }
        routes.space(.delete, "\(path)/:id") { call in
            let (id, spaceID) = (call.parameter("id"), call.spaceID)
            try await write(services) { tx in
                let found = try tx.get(D.self, id, in: spaceID)
                if let reason = try reasonToKeep(found, tx) {
                    throw APIError.invalid("The \(kind) '\(found.name)' cannot be deleted: \(reason).")
                }
                try tx.delete(D.self, id: found.id)
            }
            return .empty
        }
    }

    private func all(_ call: APICall, _ services: ServerServices) async throws -> [D] {
        let spaceID = call.spaceID
        let all = call.filtered(try await services.store.read { try $0.all(D.self, in: spaceID) })
        return all.filter { allows(call.query, $0) }.sorted(by: isBefore)
    }

    private func write<T: Sendable>(
        _ services: ServerServices,
        _ body: @escaping @Sendable (StoreTransaction) throws -> T
    ) async throws -> T {
        concernsAgents ? try await services.writeAgents(body) : try await services.store.write(body)
    }

    private func take(_ body: JSONObject, _ document: inout D, _ tx: StoreTransaction) throws {
        let (id, spaceID) = (document.id, document.spaceID)
        document.name = body.text("Name") ?? document.name
        try tx.checkName(document.name, D.self, of: kind, in: spaceID, except: id)
        let slug = body.filled("Slug") ?? document.slug
        document.slug = try tx.slug(D.self, wanted: slug, name: document.name, in: spaceID, except: id)
        try apply(body, &document, tx)
    }

    private func document(_ document: D) -> JSONValue {
        let fixed: JSONObject = [
            "Id": .string(document.id), "SpaceId": .string(document.spaceID), "Name": .string(document.name),
            "Slug": .string(document.slug), "Description": "",
            "Links": ["Self": "/api/\(document.spaceID)/\(path)/\(document.id)"],
        ]
        return .object(fixed.merging(json(document)))
    }
}

extension StoreTransaction {
    /// Who a document is used by, as a reason to keep it; nil when it is nobody.
    func users(in spaceID: String, where uses: (any StoredAgent) -> Bool) throws -> String? {
        let users = try agents(where: [("spaceId", .text(spaceID))]).filter(uses)
        guard let first = users.first else { return nil }
        return "it is used by '\(first.name)'" + (users.count == 1 ? "" : " and \(users.count - 1) more")
    }
}
