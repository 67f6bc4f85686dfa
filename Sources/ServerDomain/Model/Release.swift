package import FoundationEssentials

/// A version of a project: a snapshot of its process that can be deployed again and again.
package struct Release: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var projectID: String
    package var channelID: String
    package var version: String
    package var releaseNotes: String?
    package var assembled: Date
    package var processSnapshotID: String
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        projectID: String,
        channelID: String,
        version: String,
        releaseNotes: String? = nil,
        assembled: Date,
        processSnapshotID: String,
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.projectID, self.channelID) = (id, spaceID, projectID, channelID)
        (self.version, self.releaseNotes, self.assembled) = (version, releaseNotes, assembled)
        (self.processSnapshotID, self.echoed) = (processSnapshotID, echoed)
    }
}

/// One execution of a release in one environment.
package struct Deployment: Codable, Hashable, Sendable {
    package var id: String
    package var spaceID: String
    package var projectID: String
    package var releaseID: String
    package var channelID: String
    package var environmentID: String
    package var taskID: String
    package var name: String
    package var comments: String?
    package var created: Date
    package var deployedBy: String
    package var deployedByID: String
    package var specificMachineIDs: [String]
    package var excludedMachineIDs: [String]
    package var skippedActionIDs: [String]
    package var deployedToMachineIDs: [String]

    package init(
        id: String,
        release: Release,
        environment: DeploymentEnvironment,
        taskID: String,
        created: Date,
        by user: User,
        selection: TargetSelection = TargetSelection(),
        skippedActionIDs: [String] = [],
        comments: String? = nil,
        deployedToMachineIDs: [String] = []
    ) {
        (self.id, self.spaceID, self.projectID) = (id, release.spaceID, release.projectID)
        (self.releaseID, self.channelID, self.environmentID) = (release.id, release.channelID, environment.id)
        (self.taskID, self.name, self.created) = (taskID, "Deploy to \(environment.name)", created)
        (self.deployedBy, self.deployedByID) = (user.username, user.id)
        (self.specificMachineIDs, self.excludedMachineIDs) = (selection.specificIDs, selection.excludedIDs)
        (self.skippedActionIDs, self.comments) = (skippedActionIDs, comments)
        self.deployedToMachineIDs = deployedToMachineIDs
    }

    package var selection: TargetSelection {
        TargetSelection(specificIDs: specificMachineIDs, excludedIDs: excludedMachineIDs)
    }
}
