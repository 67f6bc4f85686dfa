/// One step between the clone and the script's first instruction.
package enum SandboxOperation: Equatable, Sendable {
    // The keeper's.

    /// In a user namespace: this user is itself there, and nobody else is anybody.
    case mapUser
    /// Whoever loses its parent below this process becomes its child.
    case adoptOrphans
    /// The script counts as alive as long as this process does.
    case holdClaim
    case keepMountsInside
    /// On everything that is mounted.
    case forbidDevices
    /// Everything that is mounted, but for these paths.
    case readOnlyRoot(except: [String])
    /// Holds the workspace's own mount for `showWorkspace`; refuses another directory than the launcher opened.
    case takeWorkspace(String)
    case privateTmp(workspace: String)
    case privateDev(devices: [String], sharedMemory: Bool)
    case mountProc
    case readOnly(String)
    case hide(String)
    /// Nothing else is in the directory above where `alone`.
    case showWorkspace(String, alone: Bool)
    case loopback
    /// Process numbers in the namespace go on behind the launcher's own: `$$` would be 2 in every script otherwise, and
    /// scripts name files in /tmp by it. Where the kernel refuses, it stays so.
    case numberProcessesFromOurs

    // The script's.

    /// The kernel kills this process when its parent ends, however that ends.
    case dieWithParent
    case newSession
    /// Descriptors 0, 1 and 2: nothing to read, the two pipes to write.
    case standardStreams
    case closeOtherDescriptors
    case enterDirectory(String)
    case limit(ResourceLimit)
    /// When memory runs out, the script goes before its launcher.
    case resetMemoryPriority
    case noNewPrivileges
    case landlock(LandlockRules, version: Int32)
    case filterSystemCalls(SystemCallFilter)
    /// None of the others can be had again.
    case keepCapabilities(CapabilitySet)
    case becomeUser(ScriptUser)
    case defaultSignals
    case execute(path: String, arguments: [String])

    /// What is missing when the step is left out; nil: nothing goes without it.
    package var layer: SandboxLayer? {
        switch self {
        case .mapUser: .userNamespace
        case .keepMountsInside, .forbidDevices, .readOnlyRoot, .takeWorkspace, .privateTmp, .privateDev, .mountProc,
            .readOnly, .hide, .showWorkspace:
            .mounts
        case .loopback: .networkNamespace
        case .limit: .resourceLimits
        case .noNewPrivileges: .noNewPrivileges
        case .landlock: .landlock
        case .filterSystemCalls: .systemCalls
        case .keepCapabilities: .capabilities
        case .becomeUser: .user
        case .adoptOrphans, .holdClaim, .numberProcessesFromOurs, .dieWithParent, .newSession, .standardStreams,
            .closeOtherDescriptors, .enterDirectory, .resetMemoryPriority, .defaultSignals, .execute:
            nil
        }
    }
}

/// A limit of each process (`setrlimit`).
package struct ResourceLimit: Equatable, Sendable {
    package enum Kind: String, Sendable {
        case openFiles = "open files"
        case fileBytes = "bytes of a file"
        case coreBytes = "bytes of a core dump"
        case addressSpaceBytes = "bytes of address space"
        case lockedBytes = "bytes of locked memory"
        /// Of the user's, not of the process: only for a user of the script's own.
        case processes
    }

    package var kind: Kind
    package var value: Int64

    package init(_ kind: Kind, _ value: Int64) {
        self.kind = kind
        self.value = value
    }
}

extension SandboxOperation: CustomStringConvertible {
    package var description: String {
        switch self {
        case .mapUser: "be this user, and no other, in the user namespace"
        case .adoptOrphans: "adopt orphans"
        case .holdClaim: "hold the claim on the workspace"
        case .keepMountsInside: "keep mounts inside the namespace"
        case .forbidDevices: "no device works but those in /dev"
        case .readOnlyRoot(let paths): "everything read-only but \(paths.joined(separator: " "))"
        case .takeWorkspace(let path): "hold the workspace \(path)"
        case .privateTmp: "own /tmp and /var/tmp, in the workspace"
        case .privateDev(let devices, let sharedMemory):
            "own /dev" + (sharedMemory ? " and /dev/shm" : "")
                + (devices.isEmpty ? "" : ", with \(devices.joined(separator: " "))")
        case .mountProc: "mount /proc of the PID namespace"
        case .readOnly(let path): "read-only \(path)"
        case .hide(let path): "hide \(path)"
        case .showWorkspace(let path, let alone): "show \(path)" + (alone ? ", and no other workspace" : "")
        case .loopback: "no network but a loopback of its own"
        case .numberProcessesFromOurs: "number processes from the launcher's own number"
        case .dieWithParent: "die with the keeper"
        case .newSession: "begin a session"
        case .standardStreams: "input from nowhere, output and errors into the log"
        case .closeOtherDescriptors: "close every other descriptor at execution"
        case .enterDirectory(let path): "enter \(path)"
        case .limit(let limit): "at most \(limit.value) \(limit.kind.rawValue)"
        case .resetMemoryPriority: "go before the launcher when memory runs out"
        case .noNewPrivileges: "no new privileges: setuid programs have no effect"
        case .landlock(let rules, let version): "landlock \(version): \(rules)"
        case .filterSystemCalls(let filter): "\(filter)"
        case .keepCapabilities(let set): "capabilities: \(set)"
        case .becomeUser(let user): "become \(user)"
        case .defaultSignals: "default action for every signal, none blocked"
        case .execute(let path, let arguments): "execute \(path) with \(arguments.count) arguments"
        }
    }
}

extension LandlockRules: CustomStringConvertible {
    /// What of it a host may not do, for people who do not get it.
    var partsText: String {
        var what: [String] = []
        if restrictsFiles { what.append("rules for files") }
        if connect != nil { what.append("TCP ports") }
        if scopesSignals { what.append("signals") }
        if scopesAbstractSockets { what.append("abstract sockets") }
        return what.joined(separator: ", ")
    }

    package var description: String {
        var parts: [String] = []
        if restrictsFiles { parts.append("write only below \(writable.joined(separator: " "))") }
        if !exceptions.isEmpty { parts.append("nothing below \(exceptions.joined(separator: " "))") }
        if let connect { parts.append("connect to \(Self.ports(connect))") }
        if let listen { parts.append("listen on \(Self.ports(listen))") }
        if scopesSignals { parts.append("signals stay inside") }
        if scopesAbstractSockets { parts.append("abstract sockets stay inside") }
        return parts.joined(separator: "; ")
    }

    private static func ports(_ ports: [UInt16]) -> String {
        ports.isEmpty ? "no TCP port" : "TCP port " + ports.map { "\($0)" }.joined(separator: " ")
    }
}

extension SystemCallFilter: CustomStringConvertible {
    package var description: String {
        var names: [String] = []
        for rule in rules where names.last != rule.name { names.append(rule.name + (rule.first == nil ? "" : "*")) }
        let list = names.joined(separator: " ")
        return others == .allow
            ? "system calls refused (* with certain arguments): \(list)"
            : "only \(Set(names).count) system calls allowed (* with certain arguments): \(list)"
    }
}

extension CapabilitySet: CustomStringConvertible {
    package var description: String {
        let missing = missingNames
        if missing.isEmpty { return "all" }
        let contained = containedNames
        if contained.isEmpty { return "none" }
        return contained.count < missing.count
            ? contained.joined(separator: " ") : "all but \(missing.joined(separator: " "))"
    }
}
