/// A customer, a shop, a region: somebody for whom deployments are made separately.
package struct Tenant: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    /// Canonical names, `Set/Tag`.
    package var tags: [String]
    /// Members the server stores and gives back without reading them.
    package var echoed: JSONObject

    package init(id: String, spaceID: String, name: String, slug: String, tags: [String] = [], echoed: JSONObject = [:])
    {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.tags, self.echoed) = (tags, echoed)
    }
}

/// Tags that belong together: the set `Region` with the tags `North` and `South`.
package struct TagSet: Codable, Hashable, Sendable {
    package struct Tag: Codable, Hashable, Sendable {
        package var id: String
        package var name: String
        package var echoed: JSONObject

        package init(id: String, name: String, echoed: JSONObject = [:]) {
            (self.id, self.name, self.echoed) = (id, name, echoed)
        }
    }

    package static let maximumTags = 500

    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var sortOrder: Int
    package var tags: [Tag]
    /// Members the server stores and gives back without reading them.
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        sortOrder: Int = 0,
        tags: [Tag] = [],
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.sortOrder, self.tags, self.echoed) = (sortOrder, tags, echoed)
    }

    /// `Region/North`, by which machines and tenants name a tag.
    package func canonicalName(of tag: Tag) -> String { "\(name)/\(tag.name)" }

    /// What keeps the set from being stored: mostly, that its tags could not be told apart.
    package var problems: [String] {
        var validation = Validation()
        validation.require(!name.contains("/"), "The name of a tag set may not contain '/'.")
        validation.require(tags.count <= Self.maximumTags, "A tag set may have at most \(Self.maximumTags) tags.")
        var seen = (names: Set<String>(), ids: Set<String>())
        for tag in tags {
            validation.add(NameRules.problem(with: tag.name, of: "tag"))
            validation.require(!tag.name.contains("/"), "The name of a tag may not contain '/': '\(tag.name)'.")
            validation.require(
                seen.names.insert(tag.name.lowercased()).inserted && seen.ids.insert(tag.id).inserted,
                "The tag set has more than one tag '\(tag.name)'. Tags must be unique."
            )
        }
        return validation.problems
    }
}
