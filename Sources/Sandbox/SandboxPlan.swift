/// The program a plan ends in.
package struct SandboxedCommand: Equatable, Sendable {
    package var path: String
    /// With the zeroth.
    package var arguments: [String]
    package var environment: [String: String]
    package var directory: String

    package init(path: String, arguments: [String], environment: [String: String], directory: String) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }
}

/// What a plan needs to know of the script besides its policy.
package struct ScriptSurroundings: Equatable, Sendable {
    /// Absolute.
    package var workspace: String
    /// The agent's own files.
    package var protected: [String]
    /// Whom the script is to run as; nil: as the launcher.
    package var user: ScriptUser?

    package init(workspace: String, protected: [String] = [], user: ScriptUser? = nil) {
        self.workspace = workspace
        self.protected = protected
        self.user = user
    }

    /// Where workspaces are.
    var work: String { String(workspace[..<(workspace.lastIndex(of: "/") ?? workspace.startIndex)]) }
}

/// Namespaces around keeper and script; flags of clone(2).
package struct NamespaceSet: OptionSet, Equatable, Sendable, CustomStringConvertible {
    package var rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let mounts = NamespaceSet(rawValue: 0x0002_0000)
    package static let hostName = NamespaceSet(rawValue: 0x0400_0000)
    package static let ipc = NamespaceSet(rawValue: 0x0800_0000)
    package static let user = NamespaceSet(rawValue: 0x1000_0000)
    package static let processes = NamespaceSet(rawValue: 0x2000_0000)
    package static let network = NamespaceSet(rawValue: 0x4000_0000)

    package var description: String {
        let names: [(NamespaceSet, String)] = [
            (.user, "user"), (.processes, "PID"), (.mounts, "mount"), (.ipc, "IPC"), (.hostName, "host name"),
            (.network, "network"),
        ]
        return "new namespaces: " + names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }
}

/// What happens to one script before it runs, in order, as data (STYLE.md C13): printed, compared, then executed.
package struct SandboxPlan: Equatable, Sendable, CustomStringConvertible {
    package var namespaces: NamespaceSet = []
    /// In the keeper, the process between the launcher and the script, before it starts the script.
    package private(set) var keeperOperations: [SandboxOperation] = [.adoptOrphans, .holdClaim]
    /// In the script's process; the last one executes it.
    package private(set) var scriptOperations: [SandboxOperation] = []
    package var command: SandboxedCommand
    /// What of the policy this host does not do.
    package private(set) var unenforced: [Unenforced] = []
    /// The directories that become the script's own /tmp and /var/tmp have to be in the workspace.
    package private(set) var needsPrivateDirectories = false

    package static let privateTmp = ".tmp"
    package static let privateVarTmp = ".var-tmp"

    /// The launcher's own, as the host knows them.
    var user: UInt32 { host.user }
    var group: UInt32 { host.group }

    private let policy: SandboxPolicy
    private let host: HostFeatures
    private let surroundings: ScriptSurroundings

    package init(
        policy: SandboxPolicy,
        host: HostFeatures,
        surroundings: ScriptSurroundings,
        command: SandboxedCommand
    ) {
        self.policy = policy
        self.host = host
        self.surroundings = surroundings
        self.command = command
        chooseNamespaces()
        arrangeFiles()
        if namespaces.contains(.network) { keeperOperations.append(.loopback) }
        planScript()
    }

    package var operations: [SandboxOperation] { keeperOperations + scriptOperations }

    /// What of the policy is in force, part by part.
    package var enforced: [(layer: SandboxLayer, what: String)] {
        var parts: [(layer: SandboxLayer, what: String)] = []
        let namespaceParts: [(NamespaceSet, SandboxLayer, String)] = [
            (.user, .userNamespace, "what needs root is done in it"),
            (.processes, .pidNamespace, "the script sees and signals its own processes only"),
            (.ipc, .ipcNamespace, "no shared memory with others"),
            (.hostName, .hostNameNamespace, "the host's name is out of reach"),
            (.network, .networkNamespace, "no network but a loopback of its own"),
        ]
        for (flag, layer, what) in namespaceParts where namespaces.contains(flag) { parts.append((layer, what)) }
        if arrangesFiles { parts.append((.mounts, policy.files.mountsText)) }
        for operation in scriptOperations {
            guard let layer = operation.layer, !parts.contains(where: { $0.layer == layer }) else { continue }
            let what =
                switch operation {
                case .filterSystemCalls: "the \(policy.systemCalls.filter.rawValue) filter"
                case .limit: "limits of each process"
                case .landlock(let rules, _): rules.partsText
                case .becomeUser(let user): user.name == ScriptUser.ownName ? "one of the script's own" : user.name
                case .keepCapabilities(let set): set.description
                default: operation.description
                }
            parts.append((layer, what))
        }
        return parts
    }

    var landlock: LandlockRules? {
        for case .landlock(let rules, _) in scriptOperations { return rules }
        return nil
    }

    package var limitsProcesses: Bool {
        scriptOperations.contains { if case .limit(let limit) = $0 { limit.kind == .processes } else { false } }
    }

    /// Whether the script is another user than the launcher.
    var changesUser: Bool {
        scriptOperations.contains { if case .becomeUser = $0 { true } else { false } }
    }

    /// One line a step, as a person reads it.
    package var description: String {
        var lines = namespaces.isEmpty ? [] : ["\(namespaces)"]
        lines += operations.map(\.description)
        return lines.enumerated().map { "\($0.offset + 1). \($0.element)" }.joined(separator: "\n")
    }

    /// What to do without, after a step that failed; nil: nothing helps.
    ///
    /// A clone does not say which of the namespaces it was.
    package func layer(of failure: SandboxFailure) -> SandboxLayer? {
        guard failure.stage < 0 else {
            return operations.indices.contains(failure.stage) ? operations[failure.stage].layer : nil
        }
        let exoticFirst: [(NamespaceSet, SandboxLayer)] = [
            (.user, .userNamespace), (.network, .networkNamespace), (.ipc, .ipcNamespace),
            (.hostName, .hostNameNamespace), (.processes, .pidNamespace), (.mounts, .mounts),
        ]
        return exoticFirst.first { namespaces.contains($0.0) }?.1
    }

    // MARK: Namespaces

    /// The second is what a container's root is.
    private static let noAdministration = "not root, or root without CAP_SYS_ADMIN"

    /// Why no namespace can be had at all; nil: they can.
    private var namespaceRefusal: String? {
        if host.hasAdministration { return nil }
        if !policy.identity.noNewPrivileges {
            return "\(Self.noAdministration), and a user namespace would end sudo: no-new-privileges = true in a "
                + "policy permits it"
        }
        return host.refusal(of: .userNamespace)
    }

    private mutating func chooseNamespaces() {
        // Calls and not a list of what is wanted: a list of tuples is a type that every launcher would have to make.
        // Whoever is to live on would end with the namespace.
        if policy.processes.ownNamespace, !policy.processes.background {
            want(.processes, .pidNamespace, "a PID namespace")
        }
        let files = policy.files
        if files.needsMounts { want(.mounts, .mounts, files.mountsText) }
        if policy.processes.ownIPC { want(.ipc, .ipcNamespace, "an IPC namespace") }
        if policy.processes.ownHostName { want(.hostName, .hostNameNamespace, "a host name of its own") }
        if policy.network.access == .none { want(.network, .networkNamespace, "a network namespace") }
        // Its processes are to be seen in /proc.
        if namespaces.contains(.processes), host.refusal(of: .mounts) == nil { namespaces.insert(.mounts) }
        guard !namespaces.isEmpty, !host.hasAdministration else { return }
        namespaces.insert(.user)
        keeperOperations.append(.mapUser)
    }

    private mutating func want(_ namespace: NamespaceSet, _ layer: SandboxLayer, _ what: @autoclosure () -> String) {
        if let why = namespaceRefusal ?? host.refusal(of: layer) ?? mountRefusal(layer) {
            unenforced.append(Unenforced(layer, what(), why))
        } else {
            namespaces.insert(namespace)
        }
    }

    private func mountRefusal(_ layer: SandboxLayer) -> String? {
        layer == .mounts && !host.hasMountAttributes ? "Linux older than 5.12" : nil
    }

    // MARK: Files

    private var arrangesFiles: Bool {
        namespaces.contains(.mounts) && policy.files.needsMounts && host.hasMountAttributes
    }

    private mutating func arrangeFiles() {
        guard namespaces.contains(.mounts) else { return }
        // Cut off before the first mount, or the host would see ours.
        keeperOperations.append(.keepMountsInside)
        guard arrangesFiles else {
            return mountProc()
        }
        let files = policy.files
        let workspace = surroundings.workspace
        // In a user namespace devices of the host's cannot be made anew, and are only as open as they are to this user.
        if files.privateDev, !namespaces.contains(.user) { keeperOperations.append(.forbidDevices) }
        if files.rootIsReadOnly { keeperOperations.append(.readOnlyRoot(except: [workspace] + files.writable)) }
        // Before a /tmp of its own hides a workspace that lies in there.
        if files.privateTmp || files.hidesAgent {
            keeperOperations.append(.takeWorkspace(workspace))
        }
        if files.privateTmp {
            keeperOperations.append(.privateTmp(workspace: workspace))
            needsPrivateDirectories = true
        }
        if files.privateDev {
            keeperOperations.append(.privateDev(devices: files.devices, sharedMemory: policy.processes.ownIPC))
        }
        mountProc()
        for path in files.readOnly where !files.rootIsReadOnly || path.hasPrefix("/proc/") {
            // What is writable beats it.
            if files.writable.contains(where: { path == $0 || path.hasPrefix($0 + "/") }) { continue }
            keeperOperations.append(.readOnly(path))
        }
        for path in files.hidden + (files.hidesAgent ? surroundings.protected : []) {
            keeperOperations.append(.hide(path))
        }
        // Last: in what is hidden, too, the script finds its own.
        if files.privateTmp || files.hidesAgent {
            keeperOperations.append(.showWorkspace(workspace, alone: files.hidesAgent))
        }
    }

    private mutating func mountProc() {
        // The number is set in there, which is read-only afterwards.
        if namespaces.contains(.processes) { keeperOperations += [.mountProc, .numberProcessesFromOurs] }
    }

    // MARK: The script's process

    private mutating func planScript() {
        // First of all: from here on a keeper that is killed takes the script with it.
        scriptOperations = [
            .dieWithParent,
            // Before anything can open a terminal.
            .newSession,
            .standardStreams,
            // Behind the streams, which are copies of descriptors that this closes.
            .closeOtherDescriptors,
            .enterDirectory(command.directory),
            .resetMemoryPriority,
        ]
        planLimits()
        // What follows is allowed without privileges only behind this.
        if policy.identity.noNewPrivileges { add(.noNewPrivileges, "no-new-privileges") }
        planLandlock()
        // The filters let through what is still to come.
        if policy.systemCalls.filter != .none || !policy.systemCalls.denied.isEmpty { planFilters() }
        planUser()
        scriptOperations += [
            // As late as possible: a signal that comes before the program is there kills this process.
            .defaultSignals,
            .execute(path: command.path, arguments: command.arguments),
        ]
    }

    private mutating func add(_ operation: SandboxOperation, _ what: @autoclosure () -> String) {
        if let layer = operation.layer, let why = host.refusal(of: layer) {
            let what = what()
            if !unenforced.contains(where: { $0.layer == layer && $0.what == what }) {
                unenforced.append(Unenforced(layer, what, why))
            }
        } else {
            scriptOperations.append(operation)
        }
    }

    private mutating func planLimits() {
        let limits = policy.limits
        limit(.openFiles, limits.openFiles)
        limit(.fileBytes, limits.fileBytes)
        limit(.coreBytes, limits.coreBytes)
        limit(.addressSpaceBytes, limits.addressSpaceBytes)
        limit(.lockedBytes, limits.lockedBytes)
        // The kernel counts a user's processes all over the host.
        if policy.identity.user == .own, surroundings.user != nil { limit(.processes, limits.processes) }
    }

    private mutating func limit(_ kind: ResourceLimit.Kind, _ value: Int64?) {
        if let value { add(.limit(ResourceLimit(kind, value)), "limits of each process") }
    }

    /// Landlock and system-call filters are for root and for whoever gives up new privileges.
    private var restrictionRefusal: String? {
        guard !host.hasAdministration, !policy.identity.noNewPrivileges else { return nil }
        return "\(Self.noAdministration), and sudo is to work: no-new-privileges = true in a policy permits it"
    }

    private mutating func planLandlock() {
        var rules = LandlockRules()
        let files = policy.files
        if files.rootIsReadOnly {
            rules.restrictsFiles = true
            rules.writable = [surroundings.workspace] + files.writable
            if arrangesFiles {
                if files.privateTmp { rules.writable += ["/tmp", "/var/tmp"] }
                if files.privateDev, policy.processes.ownIPC { rules.writable.append("/dev/shm") }
            } else {
                rules.exceptions = files.hidden
                if files.hidesAgent { rules.exceptions.append(surroundings.work) }
            }
            // A mount over a file is gone when the agent puts a new one into its place; another user may not read it.
            if files.hidesAgent, surroundings.user == nil { rules.exceptions += surroundings.protected }
        }
        let network = policy.network
        // A network of the script's own may be used as it likes.
        if network.access != .host, !namespaces.contains(.network) {
            rules.connect = network.access == .ports ? network.connect : []
            rules.listen = network.access == .ports ? network.listen : []
        }
        rules.scopesAbstractSockets = !network.abstractSockets
        // With the host's processes in sight the script is to reach those that it may.
        rules.scopesSignals = policy.processes.ownNamespace && !policy.processes.background
        let version = host.landlockVersion
        if version < LandlockRules.scopesVersion, restrictionRefusal == nil {
            // Namespaces do the same: who is not seen is not signalled, and abstract sockets are a network's own. Where
            // the host's network is open they are a part of it, and to close them is more than the policy promises.
            if namespaces.contains(.processes) { rules.scopesSignals = false }
            if namespaces.contains(.network) || network.access == .host { rules.scopesAbstractSockets = false }
        }
        guard !rules.isEmpty else { return }
        if let why = restrictionRefusal ?? (version == 0 ? "no landlock in this kernel" : nil) {
            return unenforced.append(Unenforced(.landlock, rules.partsText, why))
        }
        if version < LandlockRules.portsVersion, rules.connect != nil {
            unenforced.append(Unenforced(.landlock, "TCP ports", "landlock \(version), 4 is needed"))
            (rules.connect, rules.listen) = (nil, nil)
        }
        if version < LandlockRules.scopesVersion {
            var scopes = LandlockRules()
            swap(&scopes.scopesSignals, &rules.scopesSignals)
            swap(&scopes.scopesAbstractSockets, &rules.scopesAbstractSockets)
            if !scopes.isEmpty {
                let why = "landlock \(version), 6 is needed"
                unenforced.append(Unenforced(.landlock, scopes.partsText, why))
            }
        }
        guard !rules.isEmpty else { return }
        add(.landlock(rules, version: version), rules.partsText)
    }

    private mutating func planFilters() {
        if let why = restrictionRefusal ?? (host.filtersSystemCalls ? nil : "no seccomp in this kernel") {
            return unenforced.append(Unenforced(.systemCalls, "the filter of system calls", why))
        }
        // A network of its own is nobody's: its sockets are free.
        let isFree = namespaces.contains(.network)
        for filter in SystemCallFilter.filters(policy, ownNetwork: isFree) {
            add(.filterSystemCalls(filter), "the filter of system calls")
        }
    }

    private mutating func planUser() {
        let set = policy.identity.capabilities
        // Who is not root has nothing to lose but what setuid programs give.
        if set != .all, host.capabilities.bits & ~set.bits & CapabilitySet.known.bits != 0 {
            add(.keepCapabilities(set), "capabilities")
        }
        guard policy.identity.user != .launcher else { return }
        guard let user = surroundings.user, host.isRoot else {
            return unenforced.append(Unenforced(.user, "another user", "not root"))
        }
        add(.becomeUser(user), "another user")
        // The kernel forgets it with the user.
        if scriptOperations.last == .becomeUser(user) { scriptOperations.append(.dieWithParent) }
    }
}

extension SandboxPolicy.Files {
    var needsMounts: Bool {
        rootIsReadOnly || !readOnly.isEmpty || !hidden.isEmpty || privateTmp || privateDev || hidesAgent
    }

    /// For people who do not get it.
    var mountsText: String {
        var parts: [String] = []
        if rootIsReadOnly || !readOnly.isEmpty { parts.append("read-only paths") }
        if !hidden.isEmpty || hidesAgent { parts.append("hidden paths") }
        if privateTmp { parts.append("a /tmp of its own") }
        if privateDev { parts.append("a /dev of its own") }
        return parts.joined(separator: ", ")
    }
}

/// Which step failed in the child, and why.
package struct SandboxFailure: Error, Equatable, Sendable {
    /// Index in `SandboxPlan.operations`; -1 is the clone.
    package var stage: Int
    package var number: Int32

    package init(stage: Int, number: Int32) {
        self.stage = stage
        self.number = number
    }
}
