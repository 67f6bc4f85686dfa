/// The machines a user picked or left out for one deployment.
package struct TargetSelection: Hashable, Sendable {
    package var specificIDs: [String]
    package var excludedIDs: [String]

    package init(specificIDs: [String] = [], excludedIDs: [String] = []) {
        (self.specificIDs, self.excludedIDs) = (specificIDs, excludedIDs)
    }

    package func includes(_ id: String) -> Bool {
        (specificIDs.isEmpty || specificIDs.contains(id)) && !excludedIDs.contains(id)
    }
}

extension DeploymentTarget {
    /// Whether a step with these roles runs here: enabled, in the environment, any role in common (deployment-steps.md 6.1).
    ///
    /// All deployments are untenanted in this version, so that a target for tenants only takes none.
    package func matches(environmentID: String, roles wanted: [String], selection: TargetSelection = .init()) -> Bool {
        !isDisabled && participation != .tenanted && environmentIDs.contains(environmentID) && selection.includes(id)
            && wanted.contains { role in roles.contains { $0.equalsIgnoringASCIICase(role) } }
    }
}

/// Which of a process's steps run where in one deployment.
package struct DeploymentPlan: Hashable, Sendable {
    package struct PlannedStep: Hashable, Sendable {
        package var step: DeploymentStep
        package var actions: [DeploymentAction]
        package var targets: [DeploymentTarget]
    }

    package var steps: [PlannedStep]

    package init(
        process: DeploymentProcess,
        environmentID: String,
        channelID: String,
        targets: [DeploymentTarget],
        selection: TargetSelection = .init(),
        skippedActionIDs: [String] = []
    ) {
        steps = process.steps.map { step in
            PlannedStep(
                step: step,
                actions: step.actions.filter {
                    $0.applies(environmentID: environmentID, channelID: channelID) && !skippedActionIDs.contains($0.id)
                },
                targets: targets.filter {
                    $0.matches(environmentID: environmentID, roles: step.targetRoles, selection: selection)
                }
            )
        }
    }

    /// The steps that have something to do.
    package var activeSteps: [PlannedStep] { steps.filter { !$0.actions.isEmpty } }

    package var targetIDs: [String] {
        var seen = Set<String>()
        return activeSteps.flatMap(\.targets).map(\.id).filter { seen.insert($0).inserted }
    }

    /// The roles that no machine fills; with none filled at all, a deployment has nowhere to go.
    package var unfilledRoles: [String] {
        var seen = Set<String>()
        return activeSteps.filter(\.targets.isEmpty).flatMap(\.step.targetRoles).filter { seen.insert($0).inserted }
    }
}
