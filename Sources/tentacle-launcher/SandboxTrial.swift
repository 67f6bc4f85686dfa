internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// A program under a policy without a script: to look what a host enforces, and to try a policy out.
struct SandboxTrial {
    let policy: SandboxPolicy
    let settings: LauncherSettings

    /// What a host makes of a policy.
    struct Findings {
        var enforced: [(layer: SandboxLayer, what: String)]
        var unenforced: [Unenforced]
        var landlockVersion: Int32
        var kernel: String
    }

    /// As far as it can be said without starting anything.
    func plan(workspace: String) throws(PolicyRefusal) -> SandboxPlan {
        try PolicyIdentity.check(policy)
        var surroundings = ScriptSurroundings(workspace: workspace)
        surroundings.user = try PolicyIdentity.user(of: policy)
        let shell = Supervisor.shell
        let script = workspace + "/" + ScriptSpecification.scriptFileName
        let command = SandboxedCommand(
            path: shell,
            arguments: [shell, script],
            environment: [:],
            directory: workspace
        )
        return SandboxPlan(policy: policy, host: .current, surroundings: surroundings, command: command)
    }

    func findings() throws -> Findings {
        let null = unsafe clinux_open("/dev/null", O_RDWR, 0)
        guard null >= 0 else { throw LauncherProtocolError("cannot open /dev/null: \(systemErrorText(-null))") }
        defer { close(null) }
        let signals = clinux_signal_descriptor()
        var unenforced: [Unenforced] = []
        var enforced: [(SandboxLayer, String)] = []
        _ = try run([Supervisor.shell, "-c", ":"], signals, output: null, error: null) { plan, group, missing in
            unenforced = missing
            enforced = plan.enforced
            if group { enforced.insert((.controlGroup, "everybody can be killed at once"), at: 0) }
        }
        let release = unsafe clinux_kernel_release()
        return Findings(
            enforced: enforced,
            unenforced: unenforced,
            landlockVersion: HostFeatures.current.landlockVersion,
            kernel: unsafe release.map { unsafe String(cString: $0) } ?? "?"
        )
    }

    func run(_ command: [String], _ signals: Int32) throws -> Int32 {
        // Copies: the script's own descriptors get these numbers.
        let (input, output, error) = (dup(0), dup(1), dup(2))
        return try run(command, signals, input: input, output: output, error: error) { _, _, missing in
            guard !missing.isEmpty else { return }
            Launcher.complain("not enforced here: \(Unenforced.text(missing))")
        }
    }

    /// The exit code of the program.
    private func run(
        _ command: [String],
        _ signals: Int32,
        input: Int32 = -1,
        output: Int32,
        error: Int32,
        _ tell: (SandboxPlan, Bool, [Unenforced]) -> Void
    ) throws -> Int32 {
        let folder = try TrialFolder()
        defer { folder.remove() }
        var surroundings = ScriptSurroundings(workspace: folder.workspace)
        try PolicyIdentity.check(policy)
        surroundings.user = try PolicyIdentity.user(of: policy)
        if let group = surroundings.user?.groups.last { try WorkspaceAccess.give(folder.descriptor, to: group) }
        for name in [SandboxPlan.privateTmp, SandboxPlan.privateVarTmp] {
            unsafe mkdirat(folder.descriptor, name, 0o700)
            unsafe chmod(folder.workspace + "/" + name, 0o1777)
        }
        let program = SandboxedCommand(
            path: try Self.find(command[0]),
            arguments: command,
            environment: environment(surroundings.user, folder.workspace),
            directory: folder.workspace
        )
        var unenforced: [Unenforced] = []
        let group =
            settings.usesControlGroups ? try? ControlGroup.make("trial", number: UTCMicroseconds.now.sinceEpoch) : nil
        if group == nil {
            unenforced.append(Unenforced(.controlGroup, "a control group", "none here, or switched off"))
        }
        defer { _ = group?.remove() }
        _ = ControlGroupLimits(policy.limits, on: group, unenforced: &unenforced)
        var host = HostFeatures.current
        while true {
            let plan = SandboxPlan(policy: policy, host: host, surroundings: surroundings, command: program)
            let streams = SandboxStreams(
                input: input,
                output: output,
                error: error,
                directory: folder.descriptor,
                claim: -1,
                signals: signals
            )
            do throws(SandboxFailure) {
                let started = try SandboxExecutor.startCompletely(plan, streams, group: group) { _ in }
                if plan.limitsProcesses { unenforced.removeAll { $0.what == ControlGroupLimits.processesWhat } }
                tell(plan, group != nil && started.groupRefusal == 0, unenforced + plan.unenforced)
                return wait(started, signals, group)
            } catch {
                guard host.doWithout(error, of: plan, systemErrorText) else {
                    throw LauncherProtocolError("cannot run \(program.path): \(systemErrorText(error.number))")
                }
            }
        }
    }

    private func wait(_ started: SandboxedProcess, _ signals: Int32, _ group: ControlGroup?) -> Int32 {
        var code: Int32 = 137
        while true {
            var waiting: InlineArray<2, pollfd> = [
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
                pollfd(fd: started.statuses, events: Int16(POLLIN), revents: 0),
            ]
            var span = waiting.mutableSpan
            let ready = unsafe span.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, -1) }
            guard ready > 0 else { continue }
            if waiting[1].revents != 0 {
                if let (_, status) = SandboxExecutor.readMessage(started.statuses) { code = clinux_exit_status(status) }
                break
            }
            if case let signal = clinux_next_signal(signals), signal != 0, signal != SIGCHLD {
                code = 128 + signal
                break
            }
        }
        if policy.processes.background, code < 128 { started.release() }
        // The keeper takes the end of this pipe for our own and ends everybody.
        close(started.life)
        _ = waitpid(started.processID, nil, Int32(CLINUX_WAIT_ALL))
        return code
    }

    private func environment(_ user: ScriptUser?, _ workspace: String) -> [String: String] {
        var environment: [String: String] = [:]
        for name in ["PATH", "TERM", "LANG", "TZ"] {
            if let value = unsafe getenv(name) { environment[name] = unsafe String(cString: value) }
        }
        if environment["PATH"] == nil { environment["PATH"] = Self.standardPath }
        let user = user ?? ScriptUser.find(String(geteuid()))
        environment["HOME"] = user.map { $0.home.isEmpty ? workspace : $0.home }
        environment["USER"] = user?.name
        environment["LOGNAME"] = user?.name
        environment["SHELL"] = user?.shell
        return environment
    }

    private static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// As a shell would.
    private static func find(_ program: String) throws(LauncherProtocolError) -> String {
        if program.contains("/") { return program }
        let value = unsafe getenv("PATH")
        let path = unsafe value.map { unsafe String(cString: $0) } ?? standardPath
        for directory in path.split(separator: ":") {
            let candidate = directory + "/" + program
            if unsafe access(candidate, X_OK) == 0 { return candidate }
        }
        throw LauncherProtocolError("\(program) is not in the PATH")
    }
}

/// `…/Work/trial` in a new folder.
private struct TrialFolder {
    let path: String
    let workspace: String
    let descriptor: Int32

    init() throws(LauncherProtocolError) {
        var template = Array("/var/tmp/tentacle-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw LauncherProtocolError("cannot make a folder in /var/tmp: \(systemErrorText(errno))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        workspace = path + "/Work/trial"
        // A user of the script's own has to get to its workspace.
        unsafe chmod(path, 0o711)
        unsafe mkdir(path + "/Work", 0o755)
        unsafe mkdir(workspace, 0o755)
        descriptor = unsafe clinux_open(workspace, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw LauncherProtocolError("cannot open \(workspace)") }
    }

    func remove() {
        close(descriptor)
        _ = Remover.remove(path, in: AT_FDCWD)
    }
}
