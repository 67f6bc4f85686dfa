import AgentConfiguration

/// What `service` does to one unit, and says of it (spec tentacle-cli.md 16).
struct ServiceActions {
    let target: ServiceTarget
    /// For what writes a unit.
    let plan: ServicePlan?
    let system: SystemControl

    private var console: Console { self.system.context.console }
    private var host: HostFiles { self.system.context.host }
    private var unitPath: String { ServicePlan.unitPath(self.target.stockUnit, self.host) }
    /// There may have been an installation since the target was looked for.
    private var unit: String {
        DurableFile.exists(self.unitPath) ? self.target.stockUnit : self.target.unit
    }

    /// Whether systemd did all that it was told.
    func run(_ action: ServiceAction) throws -> Bool {
        switch action {
        case .restart: self.restart()
        case .stop: self.stop()
        case .uninstall: try self.uninstall()
        case .install: try self.install()
        case .reconfigure: try self.reconfigure()
        case .start: self.start()
        case .status: true
        }
    }

    /// Inside a script that an agent runs, the agent may take the script with it when it stops: systemd is told and not
    /// waited for (spec tentacle-cli.md 21.3).
    private var isInsideScript: Bool {
        self.host.variable("TentacleInstanceName") != nil || self.host.variable("TentacleExecutablePath") != nil
    }

    private func restart() -> Bool {
        self.console.info("Restarting service: \(self.unit)")
        let options = self.isInsideScript ? ["--no-block"] : []
        guard self.system.call("restart", self.unit, options: options) else {
            self.console.error("The service could not be restarted")
            return false
        }
        self.console.info(
            self.isInsideScript
                ? "Service restart has been requested; it does not end this script" : "Service has been restarted"
        )
        return true
    }

    private func stop() -> Bool {
        self.console.info("Stopping service: \(self.unit)")
        guard self.system.call("stop", self.unit) else {
            self.console.error("The service could not be stopped")
            return false
        }
        self.console.info("Service stopped")
        return true
    }

    private func start() -> Bool {
        self.stopPackagedUnits()
        guard self.system.call("start", self.unit, severity: .error) else {
            self.console.error("Could not start the systemd service: \(self.unit)")
            return false
        }
        self.console.info("Service started: \(self.unit)")
        return true
    }

    private func uninstall() throws -> Bool {
        self.console.info("Removing systemd service: \(self.unit)")
        let isStopped = self.system.call("stop", self.unit)
        let isDisabled = self.system.call("disable", self.unit)
        do {
            try self.removeFiles()
        } catch {
            throw CommandError(
                .failure,
                "Could not remove the systemd service: \(self.unit)\n\(CommandError(error).message)"
            )
        }
        self.console.info("Service uninstalled")
        return isStopped && isDisabled
    }

    /// Nothing of the package's: its units stay where they are, disabled.
    private func removeFiles() throws {
        let paths = [self.unitPath, ServicePlan.dropInPath(self.target.stockUnit, self.host)]
        guard paths.contains(where: DurableFile.exists) else { return }
        for path in paths { try ServicePlan.apply(.init(path: path, content: nil)) }
        self.system.reload()
    }

    private func install() throws -> Bool {
        guard let plan else { return true }
        self.warnOfUnnamed()
        return try self.write(plan)
    }

    /// The unit is replaced in one step where the stock agent removes it first: a full disk leaves the old one.
    private func reconfigure() throws -> Bool {
        guard let plan else { return true }
        self.warnOfUnnamed()
        self.console.info("Attempting to remove old service: \(self.unit)")
        _ = self.system.call("stop", self.unit)
        _ = self.system.call("disable", self.unit)
        return try self.write(plan)
    }

    private func write(_ plan: ServicePlan) throws -> Bool {
        do {
            try plan.apply(self.system.context)
        } catch {
            throw CommandError(
                .failure,
                "Could not install the systemd service: \(plan.unit)\n\(CommandError(error).message)"
            )
        }
        for note in plan.notes { self.console.info(note) }
        self.system.reload()
        self.disablePackagedUnits()
        let isEnabled = self.system.call("enable", plan.unit, severity: .error)
        self.console.info("Service installed: \(plan.unit)")
        return isEnabled
    }

    private func warnOfUnnamed() {
        guard self.target.instance == nil else { return }
        self.console.info(
            "Please note, currently there can only be one un-named instance configured as a service on a machine at a time."
        )
    }

    // MARK: The package's units

    /// The package brings units of its own, of which one may run this instance already: two agents would want one port and
    /// take each other's scripts for lost.
    private func disablePackagedUnits() {
        guard let instance = self.target.instance else { return }
        for unit in ServiceTarget.packaged(of: instance, self.host) where self.system.isTrue("is-enabled", unit) {
            guard self.system.call("disable", unit) else { continue }
            self.console.info("The unit \(unit) runs the same instance. It is disabled: \(self.unit) takes its place.")
        }
    }

    private func stopPackagedUnits() {
        guard let instance = self.target.instance, DurableFile.exists(self.unitPath) else { return }
        for unit in ServiceTarget.packaged(of: instance, self.host) where self.system.isTrue("is-active", unit) {
            guard self.system.call("stop", unit) else { continue }
            self.console.info("The unit \(unit) runs the same instance. It is stopped: \(self.unit) takes its place.")
        }
    }
}
