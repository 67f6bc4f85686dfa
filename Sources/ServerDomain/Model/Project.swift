/// A folder of projects.
package struct ProjectGroup: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var echoed: JSONObject

    package init(id: String, spaceID: String, name: String, slug: String, echoed: JSONObject = [:]) {
        (self.id, self.spaceID, self.name, self.slug, self.echoed) = (id, spaceID, name, slug, echoed)
    }
}

/// What is deployed: owns one process, its channels and its releases.
package struct Project: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var projectGroupID: String
    package var lifecycleID: String
    package var isDisabled: Bool
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        projectGroupID: String,
        lifecycleID: String,
        isDisabled: Bool = false,
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.projectGroupID, self.lifecycleID) = (projectGroupID, lifecycleID)
        (self.isDisabled, self.echoed) = (isDisabled, echoed)
    }

    package var processID: String { DeploymentProcess.id(projectID: id) }
    package var versionTemplate: String {
        echoed["VersioningStrategy"]?.members?.text("Template") ?? ReleaseVersion.defaultTemplate
    }
}

/// A variant of a project's releases, with a lifecycle of its own if it has one.
package struct Channel: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var projectID: String
    package var name: String
    package var slug: String
    package var lifecycleID: String?
    package var isDefault: Bool
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        projectID: String,
        name: String,
        slug: String,
        lifecycleID: String? = nil,
        isDefault: Bool,
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.projectID, self.name) = (id, spaceID, projectID, name)
        (self.slug, self.lifecycleID, self.isDefault, self.echoed) = (slug, lifecycleID, isDefault, echoed)
    }
}
