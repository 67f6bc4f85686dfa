internal import CLinux
internal import Glibc

/// The process between the supervisor and the script: it starts the script, reports its end, reaps everybody, and ends
/// what is left when the supervisor is killed.
///
///     supervisor ──life (pipe)──▶ keeper ──▶ bash ──▶ …
///                ◀──statuses────
///
/// In a PID namespace it is the first process, elsewhere a subreaper: either way whoever loses its parent becomes its
/// child. Why a process and not PR_SET_PDEATHSIG: that reaches the script's own process only, its children clear it by
/// forking. When the keeper itself is killed, what it kept becomes the supervisor's, or ends with the namespace.
struct Keeper: ~Copyable {
    /// In place of a stage: the script's process is there, the second number is why it is in no control group.
    static let standing: Int32 = -2
    /// Those that the keeper makes itself: the kernel takes longer for a network than for all the rest, and the supervisor
    /// has something else to do meanwhile.
    static let lateNamespaces: NamespaceSet = [.ipc, .hostName, .network]
    /// As long as the supervisor gives a cancel.
    static let killMilliseconds: Int64 = 1500

    let plan: SandboxPlan
    let streams: SandboxStreams
    let failures: Int32
    let statuses: Int32
    let life: Int32
    /// Programs for `filterSystemCalls`, in their order.
    let filters: Int32
    /// The launcher's process id as the host knows it.
    let supervisor: Int32
    let group: ControlGroup?
    private var files = KeeperFiles()

    init(
        plan: SandboxPlan,
        streams: SandboxStreams,
        failures: Int32,
        statuses: Int32,
        life: Int32,
        filters: Int32,
        supervisor: Int32,
        group: ControlGroup?
    ) {
        self.plan = plan
        self.streams = streams
        self.failures = failures
        self.statuses = statuses
        self.life = life
        self.filters = filters
        self.supervisor = supervisor
        self.group = group
    }

    consuming func run(orphaned: ([ProcessTable.Row]) -> Void) -> Never {
        closeAll(except: [
            0, 1, 2, streams.input, streams.output, streams.error, streams.directory, streams.claim, streams.signals,
            failures, statuses, life, filters, group?.directory ?? -1,
        ])
        let late = plan.namespaces.intersection(Self.lateNamespaces)
        if !late.isEmpty {
            // Of a stage of its own, like the clone that makes the others.
            let result = clinux_leave_namespaces(late.rawValue)
            if result < 0 { fail(-1, -result) }
        }
        // Who may not be traced may not write its own user map either.
        if plan.namespaces.contains(.user) { SandboxExecutor.openToOthers() }
        for (stage, operation) in plan.keeperOperations.enumerated() {
            let number = apply(operation)
            if number != 0 { fail(stage, number) }
        }
        // Before the script is there, which inherits it only until it executes its program.
        SandboxExecutor.closeToOthers()
        let (script, refusal) = startScript()
        if script < 0 { fail(-1, -script) }
        report(Self.standing, refusal, to: statuses)
        for descriptor in [streams.output, streams.error, failures, filters] { close(descriptor) }
        keep(script, orphaned)
    }

    /// The script's process, and why it is in no control group.
    ///
    /// As long as it stays our user it begins in our memory: a copy takes longer than all that it does before it executes.
    /// Another user's process never has memory in common with ours.
    private mutating func startScript() -> (Int32, Int32) {
        let sharesMemory = !plan.changesUser
        return unsafe withUnsafeMutablePointer(to: &self) { keeper in
            unsafe Self.startScript(keeper, sharesMemory, group: keeper.pointee.group)
        }
    }

    private static func startScript(
        _ keeper: UnsafeMutablePointer<Keeper>,
        _ sharesMemory: Bool,
        group: ControlGroup?
    ) -> (Int32, Int32) {
        func start(_ directory: Int32) -> Int32 {
            if sharesMemory {
                return unsafe clinux_run_apart(
                    directory,
                    { unsafe $0?.assumingMemoryBound(to: Keeper.self).pointee.runScript() },
                    keeper
                )
            }
            let script = directory < 0 ? clinux_clone(0, nil) : clinux_clone_into_cgroup(directory)
            if script == 0 { unsafe keeper.pointee.runScript() }
            return script
        }
        guard let group else { return (start(-1), 0) }
        let script = start(group.directory)
        // Containers forbid the call, whose flags their filters cannot read.
        return script >= 0 ? (script, 0) : (start(-1), -script)
    }

    private func keep(_ script: Int32, _ orphaned: ([ProcessTable.Row]) -> Void) -> Never {
        while reap(script) {
            // An array would need its type made in this process, at every script.
            var waiting: InlineArray<2, pollfd> = [
                pollfd(fd: streams.signals, events: Int16(POLLIN), revents: 0),
                pollfd(fd: life, events: Int16(POLLIN), revents: 0),
            ]
            var span = waiting.mutableSpan
            let ready = unsafe span.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, -1) }
            guard ready > 0 else { continue }
            while clinux_next_signal(streams.signals) != 0 {}
            guard waiting[1].revents != 0 else { continue }
            var byte: UInt8 = 0
            if unsafe read(life, &byte, 1) == 1 { _exit(0) }
            endAll(orphaned)
        }
        _exit(0)
    }

    /// The supervisor is gone: nobody would be told how the script ends, nor could stop it.
    private func endAll(_ orphaned: ([ProcessTable.Row]) -> Void) -> Never {
        let living = TreeEnd.run(
            group: group,
            milliseconds: Self.killMilliseconds,
            signals: streams.signals,
            kill: {
                // In a namespace: everybody but ourselves, at once.
                if plan.namespaces.contains(.processes) {
                    kill(-1, SIGKILL)
                } else {
                    ProcessTable.killDescendants(of: getpid())
                }
            },
            reap: { reap(0) }
        )
        _ = group?.remove()
        orphaned(living)
        _exit(0)
    }

    /// Collects the dead; false when nobody is left to wait for.
    private func reap(_ script: Int32) -> Bool {
        while true {
            var status: Int32 = 0
            let ended = unsafe waitpid(-1, &status, WNOHANG | Int32(CLINUX_WAIT_ALL))
            if ended < 0 { return errno != ECHILD }
            if ended == 0 { return true }
            if ended == script { report(0, status, to: statuses) }
        }
    }

    // MARK: The script's process

    private mutating func runScript() -> Never {
        for (index, operation) in plan.scriptOperations.enumerated() {
            let number = apply(operation)
            if number != 0 { fail(plan.keeperOperations.count + index, number) }
        }
        // Only reached by a plan without an execution at its end.
        _exit(127)
    }

    private func fail(_ stage: Int, _ number: Int32) -> Never {
        report(Int32(stage), number, to: failures)
        _exit(127)
    }

    private func report(_ first: Int32, _ second: Int32, to pipe: Int32) {
        var message: [Int32] = [first, second]
        _ = unsafe write(pipe, &message, 8)
    }

    private mutating func apply(_ operation: SandboxOperation) -> Int32 {
        switch operation {
        case .dieWithParent: return -clinux_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL))
        case .adoptOrphans: return -clinux_prctl(PR_SET_CHILD_SUBREAPER, 1)
        case .holdClaim: return holdClaim()
        case .mapUser: return KeeperFiles.mapUser(plan.user, plan.group)
        case .keepMountsInside: return KeeperFiles.keepMountsInside()
        case .forbidDevices: return KeeperFiles.forbidDevices()
        case .readOnlyRoot(let paths): return KeeperFiles.readOnlyRoot(except: paths)
        case .takeWorkspace(let path): return files.takeWorkspace(path, opened: streams.directory)
        case .privateTmp(let workspace): return KeeperFiles.privateTmp(workspace)
        case .privateDev(let devices, let sharedMemory):
            let asRoot = !plan.namespaces.contains(.user)
            return KeeperFiles.privateDev(devices, sharedMemory: sharedMemory, asRoot: asRoot)
        case .mountProc:
            return -(unsafe clinux_mount("proc", "/proc", UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC), nil))
        case .readOnly(let path): return KeeperFiles.readOnly(path)
        case .hide(let path): return KeeperFiles.hide(path)
        case .showWorkspace(let path, let alone): return files.showWorkspace(path, alone: alone)
        case .loopback: return -clinux_start_loopback()
        case .numberProcessesFromOurs:
            // Where the kernel refuses, it stays so.
            _ = KeeperFiles.write(String(supervisor), to: "/proc/sys/kernel/ns_last_pid")
            return 0
        case .newSession: return setsid() < 0 ? errno : 0
        case .standardStreams: return redirect()
        case .closeOtherDescriptors: return -clinux_close_range(3, .max, 1)
        case .enterDirectory(let path): return enter(path)
        case .limit(let limit): return -clinux_set_limit(limit.kind.number, UInt64(limit.value))
        case .resetMemoryPriority:
            _ = KeeperFiles.write("0", to: "/proc/self/oom_score_adj")
            return 0
        case .noNewPrivileges: return -clinux_prctl(PR_SET_NO_NEW_PRIVS, 1)
        case .landlock(let rules, let version): return rules.enforce(version: version)
        case .filterSystemCalls: return SystemCallFilter.install(from: filters)
        case .keepCapabilities(let set): return keep(set)
        case .becomeUser(let user): return become(user)
        case .defaultSignals:
            clinux_default_signals()
            return 0
        case .execute(let path, let arguments): return execute(path, arguments, plan.command.environment)
        }
    }

    /// By its path, as the namespace has it: the launcher's descriptor leads to the host's mounts.
    private func enter(_ path: String) -> Int32 {
        if plan.namespaces.contains(.mounts) { return unsafe chdir(path) < 0 ? errno : 0 }
        return fchdir(streams.directory) < 0 ? errno : 0
    }

    /// Root gets at execution what the bounding set leaves.
    private func keep(_ set: CapabilitySet) -> Int32 {
        let bounding: Int32 = 24
        for number in 0..<64 where !set.contains(number) {
            let result = clinux_prctl(bounding, UInt(number))
            // Behind the last one that this kernel knows.
            if result == -EINVAL { break }
            guard result == 0 else { return -result }
        }
        let own = clinux_capabilities()
        return -clinux_set_capabilities(own, own, 0)
    }

    private func become(_ user: ScriptUser) -> Int32 {
        var result = unsafe clinux_set_groups(user.groups.count, user.groups)
        if result == 0 { result = clinux_set_group(user.group) }
        if result == 0 { result = clinux_set_user(user.user) }
        return -result
    }

    private func holdClaim() -> Int32 {
        guard streams.claim >= 0 else { return 0 }
        var lock = flock(
            l_type: Int16(F_WRLCK),
            l_whence: Int16(SEEK_SET),
            l_start: SandboxExecutor.keeperLockByte,
            l_len: 1,
            l_pid: 0
        )
        return unsafe fcntl(streams.claim, F_SETLK, &lock) < 0 ? errno : 0
    }

    private func redirect() -> Int32 {
        let input = streams.input >= 0 ? streams.input : unsafe clinux_open("/dev/null", O_RDONLY, 0)
        guard input >= 0 else { return -input }
        // A copy onto itself would keep close-on-exec: the pipes must not be 0, 1 or 2 themselves.
        guard min(input, streams.output, streams.error) > 2 else { return EBADF }
        guard dup2(input, 0) == 0, dup2(streams.output, 1) == 1, dup2(streams.error, 2) == 2 else { return errno }
        return 0
    }

    private func execute(_ path: String, _ arguments: [String], _ environment: [String: String]) -> Int32 {
        // Plain memory, which ends with the program: an array's type would have to be made first.
        let argv = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: arguments.count + 1)
        for (index, argument) in arguments.enumerated() { unsafe argv[index] = strdup(argument) }
        unsafe argv[arguments.count] = nil
        let variables = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: environment.count + 1)
        for (index, variable) in environment.enumerated() {
            unsafe variables[index] = strdup("\(variable.key)=\(variable.value)")
        }
        unsafe variables[environment.count] = nil
        unsafe execve(path, argv, variables)
        return errno
    }

    private func closeAll(except kept: [Int32]) {
        var first: UInt32 = 0
        for descriptor in kept.filter({ $0 >= 0 }).sorted() {
            let descriptor = UInt32(descriptor)
            if descriptor > first { _ = clinux_close_range(first, descriptor - 1, 0) }
            first = descriptor + 1
        }
        _ = clinux_close_range(first, .max, 0)
    }
}

extension ResourceLimit.Kind {
    fileprivate var number: Int32 {
        switch self {
        case .fileBytes: 1
        case .coreBytes: 4
        case .processes: 6
        case .openFiles: 7
        case .lockedBytes: 8
        case .addressSpaceBytes: 9
        }
    }
}
