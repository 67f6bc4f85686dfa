/// The parts of a sandbox, in the words of docs/sandbox.md.
enum Layer: String, Sendable {
    case pidNamespace = "PID namespace"
    case mounts
    case capabilities
    case systemCalls = "system calls"
    case landlock
    case noNewPrivileges = "no new privileges"
    /// Permissions of files, and whatever else the kernel grants to root only.
    case user
    case networkNamespace = "network namespace"
    case ipcNamespace = "IPC namespace"
    case hostNameNamespace = "host name namespace"
    case controlGroup = "control group"
    case resourceLimit = "resource limit"
    /// Keeper and launcher let nobody look into them, the same user neither.
    case keeper
    case environment
    case descriptors
}

/// One line of a policy file.
struct PolicySetting: Sendable {
    var table: String
    var key: String
    var value: Value

    enum Value: Sendable {
        case plain(String)
        /// Settings of the same key add up.
        case list([String])
    }

    static func set(_ table: String, _ key: String, _ value: String) -> PolicySetting {
        PolicySetting(table: table, key: key, value: .plain(value))
    }

    static func list(_ table: String, _ key: String, _ values: [String]) -> PolicySetting {
        PolicySetting(table: table, key: key, value: .list(values))
    }

    /// A policy file.
    static func file(base: Profile, _ settings: [PolicySetting]) -> String {
        var text = "description = \"of a test\"\nbase = \"\(base.rawValue)\"\n"
        for table in Set(settings.map(\.table)).sorted() {
            text += "\n[\(table)]\n"
            let own = settings.filter { $0.table == table }
            for key in Set(own.map(\.key)).sorted() {
                var lines: [String] = []
                var last = ""
                for setting in own where setting.key == key {
                    switch setting.value {
                    case .plain(let value): last = value
                    case .list(let values):
                        lines += values
                        last = "[" + lines.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
                    }
                }
                text += "\(key) = \(last)\n"
            }
        }
        return text
    }
}

/// One layer's answer to an attempt.
struct Refusal: Sendable {
    var layer: Layer
    /// The step that fails, and the name of its error.
    var answer: String
    /// What switches exactly this layer off, for exactly this attempt; nil: nothing does, and its answer is telling.
    var off: [PolicySetting]?

    init(_ layer: Layer, _ answer: String, off: [PolicySetting]?) {
        self.layer = layer
        self.answer = answer
        self.off = off
    }

    // MARK: Layers that a policy switches off

    static func systemCalls(_ answer: String) -> Refusal {
        Refusal(.systemCalls, answer, off: [.set("system-calls", "filter", "\"none\"")])
    }

    /// Root without any is root still, for files: see `user`.
    static func capabilities(_ answer: String) -> Refusal {
        Refusal(
            .capabilities,
            answer,
            off: [.set("identity", "capabilities", "\"all\""), .set("identity", "user", "\"launcher\"")]
        )
    }

    static func user(_ answer: String) -> Refusal {
        Refusal(.user, answer, off: [.set("identity", "user", "\"launcher\"")])
    }

    static func noNewPrivileges(_ answer: String) -> Refusal {
        Refusal(.noNewPrivileges, answer, off: [.set("identity", "no-new-privileges", "false")])
    }

    static func pidNamespace(_ answer: String) -> Refusal {
        Refusal(.pidNamespace, answer, off: [.set("processes", "namespace", "false")])
    }

    static func ipcNamespace(_ answer: String) -> Refusal {
        Refusal(.ipcNamespace, answer, off: [.set("processes", "own-ipc", "false")])
    }

    static func hostNameNamespace(_ answer: String) -> Refusal {
        Refusal(.hostNameNamespace, answer, off: [.set("processes", "own-hostname", "false")])
    }

    static func networkNamespace(_ answer: String) -> Refusal {
        Refusal(.networkNamespace, answer, off: [.set("network", "access", "\"host\"")])
    }

    static func scopedSockets(_ answer: String) -> Refusal {
        Refusal(.landlock, answer, off: [.set("network", "abstract-sockets", "true")])
    }

    /// All of landlock: who is under it traces nobody who is not.
    static func landlock(_ answer: String) -> Refusal {
        Refusal(
            .landlock,
            answer,
            off: [
                .set("network", "abstract-sockets", "true"), .set("processes", "namespace", "false"),
                .set("files", "read-only-root", "false"), .set("network", "access", "\"host\""),
            ]
        )
    }

    /// Landlock's rules for files, which also end mounting.
    static func landlockFiles(_ answer: String) -> Refusal {
        Refusal(.landlock, answer, off: [.set("files", "read-only-root", "false")])
    }

    /// The agent's own files, and whatever is in its work directory.
    static func hiddenAgent(_ answer: String) -> Refusal {
        Refusal(.mounts, answer, off: [.set("files", "hide-agent", "false")])
    }

    /// The same, where nothing can be mounted over it.
    static func exceptedAgent(_ answer: String) -> Refusal {
        Refusal(.landlock, answer, off: [.set("files", "hide-agent", "false")])
    }

    /// Landlock's rules for TCP ports.
    static func networkRules(_ answer: String) -> Refusal {
        Refusal(.landlock, answer, off: [.set("network", "access", "\"host\"")])
    }

    static func hidden(_ path: String, _ answer: String) -> Refusal {
        Refusal(.mounts, answer, off: [.list("files", "visible", [path])])
    }

    static func readOnly(_ path: String, _ answer: String) -> Refusal {
        Refusal(.mounts, answer, off: [.list("files", "writable", [path])])
    }

    static func readOnlyRoot(_ answer: String) -> Refusal {
        Refusal(.mounts, answer, off: [.set("files", "read-only-root", "false")])
    }

    static func privateDev(_ answer: String) -> Refusal {
        Refusal(.mounts, answer, off: [.set("files", "private-dev", "false")])
    }

    static func privateTmp(_ answer: String) -> Refusal {
        Refusal(.mounts, answer, off: [.set("files", "private-tmp", "false")])
    }

    static func limit(_ name: String, _ answer: String) -> Refusal {
        Refusal(.resourceLimit, answer, off: [.set("limits", name, "0")])
    }

    // MARK: Layers that are always there

    /// An ordinary user, who was one before any sandbox.
    static func ordinaryUser(_ answer: String) -> Refusal { Refusal(.user, answer, off: nil) }

    static func always(_ layer: Layer, _ answer: String) -> Refusal { Refusal(layer, answer, off: nil) }
}
