/// The systemd unit of one agent as the stock agent writes it (spec tentacle-cli.md 16), byte for byte.
package struct SystemdUnit: Hashable, Sendable {
    /// Which configuration the agent runs with.
    package enum Selection: Hashable, Sendable {
        case instance(String)
        case configuration(path: String)

        /// The word that tells the agent.
        package var argument: String {
            switch self {
            case .instance(let name): "--instance=\(name)"
            case .configuration(let path): "--config=\(path)"
            }
        }
    }

    /// The unit of an instance without a name.
    package static let unnamed = "OctopusDeploy-Tentacle"
    package static let standardUser = "root"

    package var selection: Selection
    package var executablePath: String
    package var user: String
    /// Units to be started before this one.
    package var dependencies: [String]

    package init(
        selection: Selection,
        executablePath: String,
        user: String = Self.standardUser,
        dependencies: [String] = []
    ) {
        self.selection = selection
        self.executablePath = executablePath
        self.user = user
        self.dependencies = dependencies
    }

    /// The unit's name without `.service`.
    package var name: String { Self.name(of: self.selection) }

    /// `/` is removed and white space becomes `-`; case is kept.
    package static func name(of selection: Selection) -> String {
        guard case .instance(let name) = selection else { return Self.unnamed }
        return name.replacing("/", with: "").replacing(#/\s+/#, with: "-")
    }

    /// The text of the unit file, with LF line ends.
    package var text: String {
        let command = "\(Self.quoted(self.executablePath)) run \(Self.quoted(self.selection.argument)) --noninteractive"
        return """
            [Unit]
            Description=Octopus Deploy: Tentacle deployment agent
            After=\((["network.target"] + self.dependencies).joined(separator: " "))

            [Service]
            Type=simple
            User=\(self.user)
            ExecStart=\(command)
            Restart=always

            [Install]
            WantedBy=multi-user.target

            """
    }

    /// One word of an `ExecStart=` line: quoted when it has to be, with specifiers and variables taken literally.
    package static func quoted(_ word: String) -> String { Self.quotedPath(word.replacing("$", with: "$$")) }

    /// One word of another line, where `$` means nothing.
    package static func quotedPath(_ word: String) -> String {
        let literal = word.replacing("%", with: "%%")
        let isPlain =
            !literal.isEmpty && literal.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x27 && $0 != 0x5c }
        if isPlain { return literal }
        let escaped = literal.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        return "\"\(escaped)\""
    }
}
