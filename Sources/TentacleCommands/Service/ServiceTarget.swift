import AgentConfiguration

/// The unit that an action on an instance means.
struct ServiceTarget: Hashable {
    /// Nil for an instance that is known by its file only.
    var instance: String?
    /// As the stock agent calls it, without `.service`.
    var stockUnit: String
    /// What systemd is asked for: the stock name, or a unit of the package that runs the instance instead.
    var unit: String

    init(_ selection: SystemdUnit.Selection, _ system: SystemControl) {
        self.stockUnit = SystemdUnit.name(of: selection)
        self.unit = self.stockUnit
        guard case .instance(let name) = selection else { return }
        self.instance = name
        let host = system.context.host
        guard !DurableFile.exists(ServicePlan.unitPath(self.stockUnit, host)) else { return }
        let packaged = Self.packaged(of: name, host)
        if let used = packaged.first(where: { system.isTrue("is-enabled", $0) || system.isTrue("is-active", $0) }) {
            self.unit = used
        }
    }

    /// Those of the package that are installed at all: systemd is not asked about others.
    static func packaged(of instance: String, _ host: HostFiles) -> [String] {
        PackagedUnit.names(of: instance).filter { UnitFiles.path(of: $0, host) != nil }
    }

    /// Instances that units on this host run, by name; for scripts, from whose sandbox the index is hidden.
    static func instancesOfUnits(_ host: HostFiles) -> [String] {
        let directory = host.wellKnown(ServicePlan.unitDirectory)
        let enabled = DirectoryNames.list(directory + "/multi-user.target.wants").compactMap(PackagedUnit.instance)
        let written = DirectoryNames.list(directory).filter { $0.hasSuffix(".service") }.compactMap { name -> String? in
            guard let bytes = try? DurableFile.read("\(directory)/\(name)"), bytes.count <= UnitText.maximumBytes,
                case .instance(let instance) = UnitText(String(decoding: bytes, as: UTF8.self)).agentCommandLine?
                    .selection
            else { return nil }
            return name == SystemdUnit.name(of: .instance(instance)) + ".service" ? instance : nil
        }
        return written + enabled.filter { !written.contains($0) }
    }
}
