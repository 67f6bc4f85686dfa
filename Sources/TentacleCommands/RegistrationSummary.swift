import OctopusClient

/// What has been registered, for people to read: the end of `register` (issue 6).
struct RegistrationSummary {
    var server: String
    var registration: MachineRegistration
    var prepared: PreparedRegistration
    /// The machine as the server has it now.
    var machine: JSONValue
    /// Where the agent polls; nil for a listening one.
    var pollingAddress: String?

    var lines: [String] {
        let id = self.machine.text("Id").map { " (\($0))" } ?? ""
        var rows = [
            ("Name", "\(self.registration.name)\(id)"), ("Server", self.server),
            ("Space", self.prepared.spaceName ?? ""),
        ]
        switch self.registration.kind {
        case .worker: rows.append(("Worker pools", self.names("WorkerPools")))
        case .target(_, let roles, _, let tags, let participation):
            rows += [
                ("Environments", self.names("Environments")), ("Roles", roles.joined(separator: ", ")),
                ("Tenants", self.names("Tenants")), ("Tenant tags", tags.joined(separator: ", ")),
                ("Tenanted deployments", participation == "Untenanted" ? "" : participation),
            ]
        }
        let style =
            self.pollingAddress.map { "polling, the agent dials \($0) as \(self.registration.uri)" }
            ?? "listening, the server dials \(self.registration.uri)"
        rows += [
            ("Style", style), ("Thumbprint", self.registration.thumbprint),
            ("Server's thumbprint", self.prepared.serverThumbprint),
        ]
        return rows.filter { !$0.1.isEmpty }
            .map { name, value in
                let gap = String(repeating: " ", count: max(1, Self.column - name.count - 1))
                return "\(name):\(gap)\(ReadableText.escapingControls(value))"
            }
    }

    private static let column = 23

    private func names(_ kind: String) -> String { (self.prepared.names[kind] ?? []).joined(separator: ", ") }
}
