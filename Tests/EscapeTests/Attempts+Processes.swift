/// Processes outside, namespaces, and who one is.
extension Attempt {
    private static let ownProcess = Expectation.succeeds(because: "it is a process of the same user's")

    /// Makes a namespace without a user namespace around it.
    private static func namespace(_ name: String) -> Attempt {
        Attempt(
            "make a namespace: \(name)",
            "call leave-namespace \(name)",
            requires: [.path("/proc/self/ns/\(name)")],
            standard: .refused(by: .capabilities("unshare EPERM")),
            strict: .refused(by: .capabilities("unshare EPERM")),
            user: .refused(by: .ordinaryUser("unshare EPERM")),
            strictUser: .refused(by: .ordinaryUser("unshare EPERM"))
        )
    }

    static let processAttempts: [Attempt] = [
        Attempt(
            "signal a process outside",
            #"call signal "$VICTIM""#,
            standard: .refused(by: .pidNamespace("kill ESRCH")),
            strict: .refused(by: .pidNamespace("kill ESRCH"), .user("kill EPERM")),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("kill ESRCH")),
            withoutNamespaces: .refused(by: .landlock("kill EPERM"))
        ),
        Attempt(
            "signal a process outside by a descriptor",
            #"call signal-descriptor "$VICTIM""#,
            standard: .refused(by: .pidNamespace("pidfd_open ESRCH")),
            strict: .refused(by: .pidNamespace("pidfd_open ESRCH"), .user("pidfd_send_signal EPERM")),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("pidfd_open ESRCH")),
            withoutNamespaces: .refused(by: .landlock("pidfd_send_signal EPERM"))
        ),
        Attempt(
            "read the environment of another process",
            #"call read "/proc/$VICTIM/environ" "environ-$SECRET""#,
            standard: .refused(by: .pidNamespace("open ENOENT"), .capabilities("open EACCES")),
            strict: .refused(by: .pidNamespace("open ENOENT"), .capabilities("open EACCES")),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .ordinaryUser("open EACCES")),
            withoutNamespaces: .refused(by: .landlock("open EACCES"))
        ),
        Attempt(
            "read the command line of another process",
            #"call read "/proc/$VICTIM/cmdline" "$SECRET""#,
            standard: .refused(by: .pidNamespace("open ENOENT")),
            strict: .refused(by: .pidNamespace("open ENOENT")),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("open ENOENT")),
            withoutNamespaces: .succeeds(because: "without a PID namespace processes are seen")
        ),
        Attempt(
            "read an open file of another process in /proc",
            #"call read "/proc/$VICTIM/fd/9" "held-$SECRET""#,
            standard: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES")
            ),
            strict: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES")
            ),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .ordinaryUser("open EACCES")),
            withoutNamespaces: .refused(by: .landlock("open EACCES"))
        ),
        Attempt(
            "take an open file out of another process",
            #"call steal-descriptor "$VICTIM" 9 "held-$SECRET""#,
            standard: .refused(
                by: .pidNamespace("pidfd_open ESRCH"),
                .systemCalls("pidfd_getfd EPERM"),
                .capabilities("pidfd_getfd EPERM"),
                .landlock("pidfd_getfd EPERM")
            ),
            strict: .refused(
                by: .pidNamespace("pidfd_open ESRCH"),
                .systemCalls("pidfd_getfd EPERM"),
                .capabilities("pidfd_getfd EPERM"),
                .landlock("pidfd_getfd EPERM")
            ),
            user: ownProcess,
            strictUser: .refused(
                by: .pidNamespace("pidfd_open ESRCH"),
                .systemCalls("pidfd_getfd EPERM"),
                .ordinaryUser("pidfd_getfd EPERM")
            ),
            withoutNamespaces: .refused(by: .systemCalls("pidfd_getfd EPERM"), .landlock("pidfd_getfd EPERM"))
        ),
        Attempt(
            "trace a process outside",
            #"call trace "$VICTIM""#,
            standard: .refused(
                by: .pidNamespace("ptrace ESRCH"),
                .capabilities("ptrace EPERM"),
                .landlock("ptrace EPERM")
            ),
            strict: .refused(
                by: .systemCalls("ptrace EPERM"),
                .pidNamespace("ptrace ESRCH"),
                .capabilities("ptrace EPERM"),
                .landlock("ptrace EPERM")
            ),
            user: ownProcess,
            strictUser: .refused(
                by: .systemCalls("ptrace EPERM"),
                .pidNamespace("ptrace ESRCH"),
                .ordinaryUser("ptrace EPERM")
            ),
            withoutNamespaces: .refused(by: .systemCalls("ptrace EPERM"), .landlock("ptrace EPERM"))
        ),
        Attempt(
            "trace a process of one's own",
            "call trace-child",
            standard: .succeeds(because: "debuggers are of use, and reach only what the script has begun"),
            strict: .refused(by: .systemCalls("ptrace EPERM")),
            user: ownProcess,
            strictUser: .refused(by: .systemCalls("ptrace EPERM"))
        ),
        Attempt(
            "read the memory of another process",
            #"call read-memory "$VICTIM" "$VICTIM_MEMORY" "memory-$SECRET""#,
            standard: .refused(
                by: .systemCalls("process_vm_readv EPERM"),
                .pidNamespace("process_vm_readv ESRCH"),
                .capabilities("process_vm_readv EPERM"),
                .landlock("process_vm_readv EPERM")
            ),
            strict: .refused(
                by: .systemCalls("process_vm_readv EPERM"),
                .pidNamespace("process_vm_readv ESRCH"),
                .capabilities("process_vm_readv EPERM"),
                .landlock("process_vm_readv EPERM")
            ),
            user: ownProcess,
            strictUser: .refused(
                by: .systemCalls("process_vm_readv EPERM"),
                .pidNamespace("process_vm_readv ESRCH"),
                .ordinaryUser("process_vm_readv EPERM")
            ),
            withoutNamespaces: .refused(by: .systemCalls("process_vm_readv EPERM"), .landlock("process_vm_readv EPERM"))
        ),
        Attempt(
            "read the memory of another process in /proc",
            #"call read-memory-file "$VICTIM" "$VICTIM_MEMORY" "memory-$SECRET""#,
            standard: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES")
            ),
            strict: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES")
            ),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .ordinaryUser("open EACCES")),
            withoutNamespaces: .refused(by: .landlock("open EACCES"))
        ),
        Attempt(
            "compare oneself with another process",
            #"call compare "$VICTIM""#,
            standard: .refused(
                by: .systemCalls("kcmp EPERM"),
                .pidNamespace("kcmp ESRCH"),
                .capabilities("kcmp EPERM"),
                .landlock("kcmp EPERM")
            ),
            strict: .refused(
                by: .systemCalls("kcmp EPERM"),
                .pidNamespace("kcmp ESRCH"),
                .capabilities("kcmp EPERM"),
                .landlock("kcmp EPERM")
            ),
            user: ownProcess,
            strictUser: .refused(
                by: .systemCalls("kcmp EPERM"),
                .pidNamespace("kcmp ESRCH"),
                .ordinaryUser("kcmp EPERM")
            )
        ),
        Attempt(
            "change the priority of another process",
            #"call prioritise "$VICTIM""#,
            standard: .refused(by: .pidNamespace("getpriority ESRCH")),
            strict: .refused(
                by: .pidNamespace("getpriority ESRCH"),
                .user("setpriority EPERM"),
                .capabilities("setpriority EPERM")
            ),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("getpriority ESRCH")),
            withoutNamespaces: .succeeds(because: "without a PID namespace processes of the same user are in reach")
        ),
        Attempt(
            "change the limits of another process",
            #"call limit "$VICTIM""#,
            standard: .refused(by: .pidNamespace("prlimit ESRCH")),
            strict: .refused(by: .pidNamespace("prlimit ESRCH"), .user("prlimit EPERM")),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("prlimit ESRCH"))
        ),
        Attempt(
            "move another process to another CPU",
            #"call place "$VICTIM""#,
            standard: .refused(by: .pidNamespace("sched_getaffinity ESRCH")),
            strict: .refused(
                by: .pidNamespace("sched_getaffinity ESRCH"),
                .user("sched_setaffinity EPERM"),
                .capabilities("sched_setaffinity EPERM")
            ),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("sched_getaffinity ESRCH"))
        ),
        Attempt(
            "have another process killed when memory runs out",
            #"call write "/proc/$VICTIM/oom_score_adj""#,
            standard: .refused(by: .pidNamespace("open ENOENT")),
            strict: .refused(
                by: .pidNamespace("open ENOENT"),
                .user("open EACCES"),
                .readOnlyRoot("open EROFS")
            ),
            user: ownProcess,
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .readOnlyRoot("open EROFS"))
        ),
        Attempt(
            "leave the control group",
            #"call write "$CONTROL_GROUPS/cgroup.procs""#,
            requires: [.controlGroups],
            standard: .refused(by: .readOnly("/sys", "open EROFS")),
            strict: .refused(by: .user("open EACCES"), .readOnlyRoot("open EROFS"), .readOnly("/sys", "open EROFS")),
            user: .refused(by: .ordinaryUser("open EACCES")),
            strictUser: .refused(by: .ordinaryUser("open EACCES"))
        ),
        Attempt(
            "become root",
            "call become-root",
            standard: .succeeds(because: "root's scripts are root"),
            strict: .refused(by: .user("setresuid EPERM")),
            user: .refused(by: .ordinaryUser("setresuid EPERM")),
            strictUser: .refused(by: .ordinaryUser("setresuid EINVAL")),
            withoutNamespaces: .refused(by: .ordinaryUser("setresuid EPERM"))
        ),
        Attempt(
            "take back a capability",
            "call take-capability",
            standard: .refused(by: .capabilities("capset EPERM")),
            strict: .refused(by: .capabilities("capset EPERM")),
            user: .refused(by: .ordinaryUser("capset EPERM")),
            strictUser: .refused(by: .ordinaryUser("capset EPERM")),
            withoutNamespaces: .refused(by: .ordinaryUser("capset EPERM"))
        ),
        Attempt(
            "go before others",
            "call hurry -5",
            standard: .succeeds(because: "services that deployments start have priorities"),
            strict: .refused(by: .capabilities("setpriority EACCES")),
            user: .refused(by: .ordinaryUser("setpriority EACCES")),
            strictUser: .refused(by: .ordinaryUser("setpriority EACCES"))
        ),
        Attempt(
            "go before everybody",
            "call realtime",
            standard: .succeeds(because: "services that deployments start have priorities"),
            strict: .refused(by: .capabilities("sched_setscheduler EPERM")),
            user: .refused(by: .ordinaryUser("sched_setscheduler EPERM")),
            strictUser: .refused(by: .ordinaryUser("sched_setscheduler EPERM"))
        ),
        Attempt(
            "make a user namespace",
            "call leave-namespace user",
            standard: .refused(by: .systemCalls("unshare EPERM")),
            strict: .refused(by: .systemCalls("unshare EPERM")),
            user: .succeeds(because: "the kernel permits it to everybody"),
            strictUser: .refused(by: .systemCalls("unshare EPERM"))
        ),
        Attempt(
            "make a user namespace by clone",
            "call clone-user",
            standard: .refused(by: .systemCalls("clone EPERM")),
            strict: .refused(by: .systemCalls("clone EPERM")),
            user: .succeeds(because: "the kernel permits it to everybody"),
            strictUser: .refused(by: .systemCalls("clone EPERM"))
        ),
        Attempt(
            "make a user namespace by clone3, whose flags no filter sees",
            "call clone3-user",
            standard: .refused(by: .systemCalls("clone3 ENOSYS")),
            strict: .refused(by: .systemCalls("clone3 ENOSYS")),
            user: .succeeds(because: "the kernel permits it to everybody"),
            strictUser: .refused(by: .systemCalls("clone3 ENOSYS"))
        ),
        namespace("mnt"), namespace("pid"), namespace("net"), namespace("ipc"), namespace("uts"), namespace("cgroup"),
        Attempt(
            "join the mounts of a process outside",
            #"call join-namespace "$VICTIM" mnt"#,
            standard: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES"),
                .systemCalls("setns EPERM")
            ),
            strict: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES"),
                .systemCalls("setns EPERM")
            ),
            user: .refused(by: .ordinaryUser("setns EPERM")),
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .ordinaryUser("open EACCES"))
        ),
        Attempt(
            "join the network of a process outside",
            #"call join-namespace "$VICTIM" net"#,
            standard: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES"),
                .systemCalls("setns EPERM")
            ),
            strict: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES"),
                .systemCalls("setns EPERM")
            ),
            user: .refused(by: .ordinaryUser("setns EPERM")),
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .ordinaryUser("open EACCES"))
        ),
    ]
}
