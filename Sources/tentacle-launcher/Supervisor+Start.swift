internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// How a script comes into its sandbox: what the host refuses is left out, one part after the other, and named.
extension Supervisor {
    mutating func start(_ directory: borrowing WorkspaceDirectory, _ log: borrowing OutputLogWriter) {
        do {
            var surroundings = ScriptSurroundings(workspace: directoryPath, protected: specification.protected)
            surroundings.user = try scriptUser()
            let command = SandboxedCommand(
                path: Self.shell,
                arguments: [Self.shell, directoryPath + "/" + ScriptSpecification.scriptFileName]
                    + specification.arguments,
                environment: environment(surroundings.user),
                directory: directoryPath
            )
            try start(surroundings, command, directory, log)
        } catch {
            perform(machine.startFailed(error.description), directory, log)
        }
    }

    private mutating func start(
        _ surroundings: ScriptSurroundings,
        _ command: SandboxedCommand,
        _ directory: borrowing WorkspaceDirectory,
        _ log: borrowing OutputLogWriter
    ) throws(LauncherProtocolError) {
        var host = HostFeatures.current
        var unenforced = makeGroup(directory)
        while true {
            let plan = SandboxPlan(policy: policy, host: host, surroundings: surroundings, command: command)
            try prepare(plan, surroundings, directory)
            // The kernel's own count of a user's processes does as well, where nobody else is that user.
            if plan.limitsProcesses { unenforced.removeAll { $0.what == ControlGroupLimits.processesWhat } }
            if policy.isRequired, let refusal = refusal(plan, unenforced) { throw refusal }
            do throws(SandboxFailure) {
                unenforced += try launch(plan, directory)
                unenforced += plan.unenforced
                return say(unenforced, log)
            } catch {
                guard let layer = plan.layer(of: error), host.refusal(of: layer) == nil else {
                    throw LauncherProtocolError(systemErrorText(error.number))
                }
                let step = plan.operations.indices.contains(error.stage) ? "\(plan.operations[error.stage])" : "clone"
                host.refuse(layer, "\(step): \(systemErrorText(error.number))")
            }
        }
    }

    /// What a kill cannot rely on here, and what else the policy wants, in the script's log.
    private func say(_ unenforced: [Unenforced], _ log: borrowing OutputLogWriter) {
        guard !unenforced.isEmpty else { return }
        var text = "Not enforced here: \(Unenforced.text(unenforced))."
        if group == nil, process?.namespaces.contains(.processes) != true {
            text += " Processes of the script live on when its launcher and its keeper are killed at once"
            text += geteuid() == 0 ? "." : ", and those of other users cannot be killed."
        }
        try? log.append([(.debug, text)])
    }

    /// A control group is for killing everybody at once: a PID namespace does so as well.
    private func refusal(_ plan: SandboxPlan, _ groups: [Unenforced]) -> LauncherProtocolError? {
        let canKill = plan.namespaces.contains(.processes)
        let missing = plan.unenforced + groups.filter { !canKill || $0.what != Self.groupText }
        guard !missing.isEmpty else { return nil }
        return LauncherProtocolError(
            "The script was not started: the policy \(policy.name) says require = true, and this host does not enforce "
                + "\(Unenforced.text(missing))."
        )
    }

    private static let groupText = "a control group"

    private mutating func makeGroup(_ directory: borrowing WorkspaceDirectory) -> [Unenforced] {
        var unenforced: [Unenforced] = []
        if settings.usesControlGroups {
            do {
                let name = settings.groupName(ticket, directory)
                group = try ControlGroup.make(name, number: UTCMicroseconds.now.sinceEpoch)
            } catch {
                unenforced.append(Unenforced(.controlGroup, Self.groupText, error.description))
            }
        } else {
            unenforced.append(Unenforced(.controlGroup, Self.groupText, "switched off"))
        }
        groupLimits = ControlGroupLimits(policy.limits, on: group, unenforced: &unenforced)
        return unenforced
    }

    /// Another user than the launcher, when the policy says so and the launcher may become one.
    private func scriptUser() throws(LauncherProtocolError) -> ScriptUser? {
        guard geteuid() == 0 else { return nil }
        var user: ScriptUser
        switch policy.identity.user {
        case .launcher: return nil
        case .own: user = .own(process: getpid())
        case .named(let name):
            guard let found = ScriptUser.find(name) else {
                throw LauncherProtocolError(
                    "The policy \(policy.name) names the user \(name), who is not in /etc/passwd."
                )
            }
            user = found
        }
        if let names = policy.identity.groups {
            user.groups = []
            for name in names {
                guard let group = ScriptUser.groupNumber(name) else {
                    throw LauncherProtocolError(
                        "The policy \(policy.name) names the group \(name), which is not in /etc/group."
                    )
                }
                user.groups.append(group)
            }
        }
        // By it alone the script gets into its workspace.
        user.groups.append(ScriptUser.own(process: getpid()).group)
        return user
    }

    /// The agent's, with the names of whom the script runs as where that is somebody else.
    private func environment(_ user: ScriptUser?) -> [String: String] {
        var environment = specification.environment
        guard let user = user ?? (isForeign ? ScriptUser.find(String(geteuid())) : nil) else { return environment }
        environment["HOME"] = user.home.isEmpty ? directoryPath : user.home
        environment["USER"] = user.name
        environment["LOGNAME"] = user.name
        environment["SHELL"] = user.shell
        return environment
    }

    /// The workspace, and with it the agent, are another user's.
    private var isForeign: Bool {
        var facts = stat()
        return unsafe stat(directoryPath, &facts) == 0 && facts.st_uid != geteuid()
    }

    private func prepare(
        _ plan: SandboxPlan,
        _ surroundings: ScriptSurroundings,
        _ directory: borrowing WorkspaceDirectory
    ) throws(LauncherProtocolError) {
        if let user = surroundings.user, plan.operations.contains(.becomeUser(user)), let group = user.groups.last {
            try WorkspaceAccess.give(directory.descriptor, to: group)
        }
        guard plan.needsPrivateDirectories else { return }
        for name in [SandboxPlan.privateTmp, SandboxPlan.privateVarTmp] {
            let result = unsafe mkdirat(directory.descriptor, name, 0o700)
            guard result == 0 || errno == EEXIST else {
                throw LauncherProtocolError("cannot make \(name) in the workspace: \(systemErrorText(errno))")
            }
            let made = unsafe clinux_open_beneath(directory.descriptor, name, O_RDONLY | O_DIRECTORY, 0)
            guard made >= 0 else { throw LauncherProtocolError("\(name) in the workspace is no directory") }
            fchmod(made, 0o1777)
            close(made)
        }
    }

    private mutating func launch(
        _ plan: SandboxPlan,
        _ directory: borrowing WorkspaceDirectory
    ) throws(SandboxFailure) -> [Unenforced] {
        var outputs: [Int32] = [-1, -1]
        var errors: [Int32] = [-1, -1]
        guard unsafe clinux_pipe(&outputs) == 0, unsafe clinux_pipe(&errors) == 0 else {
            throw SandboxFailure(stage: -1, number: errno)
        }
        defer {
            close(outputs[1])
            close(errors[1])
        }
        output.descriptor = outputs[0]
        error.descriptor = errors[0]
        for pipe in [outputs[0], errors[0]] { _ = fcntl(pipe, F_SETFL, O_NONBLOCK) }
        do throws(SandboxFailure) {
            let streams = SandboxStreams(
                output: outputs[1],
                error: errors[1],
                directory: directory.descriptor,
                claim: claim,
                signals: signals
            )
            let workspace = directory.descriptor
            let started = try SandboxExecutor.start(plan, streams, group: group) { Self.orphaned(workspace, $0) }
            // The steps of the script's own process: at the pipe's end its program runs.
            if let failure = SandboxExecutor.readMessage(started.failures) {
                throw abandon(started, SandboxFailure(stage: Int(failure.0), number: failure.1))
            }
            close(started.failures)
            process = started
            guard let refused = group, started.groupRefusal != 0 else { return [] }
            _ = refused.remove()
            group = nil
            return [Unenforced(.controlGroup, Self.groupText, systemErrorText(started.groupRefusal))]
        } catch {
            close(outputs[0])
            close(errors[0])
            (output.descriptor, self.error.descriptor) = (-1, -1)
            throw error
        }
    }

    /// The keeper of a script that could not begin has nobody left to keep.
    private func abandon(_ started: SandboxedProcess, _ failure: SandboxFailure) -> SandboxFailure {
        close(started.life)
        close(started.statuses)
        close(started.failures)
        _ = waitpid(started.processID, nil, Int32(CLINUX_WAIT_ALL))
        close(started.pidDescriptor)
        return failure
    }
}

/// Lets a user of the script's own into its workspace, and no further than that.
enum WorkspaceAccess {
    private static let maximumDepth = 64

    /// The group gets what the agent's user has but for the agent's own files; nothing of others' can be removed.
    static func give(_ directory: Int32, to group: UInt32) throws(LauncherProtocolError) {
        let sticky: mode_t = 0o1770
        guard fchown(directory, .max, group) == 0, fchmod(directory, sticky) == 0 else {
            throw LauncherProtocolError("cannot give the workspace to the script's user: \(systemErrorText(errno))")
        }
        giveEntries(dup(directory), group, 0)
    }

    private static func giveEntries(_ directory: Int32, _ group: UInt32, _ depth: Int) {
        DirectoryEntries.forEach(takingOver: directory) { directory, name, isDirectory in
            if depth == 0, isAgents(name) { return true }
            let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
            let entry = unsafe openat(directory, name, flags)
            guard entry >= 0 else { return true }
            var facts = stat()
            // A second name may be of a file outside.
            if unsafe fstat(entry, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR || facts.st_nlink == 1 {
                fchown(entry, .max, group)
                let owner = (facts.st_mode & 0o700) >> 3
                fchmod(entry, facts.st_mode & 0o7777 & ~0o070 | owner)
            }
            if isDirectory, depth < maximumDepth { giveEntries(entry, group, depth + 1) } else { close(entry) }
            return true
        }
    }

    private static func isAgents(_ name: String) -> Bool {
        [
            ScriptSpecification.fileName, ScriptSpecification.logFileName, ScriptStateRecord.fileName,
            WorkspaceDirectory.reserveFileName,
        ].contains { name.hasPrefix($0) } || name.hasSuffix(".lock")
    }
}
