import AgentConfiguration

/// The agent as a service of systemd (spec tentacle-cli.md 16).
package struct ServiceCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "service",
        summary: "Start, stop, install and configure the Tentacle service",
        options: [
            OptionDefinition("start", kind: .flag, help: "Start the service if it is not already running"),
            OptionDefinition("stop", kind: .flag, help: "Stop the service if it is running"),
            OptionDefinition("restart", kind: .flag, help: "Restart the service if it is running"),
            OptionDefinition("reconfigure", kind: .flag, help: "Reconfigure the service"),
            OptionDefinition("install", kind: .flag, help: "Install the service"),
            OptionDefinition(
                "username",
                "user",
                help:
                    "Username to run the service under (DOMAIN\\Username format for Windows). "
                    + "Only used when --install or --reconfigure are used. Can also be passed via an environment variable "
                    + "OCTOPUS_SERVICE_USERNAME. Defaults to 'root' for Systemd services."
            ),
            OptionDefinition("uninstall", kind: .flag, help: "Uninstall the service"),
            OptionDefinition(
                "password",
                help:
                    "Password for the username specified with --username. Only used when --install or --reconfigure are used. "
                    + "Can also be passed via an environment variable OCTOPUS_SERVICE_PASSWORD. Ignored on Linux.",
                isSensitive: true
            ),
            OptionDefinition(
                "dependOn",
                help: "Service dependencies to set on the service when --install or --reconfigure are used"
            ),
            OptionDefinition(
                "instance",
                help: "Name of the instance to use, or * to use all instances"
            ),
            OptionDefinition("config", help: "Configuration file to use"),
            OptionDefinition(
                "status",
                kind: .flag,
                help: "Show the service's state; the exit code is 0 when it is active, else 3"
            ),
            CommonOptions.format,
            OptionDefinition(
                "unit",
                help:
                    "Which unit --install and --reconfigure write: 'project' for the hardened one of the package, 'stock' for the "
                    + "stock agent's. Defaults to 'project' where the package's units are installed and no --username is given.",
                choices: ServicePlan.Kind.allCases.map(\.rawValue)
            ),
            OptionDefinition(
                "fail-on-error",
                kind: .flag,
                help: "End with exit code 1 when the service could not be started, stopped, restarted or enabled"
            ),
        ]
    )

    private static let everyInstance = "*"

    private let options: ParsedOptions
    private let actions: Set<ServiceAction>
    private let format: OutputFormat
    private let kind: ServicePlan.Kind?
    private let dependencies: [String]

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.options = options
        self.actions = Set(ServiceAction.allCases.filter { options.isSet($0.rawValue) })
        self.format = try OutputFormat(options)
        self.kind = try Self.kind(options)
        self.dependencies = try Self.dependencies(options)
    }

    static func kind(_ options: ParsedOptions) throws(CommandError) -> ServicePlan.Kind? {
        guard let text = options.text("unit") else { return nil }
        guard let kind = ServicePlan.Kind(rawValue: text.lowercased()) else {
            throw CommandError("The unit '\(text)' is not known. Try project or stock.")
        }
        guard kind == .stock || options.text("username") == nil else {
            throw CommandError("--username cannot be used with --unit=project, whose agent has a user of its own.")
        }
        return kind
    }

    /// A line of a unit: what is not the name of one has no place there.
    private static func dependencies(_ options: ParsedOptions) throws(CommandError) -> [String] {
        guard let text = options.text("dependOn") else { return [] }
        let names = text.split { $0 == " " || $0 == "," || $0 == "/" }.map(String.init)
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
        guard names.allSatisfy({ $0.allSatisfy(allowed.contains) }) else {
            throw CommandError(
                "The value '\(ReadableText.escapingControls(text))' of --dependOn is not a list of systemd units, e.g. "
                    + "--dependOn=postgresql.service"
            )
        }
        return names.map { $0.contains(".") ? $0 : "\($0).service" }
    }

    package func run(_ context: CommandContext) throws {
        let isEvery = self.options.text("instance") == Self.everyInstance
        guard !isEvery || self.actions.isSubset(of: [.start, .stop, .restart, .status]) else {
            throw CommandError("--instance=* can only be used for --start, --stop, and --restart flags")
        }
        let system = try SystemControl(context, changesSomething: self.actions != [.status])
        if !context.isRoot, !self.actions.isDisjoint(with: [.install, .uninstall, .reconfigure]) {
            throw self.repeatAsRoot(system)
        }
        if isEvery {
            try self.runOnAll(system)
        } else {
            try self.run(on: self.options.selector, system)
        }
    }

    /// Who may use sudo gets at root's files, which units are, with the same command in the same directory.
    private func repeatAsRoot(_ system: SystemControl) -> CommandError {
        let context = system.context
        context.console.info("Permission denied. Retrying '\(context.programName) service' with sudo...")
        // sudo lets no variables through; only what decides about units is handed on.
        let variables = ["TentacleMachineConfigurationHomeDirectory", "OCTOPUS_SERVICE_USERNAME"].compactMap { name in
            context.host.variable(name).map { "\(name)=\($0)" }
        }
        let flags = Set(Self.definition.options.filter { $0.kind == .flag }.map(\.name))
        let options = self.options.occurrences.filter { $0.name != "password" }.map {
            flags.contains($0.name) ? "--\($0.name)" : "--\($0.name)=\($0.value)"
        }
        return system.becomeRoot(
            (variables.isEmpty ? [] : ["/usr/bin/env"] + variables) + [context.programPath, "service"] + options
        )
    }

    // MARK: One and all

    private func runOnAll(_ system: SystemControl) throws {
        let listed = InstanceRegistry(host: system.context.host).list().instances.compactMap(\.name)
        let names = listed + ServiceTarget.instancesOfUnits(system.context.host).filter { !listed.contains($0) }
        var failures: [CommandError] = []
        var statuses: [ServiceStatus] = []
        for name in names {
            do {
                let target = ServiceTarget(.instance(name), system)
                try self.perform(on: target, plan: nil, system)
                if self.actions.contains(.status) { statuses.append(try ServiceStatus(target, system)) }
            } catch {
                failures.append(CommandError(error))
            }
        }
        if self.actions.contains(.status) {
            let text =
                self.format == .json
                ? OrderedJSON.array(statuses.map(\.json)).indented + "\n" : statuses.map(\.text).joined(separator: "\n")
            system.context.console.write(text)
            if let first = statuses.first(where: { !$0.isActive }) { failures.append(first.failure) }
        }
        guard let first = failures.first else { return }
        let code = failures.allSatisfy { $0.exitCode == first.exitCode } ? first.exitCode : .failure
        throw CommandError(
            code == .controlledFailure ? .failure : code,
            failures.map(\.message).joined(separator: "\n")
        )
    }

    private func run(on selector: InstanceSelector, _ system: SystemControl) throws {
        let context = system.context
        // Worked out before the first action: nothing is stopped or removed for a unit that cannot be written.
        var plan: ServicePlan?
        let selection: SystemdUnit.Selection
        if self.actions.contains(.install) || self.actions.contains(.reconfigure) {
            let instance = try context.instance(selector)
            selection = ServicePlan.selection(of: instance, context.host)
            plan = try ServicePlan.make(for: instance, self.wishes(context.host), context)
        } else {
            selection = try self.selection(selector, context.host)
        }
        let target = ServiceTarget(selection, system)
        try self.perform(on: target, plan: plan, system)
        guard self.actions.contains(.status) else { return }
        let status = try ServiceStatus(target, system)
        context.console.write(self.format == .json ? status.json.indented + "\n" : status.text)
        if !status.isActive { throw status.failure }
    }

    private func wishes(_ host: HostFiles) -> ServicePlan.Wishes {
        ServicePlan.Wishes(
            kind: self.kind,
            user: self.options.text("username")
                ?? (self.kind == .project ? nil : host.variable("OCTOPUS_SERVICE_USERNAME")),
            dependencies: self.dependencies
        )
    }

    /// The instance, also one whose files are gone or hidden but whose unit is there: it must be possible to stop it, and
    /// for a script that its agent runs, to restart it.
    private func selection(_ selector: InstanceSelector, _ host: HostFiles) throws -> SystemdUnit.Selection {
        do {
            return ServicePlan.selection(of: try InstanceRegistry(host: host).find(selector), host)
        } catch {
            guard selector.configuration == nil || selector.instance != nil else { throw error }
            let name =
                selector.instance ?? host.variable("TentacleInstanceName") ?? TentacleInstance.defaultName
            let unit = SystemdUnit.name(of: .instance(name))
            guard DurableFile.exists(ServicePlan.unitPath(unit, host)) || self.isOwnAgent(name, host) else {
                throw error
            }
            return .instance(name)
        }
    }

    /// The agent that runs the script which runs us.
    private func isOwnAgent(_ name: String, _ host: HostFiles) -> Bool {
        host.variable("TentacleInstanceName") == name && !ServiceTarget.packaged(of: name, host).isEmpty
    }

    /// Always in this order, whatever the order of the options.
    private func perform(on target: ServiceTarget, plan: ServicePlan?, _ system: SystemControl) throws {
        var isFailed = false
        for action in ServiceAction.allCases where self.actions.contains(action) {
            let service = ServiceActions(target: target, plan: plan, system: system)
            if try !service.run(action) { isFailed = true }
        }
        if isFailed, self.options.isSet("fail-on-error") {
            throw CommandError("The service \(target.unit) is not as it was asked for.")
        }
    }
}

/// In the order in which they are done (spec tentacle-cli.md 16).
enum ServiceAction: String, CaseIterable, Hashable {
    case restart
    case stop
    case uninstall
    case install
    case reconfigure
    case start
    case status
}
