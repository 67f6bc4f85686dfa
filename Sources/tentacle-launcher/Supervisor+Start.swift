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
        } catch let refusal as PolicyRefusal {
            outcome = .refused(refusal.text)
        } catch {
            perform(machine.startFailed("\(error)"), directory, log)
        }
    }

    private mutating func start(
        _ surroundings: ScriptSurroundings,
        _ command: SandboxedCommand,
        _ directory: borrowing WorkspaceDirectory,
        _ log: borrowing OutputLogWriter
    ) throws {
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
                guard host.doWithout(error, of: plan, systemErrorText) else {
                    throw LauncherProtocolError(systemErrorText(error.number))
                }
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
    private func refusal(_ plan: SandboxPlan, _ groups: [Unenforced]) -> PolicyRefusal? {
        let canKill = plan.namespaces.contains(.processes)
        let missing = plan.unenforced + groups.filter { !canKill || $0.what != Self.groupText }
        guard !missing.isEmpty else { return nil }
        return PolicyRefusal(
            text: "the policy \(policy.name) says require = true, and this host does not enforce "
                + "\(Unenforced.text(missing)). See `tentacle sandbox check \(policy.name)`."
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
    private func scriptUser() throws(PolicyRefusal) -> ScriptUser? {
        try PolicyIdentity.check(policy)
        return try PolicyIdentity.user(of: policy)
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
            let started = try SandboxExecutor.startCompletely(plan, streams, group: group) {
                Self.orphaned(workspace, $0)
            }
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
}
