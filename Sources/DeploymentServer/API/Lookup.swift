import HTTPTypes
import ServerDomain
import ServerStore

extension StoreTransaction {
    /// All documents of a space.
    func all<D: NamedDocument>(_ type: D.Type, in spaceID: String) throws -> [D] {
        try all(type, where: [("spaceId", .text(spaceID))])
    }

    /// By id or slug, as routes want it; a 404 otherwise.
    func get<D: NamedDocument>(_ type: D.Type, _ text: String, in spaceID: String) throws -> D {
        if let found = try find(type, id: text), found.spaceID == spaceID { return found }
        if let found = try all(type, where: [("spaceId", .text(spaceID)), ("slug", .text(text.lowercased()))]).first {
            return found
        }
        throw APIError.notFound(text)
    }

    /// By id, slug or name, as the executions API wants it (rest-api.md 14.3).
    func named<D: NamedDocument>(_ type: D.Type, _ text: String, in spaceID: String) throws -> D? {
        if let found = try all(type, where: [("spaceId", .text(spaceID)), ("name", .text(text))]).first {
            return found
        }
        do { return try get(type, text, in: spaceID) } catch is APIError { return nil }
    }

    func require<D: NamedDocument>(_ type: D.Type, id: String, in spaceID: String, as kind: String) throws -> D {
        guard let found = try find(type, id: id), found.spaceID == spaceID else {
            throw APIError.invalid("The \(kind) '\(id)' does not exist.")
        }
        return found
    }

    /// The documents with these ids, each once and by the id it has; one that does not exist is refused.
    func require<D: NamedDocument>(
        _ type: D.Type,
        ids: [String],
        in spaceID: String,
        as kind: String
    ) throws -> [String] {
        try ids.reduce(into: []) { result, id in
            let found = try require(type, id: id, in: spaceID, as: kind).id
            if !result.contains(found) { result.append(found) }
        }
    }

    /// A free slug: the wanted one, or one made from the name.
    func slug<D: NamedDocument>(
        _ type: D.Type,
        wanted: String?,
        name: String,
        in spaceID: String,
        except id: String? = nil
    ) throws -> String {
        let isTaken: (String) throws -> Bool = {
            try exists(type, where: [("spaceId", .text(spaceID)), ("slug", .text($0))], except: id)
        }
        guard let wanted, !wanted.isEmpty else { return try Slug.unique(for: name, isTaken: isTaken) }
        guard wanted == Slug.make(from: wanted) else {
            throw APIError.invalid("The slug '\(wanted)' may have only lower-case letters, digits and '-'.")
        }
        guard try !isTaken(wanted) else { throw APIError.invalid("The slug '\(wanted)' is already in use.") }
        return wanted
    }

    /// Refuses a name that is missing, unusable or taken.
    func checkName<D: NamedDocument>(
        _ name: String,
        _ type: D.Type,
        of kind: String,
        in spaceID: String,
        except id: String? = nil
    ) throws {
        if let problem = NameRules.problem(with: name, of: kind) { throw APIError.invalid(problem) }
        let isTaken = try exists(type, where: [("spaceId", .text(spaceID)), ("name", .text(name))], except: id)
        if isTaken { throw APIError.nameTaken(name) }
    }
}

extension APICall {
    /// The filters that every named collection has (rest-api.md 4).
    func filtered<D: NamedDocument>(_ documents: [D]) -> [D] {
        let ids = query.list("ids").map { Set($0.map { $0.lowercased() }) }
        let partial = query["partialName"]?.lowercased()
        let name = query["name"]
        return documents.filter { document in
            (ids?.contains(document.id.lowercased()) ?? true)
                && (partial.map { document.name.lowercased().contains($0) } ?? true)
                && (name.map { document.name.equalsIgnoringASCIICase($0) } ?? true)
        }
    }
}

extension JSONObject {
    /// A list of texts; absent or null is empty, anything else is refused.
    func list(_ name: String) throws(APIError) -> [String] {
        switch self[name] {
        case nil, .null?: return []
        case let value?:
            guard let texts = value.texts else { throw .invalid("'\(name)' must be a list of texts.") }
            return texts
        }
    }

    func flag(_ name: String) -> Bool { self[name]?.truth ?? false }

    /// A text that is neither missing nor empty.
    func filled(_ name: String) -> String? {
        guard let text = text(name), !text.trimmingSpaces.isEmpty else { return nil }
        return text
    }
}

extension Sequence<String> {
    /// Each text once, whatever its case; the first form stays.
    var uniqueIgnoringCase: [String] {
        var seen = Set<String>()
        return filter { seen.insert($0.lowercased()).inserted }
    }
}
