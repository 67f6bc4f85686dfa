import AgentConfiguration

/// Takes over the stock agent's services, in place and so that it can be undone; ours.
///
/// Configurations, certificates, trust, ports and homes stay where and as they are: both agents read the same files. What
/// changes is which program a unit starts, and as whom.
package struct ImportStockCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "import-stock",
        summary: "Takes over the services of an installed stock Tentacle, or gives them back",
        options: [
            OptionDefinition("dry-run", kind: .flag, help: "Show what would be done, and do nothing"),
            OptionDefinition(
                "undo",
                kind: .flag,
                help: "Put back every file as it was and start the stock agent's services again"
            ),
            OptionDefinition(
                "with-program",
                kind: .flag,
                help: "With --undo: put back the stock agent's program, too, which the package has kept"
            ),
            OptionDefinition(
                "unit",
                help:
                    "Which unit the services get: 'project' for the hardened one of the package, 'stock' for the stock agent's. "
                    + "Defaults to 'project' for services of root's where the package's units are installed."
            ),
        ]
    )

    private let isDryRun: Bool
    private let isUndo: Bool
    private let isWithProgram: Bool
    private let kind: ServicePlan.Kind?

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.isDryRun = options.isSet("dry-run")
        self.isUndo = options.isSet("undo")
        self.isWithProgram = options.isSet("with-program")
        guard self.isUndo || !self.isWithProgram else {
            throw CommandError("--with-program can only be used with --undo.")
        }
        self.kind = try ServiceCommand.kind(options)
    }

    package func run(_ context: CommandContext) throws {
        guard context.isRoot || self.isDryRun else {
            throw SystemControl.notPrivileged
        }
        let system = try SystemControl(context, changesSomething: !self.isDryRun)
        let record = try ImportRecord.load(context.host)
        if self.isUndo {
            guard record != nil || self.isWithProgram else {
                throw CommandError("There is nothing to undo: no stock agent has been imported.")
            }
            return try self.undo(record, system)
        }
        guard record?.state != .imported else {
            throw CommandError(
                "The stock agent's services have been imported already. To give them back, run "
                    + "'\(context.programName) import-stock --undo'."
            )
        }
        if let record, !self.isDryRun {
            context.console.info("An earlier import was interrupted. It is taken back first.")
            try record.restore(context)
            try record.remove(context.host)
        }
        try self.adopt(interrupted: record, system)
    }

    // MARK: Taking over

    private func adopt(interrupted: ImportRecord?, _ system: SystemControl) throws {
        let context = system.context
        let found = StockInstallation(context)
        guard found.problems.isEmpty else {
            throw CommandError("Nothing has been changed.\n" + found.problems.joined(separator: "\n"))
        }
        guard !found.services.isEmpty else {
            throw CommandError(
                "No service of a stock agent was found in \(ServicePlan.unitDirectory). Instances without one need nothing: "
                    + "this program reads the stock agent's configuration as it is."
            )
        }
        let plans = try self.plans(found.services, context)
        self.show(found, plans, context)
        guard !self.isDryRun else {
            context.console.info("Nothing has been changed.")
            return
        }
        var record = try ImportRecord(
            replacing: plans,
            units: found.services.map { service in
                // Of an import that was interrupted, the units are not any more as the stock agent had them.
                interrupted?.units.first { $0.name == service.unit }
                    ?? ImportRecord.Unit(
                        name: service.unit,
                        wasActive: system.isTrue("is-active", service.unit),
                        wasEnabled: system.isTrue("is-enabled", service.unit)
                    )
            },
            context.host
        )
        try record.save(context.host)
        for plan in plans { try plan.apply(context) }
        system.reload()
        let failed = record.units.filter { !self.restart($0, system) }.map(\.name)
        record.state = .imported
        try record.save(context.host)
        context.console.info("Everything that was replaced is in \(ImportRecord.folder(context.host)).")
        guard failed.isEmpty else {
            throw CommandError(
                "These services did not start: \(failed.joined(separator: ", ")). Look at 'journalctl -u \(failed[0])', or "
                    + "run '\(context.programName) import-stock --undo'."
            )
        }
    }

    /// Several instances may each want a line in the launcher's settings: each plan goes on from the one before.
    private func plans(_ services: [StockInstallation.Service], _ context: CommandContext) throws -> [ServicePlan] {
        var plans: [ServicePlan] = []
        for service in services {
            let isRoot = service.user == SystemdUnit.standardUser
            guard isRoot || self.kind != .project else {
                throw CommandError(
                    "The unit \(service.unit) runs as '\(ReadableText.escapingControls(service.user))', and --unit=project "
                        + "has a user of its own."
                )
            }
            let earlier = plans.flatMap(\.files).last { $0.path == context.host.wellKnown(LauncherWorkList.path) }
            plans.append(
                try ServicePlan.make(
                    for: service.instance,
                    .init(
                        kind: self.kind,
                        user: isRoot ? nil : service.user,
                        dependencies: service.dependencies,
                        unit: service.unit,
                        launcherSettings: earlier?.content
                    ),
                    context
                )
            )
        }
        return plans
    }

    private func show(_ found: StockInstallation, _ plans: [ServicePlan], _ context: CommandContext) {
        for (service, plan) in zip(found.services, plans) {
            let name = service.instance.name.map { "instance \($0)" } ?? service.instance.configurationPath
            let thumbprint = found.thumbprints[service.instance.configurationPath] ?? "none yet"
            context.console.info(
                "Service \(service.unit), \(ReadableText.escapingControls(name)), thumbprint \(thumbprint):"
            )
            context.console.info("  runs \(service.program) as \(service.user)")
            context.console.info("  will run \(plan.program(context)) as \(plan.user)")
            for file in plan.files {
                let verb = file.content == nil ? "removes" : DurableFile.exists(file.path) ? "replaces" : "writes"
                context.console.info("  \(verb) \(file.path)")
            }
            for change in plan.ownership { context.console.info("  gives \(change.path) to \(plan.user)") }
            for note in plan.notes { context.console.info("  \(note)") }
        }
        for instance in found.others {
            context.console.info("Instance \(instance.name ?? ""): has no service of the stock agent, nothing changes")
        }
    }

    private func restart(_ unit: ImportRecord.Unit, _ system: SystemControl) -> Bool {
        guard unit.wasActive else { return true }
        system.context.console.info("Restarting service: \(unit.name)")
        return system.call("restart", unit.name, severity: .error)
    }

    // MARK: Giving back

    /// Without a record the package alone has taken the stock agent's place: its units start ours.
    private func undo(_ record: ImportRecord?, _ system: SystemControl) throws {
        let context = system.context
        let program = StockProgram(context.host)
        for file in record?.files ?? [] {
            context.console.info("\(file.backup == nil ? "Removes" : "Restores") \(file.path)")
        }
        for owner in record?.owners ?? [] { context.console.info("Gives \(owner.path) back") }
        if self.isWithProgram { context.console.info("Moves \(program.kept) to \(program.place)") }
        guard !self.isDryRun else {
            context.console.info("Nothing has been changed.")
            return
        }
        let units =
            record?.units
            ?? StockInstallation(context).services.map { service in
                ImportRecord.Unit(
                    name: service.unit,
                    wasActive: system.isTrue("is-active", service.unit),
                    wasEnabled: system.isTrue("is-enabled", service.unit)
                )
            }
        // Before anything is changed that would have to be taken back if it failed.
        if self.isWithProgram { try program.putBack() }
        try record?.restore(context)
        system.reload()
        for unit in units where unit.wasEnabled { _ = system.call("enable", unit.name) }
        let failed = units.filter { !self.restart($0, system) }.map(\.name)
        try record?.remove(context.host)
        self.tellOfProgram(program, context)
        guard failed.isEmpty else {
            throw CommandError(
                "Everything is as it was, but these services did not start: \(failed.joined(separator: ", ")). Is the stock "
                    + "agent's program still installed?"
            )
        }
    }

    private func tellOfProgram(_ program: StockProgram, _ context: CommandContext) {
        if self.isWithProgram {
            context.console.info(
                "The stock agent's program is in \(program.place) again; ours is in \(program.replaced). The package that is "
                    + "installed still is ours: install the stock agent's package before you remove it."
            )
        } else if program.isKept {
            context.console.info(
                "The services start the program in \(program.place), which is ours. The stock agent's is kept in "
                    + "\(program.kept); to put it back, run '\(context.programName) import-stock --undo --with-program'."
            )
        }
    }
}
