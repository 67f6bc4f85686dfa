import Foundation
import ServerDomain
import ServerStore
import TentacleContracts

/// Asks machines how they are with a small script, and remembers the answer (tentacle-services.md 16).
struct HealthCheck: Sendable {
    let environment: TaskEnvironment
    let task: ServerTask

    func run() async throws -> TaskOutcome {
        let ids = task.machineIDs
        let machines = try await environment.store.read { tx in try ids.compactMap { try tx.agent(id: $0) } }
        guard !machines.isEmpty else { return .failed("The machines to check no longer exist.") }
        let stepID = "\(task.rootNodeID)/\(RandomText.lowercased(8))"
        let work = machines.map { (machine: $0, nodeID: "\(stepID)/\(RandomText.lowercased(6))") }
        let recorder = environment.recorder
        let step = ActivityNode(
            id: stepID,
            taskID: task.id,
            parentID: task.rootNodeID,
            name: machines.allSatisfy { $0 is Worker } ? "Check workers" : "Check deployment targets",
            showAtSummaryLevel: true
        )
        try await recorder.add(
            [step]
                + work.map {
                    ActivityNode(
                        id: $0.nodeID,
                        taskID: task.id,
                        parentID: stepID,
                        name: $0.machine.name,
                        showAtSummaryLevel: false
                    )
                }
        )
        try await recorder.start(stepID)
        let results = try await inParallel(work, limit: DeploymentExecution.defaultParallelism) { item in
            try await check(item.machine, nodeID: item.nodeID)
        }
        let result = NodeResult.combined(results)
        try await recorder.end(stepID, result.status)
        switch result {
        case .success, .warning: return .success
        case .canceled: return .canceled
        case .failed(let reason): return .failed(reason)
        }
    }

    private func check(_ machine: any KnownAgent, nodeID: String) async throws -> NodeResult {
        try await environment.recorder.start(nodeID)
        // No isolation: a health check never waits behind a deployment.
        let (result, log) = try await environment.runScript(
            Self.script,
            on: machine,
            nodeID: nodeID,
            isolation: .noIsolation
        )
        try await environment.recorder.end(nodeID, result.status)
        if result == .canceled { return result }
        try await remember(result, variables: log.variables, machineID: machine.id)
        return result
    }

    private func remember(_ result: NodeResult, variables: [String: String], machineID: String) async throws {
        try await environment.store.write { tx in
            guard var machine = try tx.agent(id: machineID) else { return }
            machine.lastChecked = Date()
            switch result {
            case .success: machine.health = .healthy
            case .warning: machine.health = .hasWarnings
            default: machine.health = variables.isEmpty ? .unavailable : .unhealthy
            }
            machine.healthSummary =
                if case .failed(let reason) = result { "The last health check failed. \(reason)" } else {
                    "The server was able to run a script on this machine."
                }
            if !variables.isEmpty {
                machine.facts.operatingSystem = variables["OperatingSystem"]
                machine.facts.shellName = "Bash"
                machine.facts.shellVersion = variables["ShellVersion"]
                machine.facts.architecture = variables["Architecture"]
            }
            try tx.update(machine)
        }
    }

    /// Prints what the operator wants to see, and sets what the machine's page shows.
    static let script = #"""
        fact() { printf "##octopus[setVariable name='%s' value='%s']\n" "$(printf %s "$1" | base64 | tr -d '\n')" "$(printf %s "$2" | base64 | tr -d '\n')"; }
        system=$(. /etc/os-release 2>/dev/null && printf %s "$PRETTY_NAME")
        [ -n "$system" ] || system=$(uname -sr)
        echo "Host name: $(uname -n)"
        echo "User: $(id -un 2>/dev/null || id -u)"
        echo "Operating system: $system ($(uname -sr))"
        echo "Shell: bash $BASH_VERSION"
        fact OperatingSystem "$system"
        fact ShellVersion "$BASH_VERSION"
        fact Architecture "$(uname -m)"
        """#
}
