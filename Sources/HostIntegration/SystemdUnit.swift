/// The systemd unit of one agent, as `service --install` writes it (tentacle-cli.md 16).
///
/// Differs from the unit file of the package only in what an instance brings: its name or file, its user, its order.
package struct SystemdUnit: Hashable, Sendable {
    /// Which configuration the agent runs with.
    package enum Selection: Hashable, Sendable {
        case instance(String)
        case configuration(path: String)
    }

    /// The unit of an instance without a name.
    package static let unnamed = "OctopusDeploy-Tentacle"

    package var selection: Selection
    package var executablePath: String
    package var user: String
    /// Units to be started before this one.
    package var dependencies: [String]

    package init(selection: Selection, executablePath: String, user: String = "root", dependencies: [String] = []) {
        self.selection = selection
        self.executablePath = executablePath
        self.user = user
        self.dependencies = dependencies
    }

    /// The unit's name without `.service`: `/` is removed and white space becomes `-`; case is kept.
    package var name: String {
        guard case .instance(let name) = self.selection else { return Self.unnamed }
        return name.replacing("/", with: "").replacing(#/\s+/#, with: "-")
    }

    /// The text of the unit file, with LF line ends.
    package var text: String {
        let argument =
            switch self.selection {
            case .instance(let name): "--instance=\(name)"
            case .configuration(let path): "--config=\(path)"
            }
        return """
            [Unit]
            Description=Octopus Deploy: Tentacle deployment agent
            After=\((["network.target"] + self.dependencies).joined(separator: " "))

            [Service]
            Type=notify
            NotifyAccess=main
            User=\(self.user)
            ExecStart=\(Self.quoted(self.executablePath)) run \(Self.quoted(argument)) --noninteractive
            Restart=always
            RestartSec=2
            WatchdogSec=60

            [Install]
            WantedBy=multi-user.target

            """
    }

    /// One word of an `ExecStart=` line: quoted when it has to be, with specifiers and variables taken literally.
    package static func quoted(_ word: String) -> String {
        let literal = word.replacing("%", with: "%%").replacing("$", with: "$$")
        let isPlain =
            !literal.isEmpty && literal.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x27 && $0 != 0x5c }
        if isPlain { return literal }
        let escaped = literal.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        return "\"\(escaped)\""
    }
}
