import Foundation
import ServerDomain
import ServerStore

extension InfrastructureAPI {
    static let tenants = NamedCollection<Tenant>(
        path: "tenants",
        itemType: "Tenant",
        kind: "tenant",
        template: "{/id}{?skip,name,tags,take,ids,partialName}",
        make: { Tenant(id: $0, spaceID: $1, name: "", slug: "") },
        apply: { body, tenant, tx in
            if body["TenantTags"] != nil {
                tenant.tags = try tx.canonicalTags(try body.list("TenantTags"), in: tenant.spaceID)
            }
            let known = body.only(["Description", "ProjectEnvironments", "IsDisabled"])
            tenant.echoed = tenant.echoed.merging(known.withoutNulls(in: ["ProjectEnvironments", "IsDisabled"]))
        },
        json: { tenant in
            let fixed: JSONObject = [
                "TenantTags": JSONValue(tenant.tags), "ProjectEnvironments": [:], "ClonedFromTenantId": nil,
                "IsDisabled": false,
            ]
            return fixed.merging(tenant.echoed)
        },
        reasonToKeep: { tenant, tx in
            try tx.users(in: tenant.spaceID) { ($0 as? DeploymentTarget)?.tenantIDs.contains(tenant.id) ?? false }
        },
        allows: { query, tenant in
            query.list("tags")?.allSatisfy { tag in tenant.tags.contains { $0.equalsIgnoringASCIICase(tag) } } ?? true
        }
    )

    private static let scope = "Tenant"

    static let tagSets = NamedCollection<TagSet>(
        path: "tagsets",
        itemType: "TagSet",
        kind: "tag set",
        template: "{/id}{?skip,take,ids,partialName,scopes}",
        make: { TagSet(id: $0, spaceID: $1, name: "", slug: "") },
        apply: { body, set, tx in
            // The set as it is stored: `set` has its new name already.
            let before = try tx.find(TagSet.self, id: set.id)
            if let tags = body["Tags"] { set.tags = try Self.tags(tags, of: set) }
            set.sortOrder = body["SortOrder"]?.wholeNumber ?? set.sortOrder
            set.echoed = set.echoed.merging(body.only(["Description"]))
            guard set.problems.isEmpty else { throw APIError.invalid(set.problems) }
            if let before { try tx.followTags(from: before, to: set) }
        },
        json: { set in
            let fixed: JSONObject = [
                "SortOrder": .integer(Int64(set.sortOrder)), "Type": "MultiSelect", "Scopes": JSONValue([scope]),
                "Tags": .array(
                    set.tags.enumerated().map { index, tag in
                        let fixed: JSONObject = [
                            "Id": .string(tag.id), "Name": .string(tag.name),
                            "CanonicalTagName": .string(set.canonicalName(of: tag)), "Color": "#333333",
                            "Description": "", "SortOrder": .integer(Int64(index)),
                        ]
                        return .object(fixed.merging(tag.echoed))
                    }
                ),
            ]
            return fixed.merging(set.echoed)
        },
        reasonToKeep: { set, tx in
            let user = try set.tags.lazy.compactMap { try tx.user(ofTag: set.canonicalName(of: $0), in: set.spaceID) }
            return user.first.map { "it is used by '\($0)'" }
        },
        allows: { query, _ in
            // All sets are for tenants: somebody who asks for those of projects must not be shown them.
            query.list("scopes")?.contains { $0.equalsIgnoringASCIICase(scope) } ?? true
        },
        isBefore: { ($0.sortOrder, $0.name.lowercased()) < ($1.sortOrder, $1.name.lowercased()) }
    )

    /// The tags of a body, in its order: one without an id is new, or one that the set has by that name.
    private static func tags(_ value: JSONValue, of set: TagSet) throws -> [TagSet.Tag] {
        guard let objects = value.items?.map(\.members), !objects.contains(nil) else {
            throw APIError.invalid("'Tags' must be a list of objects.")
        }
        return objects.compactMap(\.self).map { object in
            let name = object.text("Name") ?? ""
            let known = set.tags.first { $0.name.equalsIgnoringASCIICase(name) }
            let id = object.filled("Id") ?? known?.id ?? "\(set.id)/Tags-\(RandomText.lowercased(12))"
            return TagSet.Tag(id: id, name: name, echoed: object.only(["Color", "Description"]))
        }
    }
}

extension StoreTransaction {
    /// Tags by the canonical names they have; one that does not exist is refused.
    func canonicalTags(_ texts: [String], in spaceID: String) throws -> [String] {
        guard !texts.isEmpty else { return [] }
        let known = try all(TagSet.self, in: spaceID).flatMap { set in set.tags.map(set.canonicalName) }
        return try texts.map { text in
            guard let tag = known.first(where: { $0.equalsIgnoringASCIICase(text) }) else {
                throw APIError.invalid("The tag '\(text)' does not exist. Tags are named like 'Tag set/Tag'.")
            }
            return tag
        }
        .uniqueIgnoringCase
    }

    /// The name of a target or a tenant that has the tag.
    func user(ofTag tag: String, in spaceID: String) throws -> String? {
        try all(DeploymentTarget.self, in: spaceID).first { $0.tenantTags.contains(tag) }?.name
            ?? all(Tenant.self, in: spaceID).first { $0.tags.contains(tag) }?.name
    }

    /// Lets targets and tenants follow tags that get other names; refuses to take away one that is in use.
    fileprivate func followTags(from old: TagSet, to new: TagSet) throws {
        var names: [String: String] = [:]
        for tag in old.tags {
            let name = old.canonicalName(of: tag)
            if let kept = new.tags.first(where: { $0.id == tag.id }) {
                let newName = new.canonicalName(of: kept)
                if newName != name { names[name] = newName }
            } else if let user = try user(ofTag: name, in: old.spaceID) {
                throw APIError.invalid("The tag '\(name)' cannot be deleted: it is used by '\(user)'.")
            }
        }
        guard !names.isEmpty else { return }
        for var machine in try all(DeploymentTarget.self, in: old.spaceID)
        where machine.tenantTags.contains(where: { names[$0] != nil }) {
            machine.tenantTags = machine.tenantTags.map { names[$0] ?? $0 }
            try update(machine)
        }
        for var tenant in try all(Tenant.self, in: old.spaceID) where tenant.tags.contains(where: { names[$0] != nil })
        {
            tenant.tags = tenant.tags.map { names[$0] ?? $0 }
            try update(tenant)
        }
    }
}
