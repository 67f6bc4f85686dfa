import Testing

@testable import Sandbox

@Suite struct SandboxPlanTests {
    static let command = SandboxedCommand(
        path: "/bin/bash",
        arguments: ["/bin/bash", "x"],
        environment: [:],
        directory: "/home/Work/one"
    )
    static let root = HostFeatures(user: 0, capabilities: .all, landlockVersion: 7)
    static let ordinary = HostFeatures(user: 1000, group: 1000, capabilities: .empty, landlockVersion: 7)

    static func plan(
        _ policy: SandboxPolicy,
        _ host: HostFeatures,
        user: ScriptUser? = nil,
        protected: [String] = ["/etc/octopus"]
    ) -> SandboxPlan {
        let surroundings = ScriptSurroundings(workspace: "/home/Work/one", protected: protected, user: user)
        return SandboxPlan(policy: policy, host: host, surroundings: surroundings, command: command)
    }

    /// Without the long lists.
    static func lines(_ plan: SandboxPlan) -> [String] {
        plan.description.split(separator: "\n").map { line in
            line.contains("system calls") ? String(line.prefix { $0 != ":" }) : String(line)
        }
    }

    @Test("standard, as root")
    func standard() {
        let plan = Self.plan(.standard, Self.root)
        #expect(
            Self.lines(plan).joined(separator: "\n") == """
                1. new namespaces: PID, mount
                2. adopt orphans
                3. hold the claim on the workspace
                4. keep mounts inside the namespace
                5. no device works but those in /dev
                6. hold the workspace /home/Work/one
                7. own /tmp and /var/tmp, in the workspace
                8. own /dev
                9. mount /proc of the PID namespace
                10. number processes from the launcher's own number
                11. read-only /boot
                12. read-only /sys
                13. read-only /lib/modules
                14. read-only /usr/lib/modules
                15. read-only /etc/tentacle
                16. read-only /proc/sys
                17. read-only /proc/sysrq-trigger
                18. read-only /proc/irq
                19. read-only /proc/bus
                20. read-only /proc/fs
                21. read-only /proc/acpi
                22. hide /run/tentacle
                23. hide /run/systemd/private
                24. hide /etc/octopus
                25. show /home/Work/one, and no other workspace
                26. die with the keeper
                27. begin a session
                28. input from nowhere, output and errors into the log
                29. close every other descriptor at execution
                30. enter /home/Work/one
                31. go before the launcher when memory runs out
                32. at most 0 bytes of a core dump
                33. landlock 7: signals stay inside; abstract sockets stay inside
                34. system calls refused (* with certain arguments)
                35. capabilities: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE \
                NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_CHROOT SYS_NICE SYS_RESOURCE LEASE AUDIT_WRITE \
                SETFCAP
                36. default action for every signal, none blocked
                37. execute /bin/bash with 2 arguments
                """
        )
        #expect(plan.unenforced.isEmpty)
        #expect(plan.needsPrivateDirectories)
    }

    @Test("strict, as root: no new privileges, another user, and its parent's end asked for again behind it")
    func strict() throws {
        let user = ScriptUser.own(process: 7)
        let plan = Self.plan(.strict, Self.root, user: user)
        #expect(plan.namespaces == [.processes, .mounts, .ipc, .hostName, .network])
        #expect(plan.keeperOperations.contains(.readOnlyRoot(except: ["/home/Work/one"])))
        #expect(plan.keeperOperations.contains(.hide("/run/dbus")))
        #expect(plan.keeperOperations.last == .loopback)
        // What is read-only as a whole is not so once more, but for /proc, which is mounted behind it.
        #expect(!plan.operations.contains(.readOnly("/boot")))
        #expect(plan.operations.contains(.readOnly("/proc/sys")))
        let order: [SandboxOperation] = [
            .limit(ResourceLimit(.processes, 512)), .noNewPrivileges, .keepCapabilities(.empty), .becomeUser(user),
            .dieWithParent, .defaultSignals,
        ]
        let positions = try order.map { try #require(plan.scriptOperations.lastIndex(of: $0), "\($0)") }
        #expect(positions == positions.sorted())
        let filters = plan.scriptOperations.filter { if case .filterSystemCalls = $0 { true } else { false } }
        #expect(filters.count == 2)
        #expect(plan.unenforced.isEmpty)
    }

    @Test("none does what a script needs, and nothing else", arguments: [root, ordinary])
    func none(host: HostFeatures) {
        let plan = Self.plan(.none, host)
        #expect(plan.namespaces.isEmpty && plan.unenforced.isEmpty && !plan.needsPrivateDirectories)
        #expect(plan.keeperOperations == [.adoptOrphans, .holdClaim])
        #expect(plan.operations.allSatisfy { $0.layer == nil })
        #expect(plan.operations.last == .execute(path: "/bin/bash", arguments: ["/bin/bash", "x"]))
    }

    @Test("standard, as an ordinary user, keeps sudo and says what is not there")
    func sudo() {
        let plan = Self.plan(.standard, Self.ordinary)
        #expect(plan.namespaces.isEmpty)
        #expect(plan.unenforced.map(\.layer) == [.pidNamespace, .mounts, .landlock, .systemCalls])
        #expect(plan.unenforced.allSatisfy { $0.why.contains("sudo") })
        #expect(plan.operations.compactMap(\.layer) == [.resourceLimits])
    }

    @Test("strict, as an ordinary user, is built in a user namespace")
    func userNamespace() {
        let plan = Self.plan(.strict, Self.ordinary)
        #expect(plan.namespaces.contains([.user, .mounts, .processes, .network]))
        #expect(plan.keeperOperations[2] == .mapUser)
        #expect(!plan.operations.contains(.forbidDevices))
        #expect(plan.unenforced == [Unenforced(.user, "another user", "not root")])
    }

    @Test("where user namespaces are refused, landlock stands in for what cannot be mounted")
    func noUserNamespace() throws {
        var host = Self.ordinary
        host.refuse(.userNamespace, "clone: Operation not permitted")
        let plan = Self.plan(.strict, host)
        #expect(plan.namespaces.isEmpty)
        let rules = try #require(plan.landlock)
        #expect(rules.exceptions.contains("/etc/octopus") && rules.exceptions.contains("/home/Work"))
        #expect(rules.writable == ["/home/Work/one"])
        #expect(rules.connect == [] && rules.listen == [])
        let missing = Set(plan.unenforced.map(\.layer))
        #expect(missing == [.pidNamespace, .mounts, .ipcNamespace, .hostNameNamespace, .networkNamespace, .user])
    }

    @Test(
        "an old kernel does what it can, and the rest has a name",
        arguments: [
            (0, false, [SandboxLayer.mounts]), (3, true, []), (6, true, []),
        ]
    )
    func old(landlock: Int32, mounts: Bool, missing: [SandboxLayer]) {
        let host = HostFeatures(user: 0, capabilities: .all, landlockVersion: landlock, hasMountAttributes: mounts)
        let plan = Self.plan(.standard, host)
        #expect(plan.unenforced.map(\.layer) == missing)
        // Its own processes are in /proc all the same.
        #expect(plan.keeperOperations.contains(.mountProc))
    }

    @Test("what no namespace does either is missed on an old kernel")
    func oldScopes() {
        var policy = SandboxPolicy.standard
        policy.network.access = .ports
        let host = HostFeatures(user: 0, capabilities: .all, landlockVersion: 5)
        let missing = Unenforced(.landlock, "abstract sockets", "landlock 5, 6 is needed")
        #expect(Self.plan(policy, host).unenforced == [missing])
        policy.network.access = .none
        #expect(Self.plan(policy, host).unenforced.isEmpty)
    }

    @Test("a step that fails is left out of the next plan, once, and named")
    func doWithout() throws {
        var host = Self.root
        let plan = Self.plan(.standard, host)
        let stage = try #require(plan.operations.firstIndex(of: .readOnly("/sys")))
        let failure = SandboxFailure(stage: stage, number: 1)
        #expect(host.doWithout(failure, of: plan) { "error \($0)" })
        let next = Self.plan(.standard, host)
        #expect(next.namespaces == [.processes])
        #expect(next.unenforced.map(\.layer) == [.mounts])
        #expect(next.unenforced.map(\.why) == ["read-only /sys: error 1"])
        #expect(!host.doWithout(failure, of: plan) { "\($0)" })
        let clone = SandboxFailure(stage: -1, number: 28)
        #expect(host.doWithout(clone, of: next) { "error \($0)" })
        #expect(Self.plan(.standard, host).namespaces.isEmpty)
        // Without the program there is nothing to do without.
        let last = SandboxFailure(stage: plan.operations.count - 1, number: 2)
        #expect(!host.doWithout(last, of: plan) { "\($0)" })
    }

    @Test("what lives on is in no namespace that ends with the script")
    func background() {
        var policy = SandboxPolicy.standard
        policy.processes.background = true
        let plan = Self.plan(policy, Self.root)
        #expect(plan.namespaces == [.mounts])
        #expect(!plan.operations.contains(.mountProc))
        #expect(plan.landlock?.scopesSignals == false)
    }

    @Test("named ports are landlock's, and sockets the filter's")
    func ports() throws {
        var policy = SandboxPolicy.strict
        policy.network.access = .ports
        policy.network.connect = [443]
        policy.network.listen = [8080]
        let plan = Self.plan(policy, Self.root, user: .own(process: 7))
        #expect(!plan.namespaces.contains(.network))
        let rules = try #require(plan.landlock)
        #expect(rules.connect == [443] && rules.listen == [8080])
        let sockets = SystemCallFilter.filters(policy, ownNetwork: false).first?.rules.filter { $0.name == "socket" }
        // AF_UNIX, AF_INET and AF_INET6 for streams, AF_NETLINK.
        #expect(sockets?.count == 4)
    }

    @Test("what is writable beats what is read-only, in both profiles", arguments: [SandboxPolicy.standard, .strict])
    func writable(_ profile: SandboxPolicy) {
        var policy = profile
        policy.files.writable = ["/boot", "/proc"]
        let operations = Self.plan(policy, Self.root).operations
        #expect(!operations.contains(.readOnly("/boot")))
        #expect(!operations.contains(.readOnly("/proc/sys")))
        #expect(operations.contains(.readOnly("/sys")) == !policy.files.rootIsReadOnly)
    }

    @Test("reasons are said once for what they have in common")
    func reasons() {
        let all = [
            Unenforced(.mounts, "a", "one"), Unenforced(.user, "b", "two"), Unenforced(.landlock, "c", "one"),
        ]
        #expect(Unenforced.text(all) == "a, c (one); b (two)")
    }
}

@Suite struct SystemCallListTests {
    @Test("what a policy denies beats what it allows, and both beat the filter")
    func overrides() {
        var policy = SandboxPolicy.standard
        policy.systemCalls.allowed = ["mount", "chmod"]
        policy.systemCalls.denied = ["ptrace", "chmod"]
        let filters = SystemCallFilter.filters(policy, ownNetwork: false)
        #expect(filters.count == 1)
        let names = filters[0].rules.map(\.name)
        #expect(!names.contains("mount") && names.contains("umount2"))
        #expect(names.contains("ptrace") && names.contains("chmod"))
        policy.systemCalls.filter = .strict
        let strict = SystemCallFilter.filters(policy, ownNetwork: false)
        #expect(strict[0].rules.contains(SystemCallRule("mount", .allow)))
        #expect(!strict[1].rules.contains { $0.name == "mount" })
    }

    @Test("no name of the lists is misspelt", arguments: SandboxPolicy.profiles)
    func known(profile: SandboxPolicy) {
        var policy = profile
        policy.systemCalls.allowed = SystemCallFilter.filters(profile, ownNetwork: true).flatMap(\.rules).map(\.name)
        // Newer than the library.
        let recent: Set = [
            "cachestat", "fchmodat2", "futex_requeue", "futex_wait", "futex_wake", "listmount", "map_shadow_stack",
            "mseal", "riscv_hwprobe", "statmount",
        ]
        #expect(Set(SystemCallFilter.unknownNames(policy)).subtracting(recent) == [])
    }

    @Test("a name that is none is told")
    func unknown() {
        var policy = SandboxPolicy.none
        policy.systemCalls.denied = ["mount", "no_such_call"]
        #expect(SystemCallFilter.unknownNames(policy) == ["no_such_call"])
    }
}

@Suite struct KernelLogTests {
    @Test("the record of a process that was killed for its memory")
    func killed() {
        let record = """
            6,1234,567,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
            oom_memcg=/system.slice/x.service,task_memcg=/system.slice/x.service/script-one,task=python3,pid=4711,uid=0
            """
        #expect(KernelLog.field("task=", in: record) == "python3")
        #expect(KernelLog.field("pid=", in: record) == "4711")
        #expect(KernelLog.field("task_memcg=", in: record) == "/system.slice/x.service/script-one")
        #expect(KernelLog.field("task=", in: "something,task=else") == nil)
        let escaped = record.replacing("x.service/", with: "system-tentacle\\x5cx2dlauncher.slice/")
        let group = KernelLog.field("task_memcg=", in: escaped)
        #expect(group == "/system.slice/system-tentacle\\x2dlauncher.slice/script-one")
    }

    @Test("a group is below the one that is limited, wherever that is mounted")
    func below() {
        #expect(KernelLog.isBelow("/a/unit/script-one", "/sys/fs/cgroup/a/unit"))
        #expect(KernelLog.isBelow("/a/unit/script-one", "/sys/fs/cgroup/a/unit/script-one"))
        #expect(!KernelLog.isBelow("/a/other/script-one", "/sys/fs/cgroup/a/unit"))
        #expect(!KernelLog.isBelow("/", "/sys/fs/cgroup/a"))
    }
}
