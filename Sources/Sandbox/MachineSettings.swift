/// The machine's file `launcher.toml`: where scripts live, what they may use, and which policy each runs under.
package struct MachineSettings: Equatable, Sendable {
    package static let standardFile = "/etc/tentacle/launcher.toml"
    package static let maximumBytes = TOMLReader.maximumBytes
    /// A hundred years.
    package static let maximumSeconds: Int64 = 100 * 366 * 86_400
    /// In the file.
    static let maximumRules = 256

    /// Of the agents on this machine.
    package var workDirectories: [String] = []
    /// For scripts for which neither a rule nor the agent names one.
    package var policyName = "standard"
    /// Never used, whoever names them.
    package var forbidden: [String] = []
    /// A control group of version 2 for each script, where the host permits it.
    package var usesControlGroups = true
    /// Nil: as the launcher has it; zero is no limit.
    package var logBytes: Int64?
    package var reserveBytes: Int64?
    package var workspaceBytes: Int64 = 0
    package var timeSeconds: Int64 = 0
    package var rules: [Rule] = []

    /// One `[[rule]]`: every pattern that is given must match.
    package struct Rule: Equatable, Sendable {
        package var policyName: String
        package var instance: String?
        package var mutex: String?
        package var task: String?
        package var work: String?
        /// Where the rule stands, for people.
        package var place: String
    }

    /// What a rule may ask for.
    package struct Script {
        /// What the agent says of itself, nil when it does not.
        package var instance: String?
        package var mutex: String
        package var task: String
        /// The work directory, which the launcher knows by itself.
        package var work: String
        /// The policy that the agent names.
        package var policyName: String?

        package init(instance: String?, mutex: String, task: String, work: String, policyName: String?) {
            self.instance = instance
            self.mutex = mutex
            self.task = task
            self.work = work
            self.policyName = policyName
        }
    }

    package enum Choice: Equatable, Sendable {
        case policy(String)
        /// Why the script must not start, and what to do.
        case refusal(String)
    }

    package init() {}

    /// The error has every problem there is.
    package init(_ bytes: [UInt8], path: String) throws(SettingsFileError) {
        let root: TOMLTable
        do throws(TOMLError) {
            root = try TOMLReader.read(bytes)
        } catch {
            throw SettingsFileError(path, line: error.line, error.text)
        }
        var reader = SettingsReader(path: path)
        for entry in root.entries { read(entry, &reader) }
        try reader.finish()
    }

    // MARK: Choosing

    /// The first rule that matches, else what the agent names, else the machine's own; never a forbidden one.
    package func choose(_ script: Script) -> Choice {
        if let rule = rules.first(where: { $0.matches(script) }) {
            return unlessForbidden(rule.policyName, by: "the rule in \(rule.place)", "change the rule")
        }
        if let name = script.policyName {
            guard PolicyName.isValid(name) else {
                return .refusal("the agent names a policy that cannot exist; a policy's name has \(PolicyName.form)")
            }
            return unlessForbidden(name, by: "the agent", "name another with: tentacle configure --sandbox NAME")
        }
        return unlessForbidden(policyName, by: "the machine's default", "change policy in the launcher's settings")
    }

    private func unlessForbidden(_ name: String, by whom: String, _ remedy: String) -> Choice {
        guard forbidden.contains(name) else { return .policy(name) }
        return .refusal("the policy \(name), named by \(whom), is forbidden on this machine; \(remedy)")
    }

    // MARK: Reading

    private mutating func read(_ entry: TOMLEntry, _ reader: inout SettingsReader) {
        switch entry.key {
        case "work": reader.paths(entry, into: &workDirectories)
        case "policy": policyName = Self.policyName(entry, &reader) ?? policyName
        case "forbid":
            for element in reader.list(entry, of: "policies' names") {
                if PolicyName.isValid(element.text) {
                    forbidden.append(element.text)
                } else {
                    let name = TOMLText.quoted(TOMLText.shortened(element.text))
                    reader.refuse(element.line, "forbid: \(name) is no policy's name, which has \(PolicyName.form)")
                }
            }
        case "control-groups":
            switch entry.value.kind {
            case .string("auto"): usesControlGroups = true
            case .string("off"): usesControlGroups = false
            default: reader.refuse(entry, "\"auto\" or \"off\"")
            }
        case "log-limit": logBytes = reader.size(entry)
        case "disk-reserve": reserveBytes = reader.size(entry)
        case "workspace-quota": workspaceBytes = reader.size(entry) ?? 0
        case "time-limit": timeSeconds = reader.integer(entry, 0...Self.maximumSeconds, "a number of seconds") ?? 0
        case "rule": readRules(entry, &reader)
        default:
            reader.unknown(
                entry,
                in: "",
                known: "work, policy, forbid, control-groups, log-limit, disk-reserve, workspace-quota, time-limit and "
                    + "[[rule]]"
            )
        }
    }

    private static func policyName(_ entry: TOMLEntry, _ reader: inout SettingsReader) -> String? {
        if case .string(let name) = entry.value.kind, PolicyName.isValid(name) { return name }
        reader.refuse(entry, "a policy's name: \(PolicyName.form)")
        return nil
    }

    private mutating func readRules(_ entry: TOMLEntry, _ reader: inout SettingsReader) {
        guard case .tables(let tables) = entry.value.kind else {
            return reader.refuse(entry, "a list of tables, each with the header [[rule]]")
        }
        guard tables.count <= Self.maximumRules else {
            return reader.refuse(
                entry.line,
                "there are \(tables.count) rules; at most \(Self.maximumRules) are allowed"
            )
        }
        for table in tables {
            var rule = Rule(policyName: "", place: "\(reader.path):\(table.line)")
            for entry in table.entries {
                switch entry.key {
                case "policy": rule.policyName = Self.policyName(entry, &reader) ?? "?"
                case "instance": rule.instance = Self.pattern(entry, &reader)
                case "mutex": rule.mutex = Self.pattern(entry, &reader)
                case "task": rule.task = Self.pattern(entry, &reader)
                case "work": rule.work = Self.pattern(entry, &reader)
                default: reader.unknown(entry, in: " in [[rule]]", known: "policy, instance, mutex, task and work")
                }
            }
            if rule.policyName.isEmpty { reader.refuse(table.line, "a rule needs a policy: policy = \"NAME\"") }
            rules.append(rule)
        }
    }

    private static func pattern(_ entry: TOMLEntry, _ reader: inout SettingsReader) -> String? {
        reader.text(entry, "a text, in which * stands for any text and ? for one character")
    }
}

extension MachineSettings.Rule {
    func matches(_ script: MachineSettings.Script) -> Bool {
        Self.matches(instance, script.instance ?? "") && Self.matches(mutex, script.mutex)
            && Self.matches(task, script.task) && Self.matches(work, script.work)
    }

    private static func matches(_ pattern: String?, _ text: String) -> Bool {
        pattern.map { GlobPattern.matches($0, text) } ?? true
    }
}
