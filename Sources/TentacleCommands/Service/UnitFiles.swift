import AgentConfiguration

/// Where unit files are on this host, in the order in which systemd prefers them.
enum UnitFiles {
    private static let directories = [
        "/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
    ]

    /// The file of a unit, or of its template for `NAME@INSTANCE.service`; nil when none is installed.
    static func path(of unit: String, _ host: HostFiles) -> String? {
        let template = unit.firstIndex(of: "@").map { unit[...$0] + ".service" }
        return [unit[...], template].compactMap(\.self).lazy.compactMap { file in
            self.directories.map { host.wellKnown("\($0)/\(file)") }.first(where: DurableFile.exists)
        }.first
    }
}
