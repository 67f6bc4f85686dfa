import AgentConfiguration

/// What systemd says of one unit; ours, the stock agent has no such action.
struct ServiceStatus: Hashable {
    private static let properties = [
        "LoadState", "UnitFileState", "FragmentPath", "ActiveState", "SubState", "StateChangeTimestamp", "MainPID",
    ]
    /// As `systemctl status` has it.
    private static let inactive = ExitCode(rawValue: 3)

    let target: ServiceTarget
    private let values: [String: String]

    init(_ target: ServiceTarget, _ system: SystemControl) throws(CommandError) {
        self.target = target
        self.values = try system.properties(Self.properties, of: target.unit)
    }

    private func value(_ name: String) -> String? {
        self.values[name].flatMap { $0.isEmpty ? nil : ReadableText.escapingControls($0) }
    }

    private var unitName: String {
        self.target.unit.hasSuffix(".service") ? self.target.unit : self.target.unit + ".service"
    }

    var isActive: Bool { ["active", "reloading"].contains(self.value("ActiveState")) }

    var failure: CommandError {
        CommandError(
            Self.inactive,
            self.value("LoadState") == "not-found"
                ? "The service \(self.target.unit) is not installed." : "The service \(self.target.unit) is not active."
        )
    }

    private var processID: Int64? { self.value("MainPID").flatMap { Int64($0) }.flatMap { $0 == 0 ? nil : $0 } }

    var text: String {
        var text = "Service: \(self.unitName)"
        if let instance = self.target.instance { text += ", instance \(ReadableText.escapingControls(instance))" }
        text += "\nUnit: \(self.value("LoadState") ?? "unknown")"
        let details = [self.value("FragmentPath"), self.value("UnitFileState")].compactMap(\.self)
        if !details.isEmpty { text += " (\(details.joined(separator: ", ")))" }
        text += "\nState: \(self.value("ActiveState") ?? "unknown")"
        if let state = self.value("SubState") { text += " (\(state))" }
        if let since = self.value("StateChangeTimestamp") { text += " since \(since)" }
        if let process = self.processID { text += "\nMain process: \(process)" }
        return text + "\n"
    }

    var json: OrderedJSON {
        .object([
            .init("Instance", .string(orNull: self.target.instance)),
            .init("Unit", .string(self.unitName)),
            .init("UnitFile", .string(orNull: self.value("FragmentPath"))),
            .init("LoadState", .string(orNull: self.value("LoadState"))),
            .init("UnitFileState", .string(orNull: self.value("UnitFileState"))),
            .init("ActiveState", .string(orNull: self.value("ActiveState"))),
            .init("SubState", .string(orNull: self.value("SubState"))),
            .init("Since", .string(orNull: self.value("StateChangeTimestamp"))),
            .init("MainPID", self.processID.map(OrderedJSON.integer) ?? .null),
        ])
    }
}
