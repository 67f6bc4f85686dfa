extension Lifecycle {
    /// Whether a release that has reached `deployed` may go to an environment now.
    ///
    /// A lifecycle without phases allows every environment at any time (rest-api.md 8.2); otherwise everything up to
    /// and including the first phase that is neither complete nor optional is open.
    package func allows(environmentID: String, deployed: Set<String>) -> Bool {
        guard !phases.isEmpty else { return true }
        for phase in phases {
            if phase.environmentIDs.contains(environmentID) { return true }
            if !phase.isOptional, !phase.isComplete(deployed: deployed) { return false }
        }
        return false
    }
}

extension LifecyclePhase {
    package func isComplete(deployed: Set<String>) -> Bool {
        let reached = environmentIDs.count { deployed.contains($0) }
        return reached >= (minimumBeforePromotion == 0 ? environmentIDs.count : minimumBeforePromotion)
    }
}
