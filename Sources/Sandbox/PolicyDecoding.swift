/// One file on its way to a policy.
struct PolicyDecoding {
    var reader: SettingsReader
    var policy = SandboxPolicy.standard

    init(path: String) { reader = SettingsReader(path: path) }

    mutating func read(_ root: TOMLTable, name: String) {
        // First, wherever it stands: everything else changes it.
        for entry in root.entries where entry.key == "base" { readBase(entry) }
        let base = policy.name
        policy.name = name
        policy.description = "Made from \(base)."
        for entry in root.entries {
            switch entry.key {
            case "base": break
            case "description":
                if let text = reader.text(entry, "a text") { policy.description = text }
            case "require": policy.isRequired = reader.boolean(entry, policy.isRequired)
            case "processes": reader.table(entry).map { readProcesses($0) }
            case "identity": reader.table(entry).map { readIdentity($0) }
            case "files": reader.table(entry).map { readFiles($0) }
            case "system-calls": reader.table(entry).map { readSystemCalls($0) }
            case "network": reader.table(entry).map { readNetwork($0) }
            case "limits": reader.table(entry).map { readLimits($0) }
            default:
                reader.unknown(
                    entry,
                    in: "",
                    known: "description, base, require, [processes], [identity], [files], [system-calls], [network] "
                        + "and [limits]"
                )
            }
        }
    }

    private mutating func readBase(_ entry: TOMLEntry) {
        if case .string(let text) = entry.value.kind, let profile = SandboxPolicy.profile(text) {
            policy = profile
        } else {
            reader.refuse(entry, "\"none\", \"standard\" or \"strict\"")
        }
    }

    private mutating func readProcesses(_ table: TOMLTable) {
        for entry in table.entries {
            switch entry.key {
            case "namespace": policy.processes.ownNamespace = reader.boolean(entry, policy.processes.ownNamespace)
            case "background": policy.processes.background = reader.boolean(entry, policy.processes.background)
            case "own-ipc": policy.processes.ownIPC = reader.boolean(entry, policy.processes.ownIPC)
            case "own-hostname": policy.processes.ownHostName = reader.boolean(entry, policy.processes.ownHostName)
            default:
                reader.unknown(entry, in: " in [processes]", known: "namespace, background, own-ipc and own-hostname")
            }
        }
        guard policy.processes.background, policy.processes.ownNamespace else { return }
        // The base's is given up; one that the file itself asks for would be missed.
        policy.processes.ownNamespace = false
        for entry in table.entries where entry.key == "namespace" {
            reader.refuse(
                entry.line,
                "namespace = true needs background = false: what a script leaves behind ends with its PID namespace"
            )
        }
    }

    // MARK: Identity

    private mutating func readIdentity(_ table: TOMLTable) {
        // Exactly these, before what is added and taken away, in whatever order the file has them.
        for entry in table.entries where entry.key == "capabilities" { readCapabilities(entry) }
        for entry in table.entries {
            switch entry.key {
            case "user": readUser(entry)
            case "groups": readGroups(entry)
            case "no-new-privileges":
                policy.identity.noNewPrivileges = reader.boolean(entry, policy.identity.noNewPrivileges)
            case "capabilities": break
            case "add-capabilities": for number in capabilities(entry) { policy.identity.capabilities.insert(number) }
            case "drop-capabilities": for number in capabilities(entry) { policy.identity.capabilities.remove(number) }
            default:
                reader.unknown(
                    entry,
                    in: " in [identity]",
                    known: "user, groups, no-new-privileges, capabilities, add-capabilities and drop-capabilities"
                )
            }
        }
    }

    private mutating func readUser(_ entry: TOMLEntry) {
        let text: String
        switch entry.value.kind {
        case .string("launcher"):
            policy.identity.user = .launcher
            return
        case .string("own"):
            policy.identity.user = .own
            return
        case .string(let name): text = name
        case .integer(let number): text = "\(number)"
        default: text = ""
        }
        guard Self.isAccount(text) else {
            return reader.refuse(entry, "a user's name or number, \"own\" or \"launcher\"")
        }
        policy.identity.user = .named(text)
    }

    private mutating func readGroups(_ entry: TOMLEntry) {
        var groups: [String] = []
        for element in reader.list(entry, of: "groups' names or numbers", numbers: true) {
            guard Self.isAccount(element.text) else {
                let name = TOMLText.quoted(TOMLText.shortened(element.text))
                reader.refuse(element.line, "groups: \(name) is no group's name or number")
                continue
            }
            if !groups.contains(element.text) { groups.append(element.text) }
        }
        policy.identity.groups = groups
    }

    /// A name as `/etc/passwd` and `/etc/group` can have it, or a number; the last number is the kernel's for nobody.
    private static func isAccount(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 256, first != UInt8(ascii: "-") else { return false }
        var isNumber = true
        for byte in text.utf8 {
            if byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "/")
                || byte == UInt8(ascii: ",")
            {
                return false
            }
            if !(0x30...0x39).contains(byte) { isNumber = false }
        }
        guard isNumber else { return true }
        guard let number = UInt32(text), number != .max else { return false }
        // One spelling each.
        return "\(number)" == text
    }

    private mutating func readCapabilities(_ entry: TOMLEntry) {
        if case .string("all") = entry.value.kind {
            policy.identity.capabilities = .all
            return
        }
        policy.identity.capabilities = .empty
        for number in capabilities(entry) { policy.identity.capabilities.insert(number) }
    }

    private mutating func capabilities(_ entry: TOMLEntry) -> [Int] {
        let allowed = entry.key == "capabilities" ? "capabilities' names, or \"all\"" : "capabilities' names"
        var numbers: [Int] = []
        for element in reader.list(entry, of: allowed) {
            if let number = CapabilitySet.number(of: element.text) {
                numbers.append(number)
            } else {
                let name = TOMLText.quoted(TOMLText.shortened(element.text))
                let known = CapabilitySet.names.joined(separator: ", ")
                reader.refuse(element.line, "\(entry.key): there is no capability \(name); known are \(known)")
            }
        }
        return numbers
    }

    // MARK: Files

    private mutating func readFiles(_ table: TOMLTable) {
        let hiddenByBase = policy.files.hidden
        for entry in table.entries {
            switch entry.key {
            case "read-only-root": policy.files.rootIsReadOnly = reader.boolean(entry, policy.files.rootIsReadOnly)
            case "read-only": reader.paths(entry, into: &policy.files.readOnly)
            case "writable": reader.paths(entry, into: &policy.files.writable)
            case "hidden": reader.paths(entry, into: &policy.files.hidden)
            case "visible": break
            case "private-tmp": policy.files.privateTmp = reader.boolean(entry, policy.files.privateTmp)
            case "private-dev": policy.files.privateDev = reader.boolean(entry, policy.files.privateDev)
            case "devices": readDevices(entry)
            case "hide-agent": policy.files.hidesAgent = reader.boolean(entry, policy.files.hidesAgent)
            default:
                reader.unknown(
                    entry,
                    in: " in [files]",
                    known:
                        "read-only-root, read-only, writable, hidden, visible, private-tmp, private-dev, devices and "
                        + "hide-agent"
                )
            }
        }
        for entry in table.entries where entry.key == "visible" { readVisible(entry, hiddenByBase) }
    }

    private mutating func readDevices(_ entry: TOMLEntry) {
        for element in reader.paths(entry) {
            guard element.text.hasPrefix("/dev/") else {
                reader.refuse(element.line, "devices: \(TOMLText.quoted(element.text)) is not below /dev")
                continue
            }
            if !policy.files.devices.contains(element.text) { policy.files.devices.append(element.text) }
        }
    }

    private mutating func readVisible(_ entry: TOMLEntry, _ hiddenByBase: [String]) {
        for element in reader.paths(entry) {
            let path = TOMLText.quoted(element.text)
            if let index = policy.files.hidden.firstIndex(of: element.text) {
                guard hiddenByBase.contains(element.text) else {
                    reader.refuse(element.line, "visible: \(path) is also in hidden")
                    continue
                }
                policy.files.hidden.remove(at: index)
            } else if let above = hiddenByBase.first(where: { element.text.hasPrefix($0 + "/") }) {
                // What the base does not hide at all may be named: another version's base may.
                reader.refuse(
                    element.line,
                    "visible: \(path) lies below \(above), which the base hides; only \(above) itself can be made visible"
                )
            }
        }
    }
}
