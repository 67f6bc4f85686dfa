import AgentConfiguration

/// The systemd unit that runs an instance, as far as files tell.
struct AgentUnit: Hashable {
    /// With its suffix; the one that would be installed when there is none.
    var name: String
    /// Nil when no unit of that name is there.
    var path: String?
    /// Who the agent runs as; nil when there is no unit, or it is root's by not saying so.
    var user: String?

    /// Looks for the unit of the stock name, then for those of the package.
    init(of instance: String?, _ host: HostFiles) {
        let stock = (instance.map { SystemdUnit.name(of: .instance($0)) } ?? SystemdUnit.unnamed) + ".service"
        for name in [stock] + (instance.map(PackagedUnit.names) ?? []) {
            guard let path = UnitFiles.path(of: name, host), let bytes = try? DurableFile.read(path) else { continue }
            self.name = name
            self.path = path
            self.user = UnitText(String(decoding: bytes, as: UTF8.self)).value("User")
            return
        }
        self.name = stock
    }
}
