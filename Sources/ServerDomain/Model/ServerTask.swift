package import FoundationEssentials

/// A unit of the server's own work: a deployment, a health check.
package struct ServerTask: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Sendable {
        case deploy = "Deploy"
        case health = "Health"
    }

    package enum State: String, Codable, Sendable, CaseIterable {
        case queued = "Queued"
        case executing = "Executing"
        case cancelling = "Cancelling"
        case success = "Success"
        case failed = "Failed"
        case canceled = "Canceled"
        case timedOut = "TimedOut"

        package var isCompleted: Bool {
            switch self {
            case .success, .failed, .canceled, .timedOut: true
            case .queued, .executing, .cancelling: false
            }
        }
    }

    package var id: String
    package var spaceID: String
    package var projectID: String?
    package var environmentID: String?
    package var kind: Kind
    package var description: String
    package var arguments: JSONObject
    package var state: State
    package var queueTime: Date
    package var startTime: Date?
    package var lastUpdated: Date
    package var completedTime: Date?
    package var errorMessage: String
    package var hasWarningsOrErrors: Bool
    /// The random part of the root node's id, so that node ids do not repeat between tasks.
    package var rootNodeID: String

    package init(
        id: String,
        spaceID: String,
        kind: Kind,
        description: String,
        arguments: JSONObject,
        queueTime: Date,
        rootNodeID: String,
        projectID: String? = nil,
        environmentID: String? = nil
    ) {
        (self.id, self.spaceID, self.kind, self.description) = (id, spaceID, kind, description)
        (self.arguments, self.queueTime, self.lastUpdated) = (arguments, queueTime, queueTime)
        (self.projectID, self.environmentID, self.rootNodeID) = (projectID, environmentID, rootNodeID)
        (self.state, self.errorMessage, self.hasWarningsOrErrors) = (.queued, "", false)
    }

    package var machineIDs: [String] { arguments["MachineIds"]?.texts ?? [] }
    package var deploymentID: String? { arguments.text("DeploymentId") }

    /// Ends the task; a second end changes nothing.
    package mutating func complete(_ state: State, at now: Date, error: String = "") {
        guard !self.state.isCompleted, state.isCompleted else { return }
        (self.state, completedTime, lastUpdated, errorMessage) = (state, now, now, error)
        if startTime == nil { startTime = now }
    }
}

/// A line of the tree that `tasks/{id}/details` shows: the task, a step, a target (rest-api.md 16.1).
package struct ActivityNode: Codable, Hashable, Sendable {
    package enum Status: String, Codable, Sendable {
        case pending = "Pending"
        case running = "Running"
        case success = "Success"
        case failed = "Failed"
        case skipped = "Skipped"
        case successWithWarning = "SuccessWithWarning"
        case canceled = "Canceled"
    }

    package var id: String
    package var taskID: String
    package var parentID: String?
    package var name: String
    package var status: Status
    package var started: Date?
    package var ended: Date?
    package var showAtSummaryLevel: Bool
    package var progressPercentage: Int
    package var progressMessage: String

    package init(id: String, taskID: String, parentID: String?, name: String, showAtSummaryLevel: Bool) {
        (self.id, self.taskID, self.parentID, self.name) = (id, taskID, parentID, name)
        (self.status, self.showAtSummaryLevel) = (.pending, showAtSummaryLevel)
        (self.progressPercentage, self.progressMessage) = (0, "")
    }

    package mutating func start(at now: Date) {
        guard status == .pending else { return }
        (status, started) = (.running, now)
    }

    package mutating func end(_ status: Status, at now: Date) {
        self.status = status
        if started == nil { started = now }
        ended = now
        if status == .success || status == .successWithWarning { progressPercentage = 100 }
    }
}

/// One line of a task's log.
package struct TaskLogEntry: Hashable, Sendable {
    package enum Category: String, Codable, Sendable {
        case verbose = "Verbose"
        case info = "Info"
        case highlight = "Highlight"
        case wait = "Wait"
        case warning = "Warning"
        case error = "Error"
        case fatal = "Fatal"

        package var isWarningOrWorse: Bool { self == .warning || self == .error || self == .fatal }
    }

    package var nodeID: String
    package var category: Category
    package var occurredAt: Date
    package var text: String
    /// Position in the task's log, from 1; given by the store.
    package var sequence: Int64

    package init(nodeID: String, category: Category, occurredAt: Date, text: String, sequence: Int64 = 0) {
        (self.nodeID, self.category, self.occurredAt) = (nodeID, category, occurredAt)
        (self.text, self.sequence) = (text, sequence)
    }
}
