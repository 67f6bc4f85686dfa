import Foundation
import ProcessTesting
import Testing

/// A running `tentacle-server`, driven over its REST API as `curl` would.
struct ServerUnderTest: Sendable {
    let address: String
    let pollingPort: Int
    let keyFile: String
    let program: RunningProgram
    private let key: String

    /// What the server says when it is ready.
    private struct Ready: Decodable {
        var httpUrl: String
        var pollingPort: Int
        var apiKeyFile: String
    }

    init(ready: Data, program: RunningProgram) throws {
        let ready = try JSONDecoder().decode(Ready.self, from: ready)
        address = ready.httpUrl
        pollingPort = ready.pollingPort
        keyFile = ready.apiKeyFile
        key = try String(contentsOfFile: keyFile, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        self.program = program
    }

    @discardableResult
    func get(_ path: String) async throws -> JSON {
        try await call("GET", path)
    }

    @discardableResult
    func post(_ path: String, _ body: JSON) async throws -> JSON {
        try await call("POST", path, body)
    }

    @discardableResult
    func put(_ path: String, _ body: JSON) async throws -> JSON {
        try await call("PUT", path, body)
    }

    /// A response that is text, whatever its status.
    func text(_ path: String) async throws -> String {
        try await curl(["-H", "X-Octopus-ApiKey: \(key)", address + path])
    }

    /// The status that a request without a key gets.
    func statusWithoutKey(_ path: String) async throws -> String {
        try await curl(["-o", "/dev/null", "-w", "%{http_code}", address + path])
    }

    /// Creates a project with one Run a Script step for the role `web-server`; returns its id.
    func createProject(_ name: String, script: String) async throws -> String {
        let project: JSON = ["Name": .string(name), "ProjectGroupId": "ProjectGroups-1", "LifecycleId": "Lifecycles-1"]
        let id = try #require(try await post("/api/Spaces-1/projects", project)["Id"]?.text)
        let path = "/api/Spaces-1/deploymentprocesses/deploymentprocess-\(id)"
        var process = try await get(path)
        process["Steps"] = [
            [
                "Name": "Run it", "Condition": "Success", "StartTrigger": "StartAfterPrevious",
                "Properties": ["Octopus.Action.TargetRoles": "web-server"],
                "Actions": [
                    [
                        "Name": "Run it", "ActionType": "Octopus.Script",
                        "Properties": [
                            "Octopus.Action.RunOnServer": "false", "Octopus.Action.Script.ScriptSource": "Inline",
                            "Octopus.Action.Script.Syntax": "Bash",
                            "Octopus.Action.Script.ScriptBody": .string(script),
                        ],
                    ]
                ],
            ]
        ]
        try await put(path, process)
        return id
    }

    /// Creates a release and deploys it to Test; returns the task's id.
    func deploy(_ project: String) async throws -> String {
        let names: JSON = ["spaceId": "Spaces-1", "spaceIdOrName": "Spaces-1", "projectName": .string(project)]
        let release = try await post("/api/Spaces-1/releases/create/v1", names)
        var deployment = names
        deployment["releaseVersion"] = release["ReleaseVersion"]
        deployment["environmentNames"] = ["Test"]
        let created = try await post("/api/Spaces-1/deployments/create/untenanted/v1", deployment)
        return try #require(created["DeploymentServerTasks"]?.first?["ServerTaskId"]?.text, "\(created)")
    }

    /// Waits for the end of a task on its event stream, which ends with it; returns its state and its log.
    func finish(_ task: String) async throws -> (state: String, log: String) {
        _ = try await text("/tasks/\(task)/events")
        let state = try #require(try await get("/api/tasks/\(task)")["State"]?.text)
        return (state, try await text("/api/tasks/\(task)/raw"))
    }

    @discardableResult
    private func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> JSON {
        var arguments = ["-X", method, "-H", "X-Octopus-ApiKey: \(key)", "-H", "Content-Type: application/json"]
        if let body {
            arguments += ["--data-binary", String(decoding: try JSONEncoder().encode(body), as: UTF8.self)]
        }
        return try JSONDecoder().decode(JSON.self, from: Data(try await curl(arguments + [address + path]).utf8))
    }

    private func curl(_ arguments: [String]) async throws -> String {
        let outcome = try await RunningProgram(
            "/usr/bin/curl",
            ["-sSN", "--max-time", "120"] + arguments
        ).outcome()
        try #require(outcome.status == 0, "curl \(arguments.last ?? ""): \(outcome.errors)")
        return outcome.output
    }
}
