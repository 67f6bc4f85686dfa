import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// Server tasks, their tree and log (rest-api.md 16).
struct TaskAPI: Sendable {
    /// A details answer holds at most this many lines, the last ones; the raw log and the page have them all.
    static let maximumDetailLines = 100_000
    private static let template = "{/id}{?skip,active,environment,project,name,running,states,take,ids,spaces}"

    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        routes.space(.get, "tasks") { call in .json(try await page(call)) }
        routes.space(.get, "tasks/taskTypes") { _ in
            .json(
                .array(
                    [ServerTask.Kind.deploy, .health].map {
                        ["Id": .string($0.rawValue), "Name": .string($0.rawValue)]
                    }
                )
            )
        }
        routes.space(.get, "tasks/:id") { call in .json(Self.json(try await task(call))) }
        routes.space(.get, "tasks/:id/details") { call in .json(try await details(call)) }
        routes.space(.get, "tasks/:id/raw") { call in .text(try await rawLog(call)) }
        routes.space(.get, "tasks/:id/queued-behind") { call in
            .json(APIPage.json([], of: "Task", call: call, template: "{?skip}"))
        }
        routes.space(.post, "tasks") { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.post, "tasks/:id/cancel") { call in .json(Self.json(try await cancel(call))) }
    }

    private func task(_ call: APICall) async throws -> ServerTask {
        let id = call.parameter("id")
        guard let task = try await services.store.read({ try $0.find(ServerTask.self, id: id) }) else {
            throw APIError.notFound(id)
        }
        return task
    }

    private func page(_ call: APICall) async throws -> JSONValue {
        let query = call.query
        let all = try await services.store.read { try $0.all(ServerTask.self, newestFirst: true) }
        func allows(_ filter: String, _ value: String?) -> Bool {
            query.list(filter)?.contains { $0.equalsIgnoringASCIICase(value ?? "") } ?? true
        }
        let items = all.filter { task in
            allows("ids", task.id) && allows("states", task.state.rawValue) && allows("name", task.kind.rawValue)
                && allows("project", task.projectID) && allows("environment", task.environmentID)
                && allows("spaces", task.spaceID)
                && (query["active"]?.lowercased() != "true" || !task.state.isCompleted)
                && (query["running"]?.lowercased() != "true" || task.state == .executing || task.state == .cancelling)
        }
        let page = APIPage.json(items.map(Self.json), of: "Task", call: call, template: Self.template)
        var counts = JSONObject()
        for state in ServerTask.State.allCases {
            counts[state.rawValue] = .integer(Int64(all.count { $0.state == state }))
        }
        var object = page.members ?? [:]
        object["TotalCounts"] = .object(counts)
        object["TotalCountsInOtherSpaces"] = [:]
        return .object(object)
    }

    private func cancel(_ call: APICall) async throws -> ServerTask {
        let id = call.parameter("id")
        switch try await services.runner.cancel(id) {
        case nil: throw APIError.notFound(id)
        case .success(let task)?: return task
        case .failure(let over)?:
            throw APIError.invalid("The task '\(id)' is over (\(over.state.rawValue)) and cannot be canceled.")
        }
    }

    /// Health checks on demand; other kinds of tasks have no meaning here.
    private func create(_ call: APICall) async throws -> ServerTask {
        let body = try call.body()
        guard body.text("Name") == ServerTask.Kind.health.rawValue else {
            throw APIError.invalid("Only 'Health' tasks can be created here, not '\(body.text("Name") ?? "")'.")
        }
        let arguments = body["Arguments"]?.members ?? [:]
        let wanted = try arguments.list("MachineIds")
        let spaceID = call.spaceID
        let task = try await services.store.write { tx -> ServerTask in
            let ids =
                try wanted.isEmpty
                ? Self.machineIDs(arguments, in: spaceID, tx)
                : Self.existing(wanted, in: spaceID, tx)
            guard !ids.isEmpty else { throw APIError.invalid("There are no machines to check.") }
            return try ServerTask.queue(
                .health,
                body.filled("Description") ?? "Check the health of \(ids.count) machine(s)",
                arguments: arguments.merging(["MachineIds": JSONValue(ids)]),
                spaceID: spaceID,
                tx
            )
        }
        services.runner.wake()
        return task
    }

    private static func existing(_ ids: [String], in spaceID: String, _ tx: StoreTransaction) throws -> [String] {
        try ids.map { id in
            guard let agent = try tx.agent(id: id), agent.spaceID == spaceID else {
                throw APIError.invalid("The machine '\(id)' does not exist.")
            }
            return agent.id
        }
    }

    /// All that are enabled, of an environment, a worker pool or one kind if the arguments say so; targets otherwise.
    private static func machineIDs(
        _ arguments: JSONObject,
        in spaceID: String,
        _ tx: StoreTransaction
    ) throws -> [String] {
        let environment = arguments.filled("EnvironmentId")
        let pool = arguments.filled("WorkerpoolId")
        let wantsWorkers = pool != nil || arguments.text("RestrictedTo") == "Workers"
        return try tx.agents(where: [("spaceId", .text(spaceID))]).filter { agent in
            switch agent {
            case let worker as Worker: wantsWorkers && (pool.map(worker.poolIDs.contains) ?? true)
            case let target as DeploymentTarget:
                !wantsWorkers && (environment.map(target.environmentIDs.contains) ?? true)
            default: false
            }
        }
        .filter { !$0.isDisabled }.map(\.id)
    }

    // MARK: Details

    private func details(_ call: APICall) async throws -> JSONValue {
        let found = try await task(call)
        let tail = call.query.number("tail")
        let (task, nodes, entries, size) = try await services.store.read { tx in
            // All from one state of the database: a task that is completed here has its whole log here.
            let task = try tx.find(ServerTask.self, id: found.id) ?? found
            let last = try tx.lastSequence(taskID: task.id)
            return (
                task, try tx.nodes(taskID: task.id),
                try tx.log(
                    taskID: task.id,
                    after: max(0, last - Int64(Self.maximumDetailLines)),
                    limit: Self.maximumDetailLines
                ), try tx.logSize(taskID: task.id)
            )
        }
        var current = task
        if !task.state.isCompleted, let last = entries.last {
            current.lastUpdated = max(task.lastUpdated, last.occurredAt)
            current.hasWarningsOrErrors = task.hasWarningsOrErrors || entries.contains { $0.category.isWarningOrWorse }
        }
        let tree = ActivityTree(nodes: nodes, entries: entries, tail: tail)
        return [
            "Task": Self.json(current), "ActivityLogs": .array(tree.roots), "PhysicalLogSize": .integer(Int64(size)),
            "Progress": [
                "ProgressPercentage": .integer(task.state.isCompleted ? 100 : Int64(tree.progress)),
                "EstimatedTimeRemaining": "",
            ],
            "Links": ["Self": "/api/tasks/\(task.id)/details{?verbose,tail}"],
        ]
    }

    private func rawLog(_ call: APICall) async throws -> String {
        let task = try await task(call)
        let (nodes, entries) = try await services.store.read { tx in
            (try tx.nodes(taskID: task.id), try tx.log(taskID: task.id, after: 0, limit: Int.max))
        }
        return RawLog.text(task, nodes: nodes, entries: entries)
    }

    // MARK: JSON

    static func json(_ task: ServerTask) -> JSONValue {
        let path = "/api/tasks/\(task.id)"
        let space = "/api/\(task.spaceID)"
        return [
            "Id": .string(task.id), "SpaceId": .string(task.spaceID), "ProjectId": JSONValue(orNull: task.projectID),
            "Name": .string(task.kind.rawValue), "Description": .string(task.description),
            "Arguments": .object(task.arguments), "State": .string(task.state.rawValue),
            "Completed": .string(task.completedText), "QueueTime": WireTime.json(task.queueTime),
            "QueueTimeExpiry": nil,
            "StartTime": WireTime.json(task.startTime), "LastUpdatedTime": WireTime.json(task.lastUpdated),
            "CompletedTime": WireTime.json(task.completedTime), "ServerNode": "companion",
            "Duration": .string(task.durationText), "ErrorMessage": .string(task.errorMessage),
            "HasBeenPickedUpByProcessor": .bool(task.startTime != nil), "IsCompleted": .bool(task.state.isCompleted),
            "FinishedSuccessfully": .bool(task.state == .success), "HasPendingInterruptions": false,
            "PendingInterruptionTypes": [], "PendingPreconditionTypes": [], "CanRerun": false,
            "HasWarningsOrErrors": .bool(task.hasWarningsOrErrors), "EstimatedRemainingQueueDurationSeconds": 0,
            "UnmetPreconditions": nil, "ReasonForState": nil,
            "Links": [
                "Self": .string(path), "Web": "/tasks/\(task.id)", "Raw": "\(path)/raw",
                "Details": "\(path)/details{?verbose,tail}", "Cancel": "\(path)/cancel", "State": "\(path)/state",
                "QueuedBehind": "\(path)/queued-behind{?skip}", "Artifacts": "\(space)/artifacts?regarding=\(task.id)",
                "Interruptions": "\(space)/interruptions?regarding=\(task.id)",
            ],
        ]
    }
}

extension ServerTask {
    fileprivate var completedText: String {
        guard let completedTime else { return startTime == nil ? "Queued..." : "Executing..." }
        return WireTime.text(completedTime)
    }

    var durationText: String {
        guard let startTime else { return "" }
        let seconds = Int((completedTime ?? Date()).timeIntervalSince(startTime).rounded())
        if seconds < 60 { return seconds == 1 ? "1 second" : "\(seconds) seconds" }
        return "\(seconds / 60) min \(seconds % 60) s"
    }
}

/// The tree of `ActivityLogs` (rest-api.md 16.1).
struct ActivityTree {
    private let children: [String: [ActivityNode]]
    private let entries: [String: [TaskLogEntry]]
    private let tail: Int?
    private let rootNodes: [ActivityNode]
    let progress: Int

    init(nodes: [ActivityNode], entries: [TaskLogEntry], tail: Int?) {
        rootNodes = nodes.filter { $0.parentID == nil }
        children = Dictionary(grouping: nodes.filter { $0.parentID != nil }) { $0.parentID ?? "" }
        self.entries = Dictionary(grouping: entries, by: \.nodeID)
        self.tail = tail
        let parents = Set(nodes.compactMap(\.parentID))
        let leaves = nodes.filter { !parents.contains($0.id) && $0.parentID != nil }
        progress = leaves.isEmpty ? 0 : leaves.count { $0.ended != nil } * 100 / leaves.count
    }

    var roots: [JSONValue] { rootNodes.map(json) }

    private func json(_ node: ActivityNode) -> JSONValue {
        let own = entries[node.id] ?? []
        let shown = tail.map { Array(own.suffix($0)) } ?? own
        return [
            "Id": .string(node.id), "Name": .string(node.name), "Status": .string(node.status.rawValue),
            "Started": WireTime.json(node.started), "Ended": WireTime.json(node.ended),
            "ShowAtSummaryLevel": .bool(node.showAtSummaryLevel),
            "ProgressPercentage": .integer(Int64(node.progressPercentage)),
            "ProgressMessage": .string(node.progressMessage), "LogElements": .array(shown.map(json)),
            "Children": .array((children[node.id] ?? []).map(json)),
        ]
    }

    private func json(_ entry: TaskLogEntry) -> JSONValue {
        [
            "Category": .string(entry.category.rawValue), "OccurredAt": WireTime.json(entry.occurredAt),
            "MessageText": .string(entry.text), "Detail": nil, "Number": .integer(entry.sequence),
        ]
    }
}

/// The whole log as text, lines in the order they came, with a header whenever the node changes.
///
/// Lines are only ever added at the end, so that a reader can fetch it again and show what is new.
enum RawLog {
    static func text(_ task: ServerTask, nodes: [ActivityNode], entries: [TaskLogEntry]) -> String {
        var result = "Task ID:   \(task.id)\nTask name: \(task.description)\n"
        let names = Dictionary(nodes.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
        var current: String?
        for entry in entries {
            if entry.nodeID != current {
                result += "\n                    | == \(names[entry.nodeID] ?? entry.nodeID) ==\n"
                current = entry.nodeID
            }
            result += line(entry) + "\n"
        }
        return result
    }

    /// `<HH:mm:ss>   <category padded to 8> |       <message>` (rest-api.md 16.1).
    static func line(_ entry: TaskLogEntry) -> String {
        let category = entry.category.rawValue
        let padding = String(repeating: " ", count: max(0, 8 - category.count))
        return
            "\(WireTime.text(entry.occurredAt).dropFirst(11).prefix(8))   \(category)\(padding) |       \(entry.text)"
    }
}
