import DeploymentServer
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServerDomain
import ServerStore
import Synchronization
import Testing

/// A whole server without ports, in a folder of its own that is gone afterwards.
struct TestServer: Sendable {
    let store: Store
    let runner: TaskRunner
    let gateway: FakeGateway
    let entrance: HTTPEntrance
    let key: String

    static func with(
        _ gateway: FakeGateway = FakeGateway(),
        retry: RetryPolicy = .none,
        runTasks: Bool = true,
        _ body: @Sendable @escaping (TestServer) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("server-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try Store(path: folder.appendingPathComponent("server.sqlite").path)
        let key = Mutex("")
        try await FirstStart.prepare(store) { text in key.withLock { $0 = text } }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let runner = TaskRunner(store: store, gateway: gateway, retry: retry, logger: logger)
        let services = ServerServices(
            store: store,
            runner: runner,
            agents: gateway,
            identity: ServerCertificate(
                thumbprint: String(repeating: "A", count: 40),
                signatureAlgorithm: "sha256RSA",
                der: []
            ),
            installationID: try await FirstStart.installationID(store)
        )
        let server = TestServer(
            store: store,
            runner: runner,
            gateway: gateway,
            entrance: try HTTPEntrance(services: services, logger: logger),
            key: key.withLock { $0 }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            if runTasks { group.addTask { try await runner.run() } }
            defer { group.cancelAll() }
            try await body(server)
        }
        try store.close()
    }

    // MARK: Requests

    func send(
        _ method: String,
        _ path: String,
        _ body: String? = nil,
        headers: HTTPFields = [:],
        key: String?
    ) async -> Response {
        var fields = headers
        if let key, let name = HTTPField.Name("X-Octopus-ApiKey") { fields[name] = key }
        let head = HTTPRequest(
            method: HTTPRequest.Method(method) ?? .get,
            scheme: "http",
            authority: "test",
            path: path,
            headerFields: fields
        )
        let content = RequestBody(buffer: ByteBuffer(string: body ?? ""))
        return await entrance.respond(to: Request(head: head, body: content))
    }

    /// A request to the API with the administrator's key.
    @discardableResult
    func api(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        expecting status: Int = 200,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> JSONValue {
        let text = body.map { String(decoding: $0.serialized(), as: UTF8.self) }
        let response = await send(method, path, text, key: key)
        let answer = try await response.text()
        #expect(response.status.code == status, "\(method) \(path): \(answer)", sourceLocation: sourceLocation)
        return answer.isEmpty ? .null : try JSONValue(parsing: answer)
    }

    // MARK: What most tests need

    /// An environment, a project with one script step for the role `web`, and machines.
    func makeProject(script: String = "echo hello", machines: [String] = ["web01"]) async throws {
        try await api("POST", "/api/Spaces-1/environments", ["Name": "Test"], expecting: 201)
        let project: JSONValue = ["Name": "Web", "ProjectGroupId": "ProjectGroups-1", "LifecycleId": "Lifecycles-1"]
        try await api("POST", "/api/Spaces-1/projects", project, expecting: 201)
        try await setProcess(script: script, version: 0)
        for name in machines { try await addMachine(name) }
    }

    func setProcess(script: String, version: Int64, role: String = "web") async throws {
        let step: JSONValue = [
            "Name": "Say hello", "Properties": ["Octopus.Action.TargetRoles": .string(role)],
            "Actions": [
                [
                    "ActionType": "Octopus.Script",
                    "Properties": [
                        "Octopus.Action.Script.Syntax": "Bash", "Octopus.Action.Script.ScriptBody": .string(script),
                    ],
                ]
            ],
        ]
        let path = "/api/Spaces-1/deploymentprocesses/deploymentprocess-Projects-1"
        try await api("PUT", path, ["Version": .integer(version), "Steps": [step]])
    }

    static func machine(_ name: String, style: String = "TentaclePassive", uri: String? = nil) -> JSONValue {
        [
            "Name": .string(name), "EnvironmentIds": ["Environments-1"], "Roles": ["web"],
            "SkipInitialHealthCheck": true,
            "Endpoint": [
                "CommunicationStyle": .string(style), "Uri": .string(uri ?? "https://\(name):10933/"),
                "Thumbprint": .string(String(repeating: "b", count: 40)),
            ],
        ]
    }

    @discardableResult
    func addMachine(_ name: String) async throws -> JSONValue {
        try await api("POST", "/api/Spaces-1/machines", Self.machine(name), expecting: 201)
    }

    /// Makes a release and deploys it; the task's id.
    func deploy() async throws -> String {
        let release = try await api("POST", "/api/Spaces-1/releases/create/v1", ["projectName": "Web"])
        let wish: JSONValue = [
            "projectName": "web", "releaseVersion": release.members?["ReleaseVersion"] ?? nil,
            "environmentNames": ["Test"],
        ]
        let answer = try await api("POST", "/api/Spaces-1/deployments/create/untenanted/v1", wish)
        let first = try #require(answer.members?["DeploymentServerTasks"]?.items?.first?.members)
        return try #require(first.text("ServerTaskId"))
    }

    /// Waits for the end of a task, without polling; its details.
    func finished(_ taskID: String) async throws -> TaskDetails {
        let changes = runner.hub.changes(of: taskID)
        while true {
            let details = TaskDetails(json: try await api("GET", "/api/tasks/\(taskID)/details"))
            if details.isCompleted { return details }
            for await _ in changes { break }
        }
    }
}

/// An answer of `tasks/{id}/details`.
struct TaskDetails {
    let json: JSONValue

    var task: JSONObject { json.members?["Task"]?.members ?? [:] }
    var state: String { task.text("State") ?? "" }
    var error: String { task.text("ErrorMessage") ?? "" }
    var isCompleted: Bool { task.flag("IsCompleted") }
    var root: JSONObject { json.members?["ActivityLogs"]?.items?.first?.members ?? [:] }
    var steps: [JSONObject] { Self.children(root) }
    var targets: [JSONObject] { steps.flatMap(Self.children) }

    static func children(_ node: JSONObject) -> [JSONObject] { node["Children"]?.items?.compactMap(\.members) ?? [] }

    static func lines(_ node: JSONObject, category: String? = nil) -> [String] {
        let elements = node["LogElements"]?.items?.compactMap(\.members) ?? []
        return elements.filter { category == nil || $0.text("Category") == category }.compactMap {
            $0.text("MessageText")
        }
    }
}

extension JSONObject {
    func flag(_ name: String) -> Bool { self[name]?.truth ?? false }
}

extension Response {
    /// The whole body; returns when the handler has finished it.
    func text() async throws -> String {
        let collected = Mutex("")
        let writer = BodyCollector { buffer in collected.withLock { $0 += String(buffer: buffer) } }
        try await body.write(writer)
        return collected.withLock { $0 }
    }
}

/// Hands each part of a body on.
struct BodyCollector: ResponseBodyWriter {
    let onPart: @Sendable (ByteBuffer) -> Void

    mutating func write(_ buffer: ByteBuffer) async throws { onPart(buffer) }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
