import Foundation
import ServerDomain
import ServerStore
import TentacleContracts

/// Carries out a deployment: steps in order, each on its targets in parallel (deployment-steps.md 6.1).
struct DeploymentExecution: Sendable {
    /// How many targets, or steps of one group, work at once.
    static let defaultParallelism = 10

    let environment: TaskEnvironment
    let task: ServerTask

    /// Everything the deployment refers to, as it was at one moment.
    private struct Facts: Sendable {
        var deployment: Deployment
        var release: Release
        var project: Project
        var target: DeploymentEnvironment
        var plan: DeploymentPlan
    }

    private struct StepNode: Sendable {
        var number: Int
        var step: DeploymentPlan.PlannedStep
        var nodeID: String
    }

    func run() async throws -> TaskOutcome {
        guard let facts = try await load() else {
            return .failed("The deployment, its release or its environment no longer exists.")
        }
        guard !facts.plan.activeSteps.isEmpty else {
            return .failed("The process of \(facts.project.name) \(facts.release.version) has no step to run.")
        }
        let policy = facts.project.echoed["ProjectConnectivityPolicy"]?.members
        let allowsNone = policy?["AllowDeploymentsToNoTargets"]?.truth ?? false
        guard allowsNone || !facts.plan.targetIDs.isEmpty else {
            return .failed(Self.noTargets(facts.plan, in: facts.target))
        }
        let steps = facts.plan.activeSteps.enumerated().map { index, step in
            StepNode(number: index + 1, step: step, nodeID: "\(task.rootNodeID)/\(RandomText.lowercased(8))")
        }
        try await environment.recorder.add(
            steps.map {
                ActivityNode(
                    id: $0.nodeID,
                    taskID: task.id,
                    parentID: task.rootNodeID,
                    name: "Step \($0.number): \($0.step.step.name)",
                    showAtSummaryLevel: true
                )
            }
        )
        return try await run(steps, facts: facts)
    }

    static func noTargets(_ plan: DeploymentPlan, in environment: DeploymentEnvironment) -> String {
        let roles = plan.unfilledRoles.map { "'\($0)'" }.joined(separator: ", ")
        if roles.isEmpty {
            return """
                No step says where it runs: set the property \(PropertyName.targetRoles) of the step to a role \
                that machines in the environment '\(environment.name)' have.
                """
        }
        return """
            There are no machines in the environment '\(environment.name)' with the role \(roles). \
            Register one with 'tentacle register --environment \(environment.name) --role …', or enable it.
            """
    }

    private func load() async throws -> Facts? {
        let task = self.task
        return try await environment.store.read { tx in
            guard let id = task.deploymentID, let deployment = try tx.find(Deployment.self, id: id),
                let release = try tx.find(Release.self, id: deployment.releaseID),
                let project = try tx.find(Project.self, id: deployment.projectID),
                let target = try tx.find(DeploymentEnvironment.self, id: deployment.environmentID),
                let process = try tx.find(DeploymentProcess.self, id: release.processSnapshotID)
            else { return nil }
            let plan = DeploymentPlan(
                process: process,
                environmentID: target.id,
                channelID: release.channelID,
                targets: try tx.all(DeploymentTarget.self, where: [("spaceId", .text(deployment.spaceID))]),
                selection: deployment.selection,
                skippedActionIDs: deployment.skippedActionIDs
            )
            return Facts(deployment: deployment, release: release, project: project, target: target, plan: plan)
        }
    }

    // MARK: Steps

    private func run(_ steps: [StepNode], facts: Facts) async throws -> TaskOutcome {
        var results: [NodeResult] = []
        for group in Self.groups(of: steps) {
            // A group's members are judged by the state before the group.
            let before = NodeResult.combined(results)
            results += try await inParallel(group, limit: Self.defaultParallelism) { node in
                try await run(node, after: before, facts: facts)
            }
        }
        switch NodeResult.combined(results) {
        case .success, .warning: return .success
        case .canceled: return .canceled
        case .failed(let reason): return environment.cancel.isCancelled ? .canceled : .failed(reason)
        }
    }

    /// Steps that start with their predecessor form a group with it.
    private static func groups(of steps: [StepNode]) -> [[StepNode]] {
        steps.reduce(into: []) { groups, step in
            if step.step.step.startTrigger == .startWithPrevious, !groups.isEmpty {
                groups[groups.count - 1].append(step)
            } else {
                groups.append([step])
            }
        }
    }

    private func run(_ node: StepNode, after before: NodeResult, facts: Facts) async throws -> NodeResult {
        let recorder = environment.recorder
        if let reason = skipReason(node.step, after: before) {
            try await recorder.log(node.nodeID, reason.category, reason.text)
            try await recorder.end(node.nodeID, .skipped)
            return reason.result
        }
        try await recorder.start(node.nodeID)
        let result = try await runTargets(of: node, facts: facts)
        try await recorder.end(node.nodeID, result.status)
        return result
    }

    private struct SkipReason {
        var category: TaskLogEntry.Category
        var text: String
        var result: NodeResult
    }

    private func skipReason(_ step: DeploymentPlan.PlannedStep, after before: NodeResult) -> SkipReason? {
        if environment.cancel.isCancelled || before == .canceled {
            return SkipReason(category: .info, text: "Skipped: the task was canceled.", result: .canceled)
        }
        let hasFailed = if case .failed = before { true } else { false }
        switch step.step.condition {
        case .success where hasFailed:
            return SkipReason(category: .info, text: "Skipped: a previous step failed.", result: .success)
        case .failure where !hasFailed:
            return SkipReason(category: .info, text: "Skipped: no previous step failed.", result: .success)
        case .variable:
            let text = "Skipped: run conditions by variable expression are not supported by this server yet."
            return SkipReason(category: .warning, text: text, result: .warning)
        default: break
        }
        guard step.targets.isEmpty else { return nil }
        let roles = step.step.targetRoles.joined(separator: ", ")
        let text = "Skipped: there are no machines with the role '\(roles)' in this environment."
        return SkipReason(category: .warning, text: text, result: .warning)
    }

    // MARK: Targets

    /// The place of one action on one target in the tree.
    private struct Slot: Sendable {
        var action: DeploymentAction
        var nodeID: String
        var parentID: String
    }

    private func runTargets(of node: StepNode, facts: Facts) async throws -> NodeResult {
        let actions = node.step.actions
        var parents: [String: String] = [:]
        if actions.count > 1 {
            for action in actions { parents[action.id] = "\(node.nodeID)/\(RandomText.lowercased(4))" }
            try await environment.recorder.add(
                actions.enumerated().map { index, action in
                    activity(
                        parents[action.id] ?? node.nodeID,
                        under: node.nodeID,
                        "Step \(node.number).\(index + 1): \(action.name)"
                    )
                }
            )
        }
        let work = node.step.targets.map { target in
            (
                target: target,
                slots: actions.map { action in
                    let parent = parents[action.id] ?? node.nodeID
                    return Slot(action: action, nodeID: "\(parent)/\(RandomText.lowercased(6))", parentID: parent)
                }
            )
        }
        try await environment.recorder.add(
            work.flatMap { item in item.slots.map { activity($0.nodeID, under: $0.parentID, item.target.name) } }
        )
        let limit = node.step.step.properties.text(PropertyName.maximumParallelism).flatMap { Int($0) }
        let results = try await inParallel(work, limit: limit ?? Self.defaultParallelism) { item in
            try await run(item.slots, on: item.target, step: node, facts: facts)
        }
        if actions.count > 1 {
            try await endActions(parents.values.map(\.self), results: results.flatMap(\.self), work.flatMap(\.slots))
        }
        return .combined(results.flatMap(\.self))
    }

    private func activity(_ id: String, under parentID: String, _ name: String) -> ActivityNode {
        ActivityNode(id: id, taskID: task.id, parentID: parentID, name: name, showAtSummaryLevel: false)
    }

    private func endActions(_ parents: [String], results: [NodeResult], _ slots: [Slot]) async throws {
        for parent in parents {
            let own = zip(results, slots).filter { $0.1.parentID == parent }.map(\.0)
            try await environment.recorder.end(parent, NodeResult.combined(own).status)
        }
    }

    /// All actions of a step on one target, in order; after a failure the rest is not run.
    private func run(
        _ slots: [Slot],
        on target: DeploymentTarget,
        step: StepNode,
        facts: Facts
    ) async throws -> [NodeResult] {
        var results: [NodeResult] = []
        for slot in slots {
            if case .failed = NodeResult.combined(results) {
                try await environment.recorder.end(slot.nodeID, .skipped)
                results.append(.success)
                continue
            }
            if slot.parentID != step.nodeID { try await environment.recorder.start(slot.parentID) }
            try await environment.recorder.start(slot.nodeID)
            let result = try await run(slot, on: target, step: step, facts: facts)
            try await environment.recorder.end(slot.nodeID, result.status)
            results.append(result)
        }
        return results
    }

    private func run(_ slot: Slot, on target: DeploymentTarget, step: StepNode, facts: Facts) async throws -> NodeResult
    {
        if environment.cancel.isCancelled { return .canceled }
        let script: InlineScript
        do { script = try InlineScript(slot.action) } catch {
            try await environment.recorder.log(slot.nodeID, .error, error.description)
            return .failed("\(target.name): \(error)")
        }
        let bindings = variables(facts, target: target, step: step, action: slot.action)
        let body = VariableBinding.substitute(bindings, in: script.body)
        return try await environment.runScript(body, on: target, nodeID: slot.nodeID, isolation: .fullIsolation).result
    }

    /// The well-known variables that are bound by plain `#{Name}` (deployment-steps.md 4.2).
    private func variables(
        _ facts: Facts,
        target: DeploymentTarget,
        step: StepNode,
        action: DeploymentAction
    ) -> [String: String] {
        [
            "Octopus.Project.Id": facts.project.id, "Octopus.Project.Name": facts.project.name,
            "Octopus.Release.Id": facts.release.id, "Octopus.Release.Number": facts.release.version,
            "Octopus.Release.Notes": facts.release.releaseNotes ?? "",
            "Octopus.Deployment.Id": facts.deployment.id, "Octopus.Deployment.Name": facts.deployment.name,
            "Octopus.Deployment.CreatedBy.Username": facts.deployment.deployedBy,
            "Octopus.Environment.Id": facts.target.id, "Octopus.Environment.Name": facts.target.name,
            "Octopus.Machine.Id": target.id, "Octopus.Machine.Name": target.name,
            "Octopus.Machine.Roles": target.roles.joined(separator: ","),
            "Octopus.Machine.CommunicationStyle": target.endpoint.style.rawValue,
            "Octopus.Task.Id": task.id, "Octopus.Task.Name": task.description,
            "Octopus.Step.Id": step.step.step.id, "Octopus.Step.Name": step.step.step.name,
            "Octopus.Step.Number": String(step.number),
            "Octopus.Action.Id": action.id, "Octopus.Action.Name": action.name,
        ]
    }
}
