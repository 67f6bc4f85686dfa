/// A policy as a person reads it, and as a file to begin from.
extension PolicyFile {
    /// All values, on top of `none`, whose lists are empty; read back, it is the same policy.
    package static func text(of policy: SandboxPolicy) -> String {
        """
        # The policy \(policy.name) with all its values. To change it, save it as /etc/tentacle/policies/NAME.toml under
        # a name of your own; what is left out there is as in the base, and lists add to the base's.
        description = \(TOMLText.quoted(policy.description))
        # none, standard or strict
        base = "none"
        # Refuse to run a script where a part of this cannot be enforced.
        require = \(policy.isRequired)

        [processes]
        # The script sees and signals its own processes only.
        namespace = \(policy.processes.ownNamespace)
        # What the script leaves behind lives on when it ends.
        background = \(policy.processes.background)
        # System V IPC and POSIX message queues of its own.
        own-ipc = \(policy.processes.ownIPC)
        # The script may rename the host for itself.
        own-hostname = \(policy.processes.ownHostName)

        \(text(of: policy.identity))

        [files]
        # Nothing can be written but the workspace, the private directories and what is writable below.
        # Later beats earlier: read-only, then writable, then hidden.
        read-only-root = \(policy.files.rootIsReadOnly)
        read-only = \(list(policy.files.readOnly))
        writable = \(list(policy.files.writable))
        # Cannot be opened. With a base, visible = [PATH] takes exactly that path out of what the base hides.
        hidden = \(list(policy.files.hidden))
        # /tmp and /var/tmp of the script's own, removed with it.
        private-tmp = \(policy.files.privateTmp)
        # A /dev with null, zero, full, random, urandom, tty, terminals of its own, and devices.
        private-dev = \(policy.files.privateDev)
        devices = \(list(policy.files.devices))
        # Other scripts' directories and the agent's own files are not there.
        hide-agent = \(policy.files.hidesAgent)

        [system-calls]
        # none, standard (refuses what changes the kernel) or strict (refuses what is not known to be needed)
        filter = "\(policy.systemCalls.filter.rawValue)"
        # By name; deny beats allow.
        allow = \(list(policy.systemCalls.allowed))
        deny = \(list(policy.systemCalls.denied))
        # Programs for another machine (32-bit ones) run, too.
        foreign-architectures = \(policy.systemCalls.foreignArchitectures)

        [network]
        # host (all of it), ports (TCP with those below) or none
        access = "\(policy.network.access.rawValue)"
        connect = [\(joined(policy.network.connect))]
        listen = [\(joined(policy.network.listen))]
        # With ports: datagrams to anywhere, which names need.
        udp = \(policy.network.udp)
        # Abstract unix sockets of processes outside of the sandbox.
        abstract-sockets = \(policy.network.abstractSockets)

        \(text(of: policy.limits))

        """
    }

    private static func text(of identity: SandboxPolicy.Identity) -> String {
        let user =
            switch identity.user {
            case .launcher: "launcher"
            case .own: "own"
            case .named(let name): name
            }
        let groups = identity.groups.map { "groups = \(list($0))" } ?? "#groups = []    # those that the user has"
        return """
            [identity]
            # A name or number, own (one that no other script has at the same time) or launcher (whoever runs the launcher)
            user = \(TOMLText.quoted(user))
            \(groups)
            # setuid programs like sudo stay without effect.
            no-new-privileges = \(identity.noNewPrivileges)
            \(text(of: identity.capabilities))
            """
    }

    /// A set with the capabilities that have no name yet is written by what it lacks.
    private static func text(of set: CapabilitySet) -> String {
        let named = CapabilitySet.names.count
        guard set.bits >> UInt64(named) != 0 else {
            return "# Exactly these, or \"all\"; add-capabilities and drop-capabilities change the base's.\n"
                + "capabilities = \(list(set.containedNames))"
        }
        return "# A list is exactly these; add-capabilities and drop-capabilities change that, or the base's.\n"
            + "capabilities = \"all\"\ndrop-capabilities = \(list(set.missingNames))"
    }

    private static func text(of limits: SandboxPolicy.Limits) -> String {
        """
        [limits]
        # Sizes are bytes or end in K, M, G or T; memory and swap may be "50%" of the machine's.
        # Of all processes of the script together:
        memory = \(amount(limits.memory))
        swap = \(amount(limits.swap))
        processes = \(number(limits.processes))
        # Of one CPU: "150%" is one and a half.
        cpu = \(limits.cpuPercent.map { "\"\($0)%\"" } ?? unlimited)
        # 1 to 10000; others have 100.
        cpu-weight = \(number(limits.cpuWeight))
        io-weight = \(number(limits.ioWeight))
        # Seconds.
        time = \(number(limits.timeSeconds))
        workspace = \(size(limits.workspaceBytes))
        # Of each process:
        open-files = \(number(limits.openFiles))
        file-size = \(size(limits.fileBytes))
        core-size = \(size(limits.coreBytes))
        address-space = \(size(limits.addressSpaceBytes))
        locked-memory = \(size(limits.lockedBytes))
        """
    }

    private static let unlimited = "\"unlimited\""

    private static func number(_ value: Int64?) -> String { value.map { "\($0)" } ?? unlimited }

    private static func size(_ bytes: Int64?) -> String {
        guard let bytes else { return unlimited }
        let text = ByteSize.text(bytes)
        return text == "\(bytes)" ? text : "\"\(text)\""
    }

    private static func amount(_ amount: SandboxPolicy.Limits.Amount?) -> String {
        switch amount {
        case nil: unlimited
        case .bytes(let bytes): size(bytes)
        case .percent(let percent): "\"\(percent)%\""
        }
    }

    private static func joined(_ ports: [UInt16]) -> String {
        var text = ""
        for port in ports { text += text.isEmpty ? "\(port)" : ", \(port)" }
        return text
    }

    /// On one line when it fits.
    private static func list(_ texts: [String]) -> String {
        let quoted = texts.map { TOMLText.quoted($0) }
        let line = "[\(quoted.joined(separator: ", "))]"
        guard line.utf8.count > 80 else { return line }
        return "[\n" + quoted.map { "    \($0),\n" }.joined() + "]"
    }
}
