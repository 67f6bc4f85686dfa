internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// One script's directory and the path that it was opened by.
struct OpenWorkspace: ~Copyable {
    let directory: WorkspaceDirectory
    /// The agent's work directory, in which it is.
    let work: String
    let path: String
}

/// What one script may use; zero is no limit.
struct ScriptLimits {
    var log = OutputLogQuota.Limits()
    var workspaceBytes: Int64 = 0
    var seconds: Int64 = 0
}

/// Where scripts live and what they may do: from arguments or from a file that only its owner can write, never from a
/// request.
struct LauncherSettings {
    private var machine = MachineSettings()
    private var policies = PolicyDirectory()
    /// What is wrong with the machine's file, of which nothing is used then.
    ///
    /// No script starts; one that runs can be cancelled all the same.
    private(set) var fileProblem: LauncherProtocolError?

    /// Of the agents on this machine; a ticket is looked up in those that belong to who asks.
    var workDirectories: [String] { machine.workDirectories }
    /// A control group of version 2 for each script, where the host permits it.
    var usesControlGroups: Bool { machine.usesControlGroups }

    var limits: ScriptLimits {
        var limits = ScriptLimits()
        if let bytes = machine.logBytes { limits.log.logBytes = bytes }
        if let bytes = machine.reserveBytes { limits.log.reserveBytes = bytes }
        limits.workspaceBytes = machine.workspaceBytes
        limits.seconds = machine.timeSeconds
        return limits
    }

    /// Options, each with a value, go before the machine's file.
    ///
    /// | Option | Value | |
    /// |---|---|---|
    /// | `--config` | path | another file than `/etc/tentacle/launcher.toml` |
    /// | `--policies` | path | another directory than `/etc/tentacle/policies` |
    /// | `--work` | absolute path | `<Home>/Work` of an agent; once for each agent, on top of the file's |
    /// | `--policy` | name | for scripts for which neither a rule nor the agent names one |
    /// | `--control-groups` | `auto`, `off` | |
    /// | `--log-limit` | size, 1G | what one script's log may hold; what is over it is dropped, and the log says so |
    /// | `--disk-reserve` | size, 128M | what logs leave free on the disk |
    /// | `--workspace-quota` | size, 0 for none | what is in the script's directory; a script that puts more there is ended |
    /// | `--time-limit` | seconds, 0 for none | a script that takes longer is ended |
    ///
    /// Sizes are bytes, or end in K, M, G or T, which go by 1024.
    init(arguments: [String]) throws(LauncherProtocolError) {
        try read(arguments)
        guard !workDirectories.isEmpty else {
            throw fileProblem
                ?? LauncherProtocolError("the work directory must be given as an absolute path with --work")
        }
    }

    /// For a word that is about policies and not about a script; without agents it can be said, too.
    init(forPolicies arguments: [String]) throws(LauncherProtocolError) { try read(arguments) }

    private mutating func read(_ arguments: [String]) throws(LauncherProtocolError) {
        var file: String?
        var options: [(name: String, value: String)] = []
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw LauncherProtocolError("\(name) needs a value") }
            switch name {
            case "--config": file = value
            case "--policies": policies = PolicyDirectory(path: value)
            default: options.append((name, value))
            }
        }
        // The machine's file first, so that options go before it; without one of its own, the machine need not have it.
        do throws(LauncherProtocolError) {
            try readFile(file ?? MachineSettings.standardFile, isOptional: file == nil)
        } catch {
            fileProblem = error
        }
        for (name, value) in options { try set(name, value) }
    }

    private static let names =
        "--config, --policies, --work, --policy, --control-groups, --log-limit, --disk-reserve, --workspace-quota and "
        + "--time-limit"

    private mutating func set(_ name: String, _ value: String) throws(LauncherProtocolError) {
        switch name {
        case "--work":
            guard value.hasPrefix("/") else {
                throw LauncherProtocolError("a work directory is an absolute path, not \(value)")
            }
            machine.workDirectories.append(value)
        case "--policy":
            guard PolicyName.isValid(value) else {
                throw LauncherProtocolError("the name of a policy has \(PolicyName.form); it is not \(value)")
            }
            machine.policyName = value
        case "--control-groups":
            guard ["auto", "off"].contains(value) else {
                throw LauncherProtocolError("control-groups is auto or off, not \(value)")
            }
            machine.usesControlGroups = value == "auto"
        case "--log-limit": machine.logBytes = try Self.size(name, value)
        case "--disk-reserve": machine.reserveBytes = try Self.size(name, value)
        case "--workspace-quota": machine.workspaceBytes = try Self.size(name, value)
        case "--time-limit":
            guard let seconds = Int64(value), (0...MachineSettings.maximumSeconds).contains(seconds) else {
                throw LauncherProtocolError("time-limit is a number of seconds, not \(value)")
            }
            machine.timeSeconds = seconds
        default: throw LauncherProtocolError("unknown option \(name); known are \(Self.names)")
        }
    }

    private static func size(_ name: String, _ text: String) throws(LauncherProtocolError) -> Int64 {
        guard let bytes = ByteSize.parse(text) else {
            throw LauncherProtocolError(
                "\(name.dropFirst(2)) is a number of bytes, or one that ends in K, M, G or T, not \(text)"
            )
        }
        return bytes
    }

    private mutating func readFile(_ path: String, isOptional: Bool) throws(LauncherProtocolError) {
        do throws(SettingsFileError) {
            if let bytes = try OwnedFile.read(path, limit: MachineSettings.maximumBytes) {
                machine = try MachineSettings(bytes, path: path)
                return
            }
        } catch {
            throw LauncherProtocolError("\(error)")
        }
        guard isOptional else { throw LauncherProtocolError("there is no \(path)") }
    }

    // MARK: Policies

    /// The machine's default.
    var policyName: String { machine.policyName }

    func isForbidden(_ name: String) -> Bool { machine.forbidden.contains(name) }

    /// The profiles, then those of files.
    func policyNames() throws(LauncherProtocolError) -> [String] {
        do throws(SettingsFileError) {
            let profiles = SandboxPolicy.profiles.map(\.name)
            return try profiles + policies.names().filter { !profiles.contains($0) }
        } catch {
            throw LauncherProtocolError("\(error)")
        }
    }

    /// The error has a line for each problem of its file.
    func policy(named name: String) throws(LauncherProtocolError) -> SandboxPolicy {
        do throws(SettingsFileError) {
            return try policies.policy(named: name)
        } catch {
            throw LauncherProtocolError(error.problems.map(\.description).joined(separator: "\n"))
        }
    }

    /// The rules a script runs under; the error says why it must not start.
    func policy(
        for script: ScriptSpecification,
        in work: String
    ) throws(LauncherProtocolError) -> SandboxPolicy {
        if let fileProblem { throw fileProblem }
        let choice = machine.choose(
            MachineSettings.Script(
                instance: script.instance,
                mutex: script.mutexName,
                task: script.taskID,
                work: work,
                policyName: script.sandbox
            )
        )
        switch choice {
        case .refusal(let why): throw LauncherProtocolError(why)
        case .policy(let name):
            do throws(SettingsFileError) {
                return try policies.policy(named: name)
            } catch {
                throw LauncherProtocolError("\(error)")
            }
        }
    }

    // The workspace, resolved below a work directory by the kernel: no link, no `..`. Root and ourselves, nil, may ask for
    // every agent, another user for its own.
    func open(_ ticket: ScriptTicketName, for user: uid_t?) throws(LauncherProtocolError) -> OpenWorkspace {
        try find(for: user) { (work, path) throws(LauncherProtocolError) in
            let directory = unsafe clinux_open_beneath(work, ticket.description, O_RDONLY | O_DIRECTORY, 0)
            guard directory >= 0 else {
                throw LauncherProtocolError(
                    "cannot open the workspace of \(ticket) in \(path): \(systemErrorText(-directory))"
                )
            }
            return OpenWorkspace(
                directory: WorkspaceDirectory(takingOver: directory),
                work: path,
                path: path + "/" + ticket.description
            )
        }
    }

    /// Hands over each work directory, open, that belongs to who asks, until one has what is wanted.
    func find<Found: ~Copyable>(
        for user: uid_t?,
        _ body: (Int32, String) throws(LauncherProtocolError) -> Found
    ) throws(LauncherProtocolError) -> Found {
        var failure = LauncherProtocolError("user \(user.map { "\($0)" } ?? "") has no scripts here")
        for path in workDirectories {
            let work = unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0)
            guard work >= 0 else {
                failure = LauncherProtocolError("cannot open \(path): \(systemErrorText(-work))")
                continue
            }
            defer { close(work) }
            var facts = stat()
            guard unsafe fstat(work, &facts) == 0, user == nil || user == facts.st_uid else { continue }
            do throws(LauncherProtocolError) {
                return try body(work, path)
            } catch {
                failure = error
            }
        }
        // A work directory that is missing here may be in that file.
        throw fileProblem ?? failure
    }

    /// The same for one workspace, different from that of the same ticket in another work directory.
    func groupName(_ ticket: ScriptTicketName, _ directory: borrowing WorkspaceDirectory) -> String {
        var facts = stat()
        guard unsafe fstat(directory.descriptor, &facts) == 0 else { return "\(ticket)" }
        return "\(ticket).\(facts.st_dev).\(facts.st_ino)"
    }
}
