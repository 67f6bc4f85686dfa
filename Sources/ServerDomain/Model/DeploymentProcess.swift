/// The ordered steps of a project; a release keeps a copy (`snapshot`).
package struct DeploymentProcess: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var projectID: String
    /// Grows with every change; an update must name the version it started from (rest-api.md 10).
    package var version: Int
    package var lastSnapshotID: String?
    package var steps: [DeploymentStep]

    package init(
        id: String,
        spaceID: String,
        projectID: String,
        version: Int = 0,
        lastSnapshotID: String? = nil,
        steps: [DeploymentStep] = []
    ) {
        (self.id, self.spaceID, self.projectID) = (id, spaceID, projectID)
        (self.version, self.lastSnapshotID, self.steps) = (version, lastSnapshotID, steps)
    }

    package static func id(projectID: String) -> String { "deploymentprocess-\(projectID)" }

    /// The immutable copy a release refers to.
    package func snapshot(suffix: String) -> DeploymentProcess {
        var copy = self
        copy.id = "\(id)-s-\(version)-\(suffix)"
        return copy
    }
}

/// One step: where its actions run and under which condition.
package struct DeploymentStep: Codable, Hashable, Sendable {
    package enum Condition: String, Codable, Sendable {
        case success = "Success"
        case failure = "Failure"
        case always = "Always"
        case variable = "Variable"
    }
    package enum StartTrigger: String, Codable, Sendable {
        case startAfterPrevious = "StartAfterPrevious"
        case startWithPrevious = "StartWithPrevious"
    }

    package var id: String
    package var name: String
    package var slug: String
    package var condition: Condition
    package var startTrigger: StartTrigger
    package var packageRequirement: String
    package var properties: JSONObject
    package var actions: [DeploymentAction]

    package init(
        id: String,
        name: String,
        slug: String,
        condition: Condition = .success,
        startTrigger: StartTrigger = .startAfterPrevious,
        packageRequirement: String = "LetOctopusDecide",
        properties: JSONObject = [:],
        actions: [DeploymentAction]
    ) {
        (self.id, self.name, self.slug) = (id, name, slug)
        (self.condition, self.startTrigger) = (condition, startTrigger)
        (self.packageRequirement, self.properties, self.actions) = (packageRequirement, properties, actions)
    }

    /// The roles of which a target needs at least one (deployment-steps.md 6.1).
    package var targetRoles: [String] {
        (properties.text(PropertyName.targetRoles) ?? "").split(separator: ",").map(\.trimmingSpaces).filter {
            !$0.isEmpty
        }
    }
}

/// One thing a step does on each target.
package struct DeploymentAction: Codable, Hashable, Sendable {
    package var id: String
    package var name: String
    package var slug: String
    package var actionType: String
    package var isDisabled: Bool
    package var isRequired: Bool
    package var environmentIDs: [String]
    package var excludedEnvironmentIDs: [String]
    package var channelIDs: [String]
    package var properties: JSONObject
    package var echoed: JSONObject

    package init(
        id: String,
        name: String,
        slug: String,
        actionType: String,
        isDisabled: Bool = false,
        isRequired: Bool = false,
        environmentIDs: [String] = [],
        excludedEnvironmentIDs: [String] = [],
        channelIDs: [String] = [],
        properties: JSONObject = [:],
        echoed: JSONObject = [:]
    ) {
        (self.id, self.name, self.slug, self.actionType) = (id, name, slug, actionType)
        (self.isDisabled, self.isRequired) = (isDisabled, isRequired)
        (self.environmentIDs, self.excludedEnvironmentIDs) = (environmentIDs, excludedEnvironmentIDs)
        (self.channelIDs, self.properties, self.echoed) = (channelIDs, properties, echoed)
    }

    /// Whether the action takes part in a deployment of `channelID` to `environmentID`; exclusion wins.
    package func applies(environmentID: String, channelID: String) -> Bool {
        !isDisabled && !excludedEnvironmentIDs.contains(environmentID)
            && (environmentIDs.isEmpty || environmentIDs.contains(environmentID))
            && (channelIDs.isEmpty || channelIDs.contains(channelID))
    }
}

/// The property keys of steps and actions that the server reads (deployment-steps.md 6).
package enum PropertyName {
    package static let targetRoles = "Octopus.Action.TargetRoles"
    package static let maximumParallelism = "Octopus.Action.MaxParallelism"
    package static let runOnServer = "Octopus.Action.RunOnServer"
    package static let scriptSource = "Octopus.Action.Script.ScriptSource"
    package static let scriptSyntax = "Octopus.Action.Script.Syntax"
    package static let scriptBody = "Octopus.Action.Script.ScriptBody"
}

extension StringProtocol {
    /// Without blanks and line ends at either side.
    package var trimmingSpaces: String {
        let isBlank: (Character) -> Bool = { $0.isWhitespace }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
            return ""
        }
        return String(self[first...last])
    }
}
