/// A walled-off part of the server; the first version has exactly one.
package struct Space: Codable, Hashable, Sendable {
    package var id: String
    package var name: String
    package var slug: String
    package var isDefault: Bool

    package init(id: String, name: String, slug: String, isDefault: Bool) {
        (self.id, self.name, self.slug, self.isDefault) = (id, name, slug, isDefault)
    }
}

/// A place that releases are deployed to: Test, Production. (`Environment` alone would mean a process's variables.)
package struct DeploymentEnvironment: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var sortOrder: Int
    /// Members the server stores and gives back without reading them.
    package var echoed: JSONObject

    package init(id: String, spaceID: String, name: String, slug: String, sortOrder: Int, echoed: JSONObject = [:]) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.sortOrder, self.echoed) = (sortOrder, echoed)
    }
}

/// Which environments a release may go to, in which order.
package struct Lifecycle: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var phases: [LifecyclePhase]
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        phases: [LifecyclePhase] = [],
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.phases, self.echoed) = (phases, echoed)
    }
}

/// One stage of a lifecycle.
package struct LifecyclePhase: Codable, Hashable, Sendable {
    package var id: String
    package var name: String
    package var optionalEnvironmentIDs: [String]
    package var automaticEnvironmentIDs: [String]
    /// How many of the phase's environments must have the release before the next phase opens; 0 means all.
    package var minimumBeforePromotion: Int
    package var isOptional: Bool
    package var echoed: JSONObject

    package init(
        id: String,
        name: String,
        optionalEnvironmentIDs: [String],
        automaticEnvironmentIDs: [String] = [],
        minimumBeforePromotion: Int = 0,
        isOptional: Bool = false,
        echoed: JSONObject = [:]
    ) {
        (self.id, self.name) = (id, name)
        (self.optionalEnvironmentIDs, self.automaticEnvironmentIDs) = (optionalEnvironmentIDs, automaticEnvironmentIDs)
        (self.minimumBeforePromotion, self.isOptional) = (minimumBeforePromotion, isOptional)
        self.echoed = echoed
    }

    package var environmentIDs: [String] { automaticEnvironmentIDs + optionalEnvironmentIDs }
}
