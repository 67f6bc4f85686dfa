internal import Glibc

/// One line of a system-call filter, as data.
package struct SystemCallRule: Equatable, Sendable {
    /// What an argument must look like; the first one is 0.
    package struct Argument: Equatable, Sendable {
        var position: UInt32
        var mask: UInt64
        var value: UInt64
    }

    package var name: String
    package var action: SystemCallAction
    /// Must hold; nil: the call with any arguments.
    package var first: Argument?
    package var second: Argument?

    init(_ name: String, _ action: SystemCallAction, _ first: Argument? = nil, _ second: Argument? = nil) {
        self.name = name
        self.action = action
        self.first = first
        self.second = second
    }
}

package enum SystemCallAction: Equatable, Sendable {
    case allow
    /// The number of the error that the caller gets.
    case refuse(Int32)
}

/// What a policy's `[system-calls]` and `[network]` become, as data: one program in the kernel.
///
/// `strict` has two, since the sharper answer of two filters counts: a list of what is allowed, where whoever is not on it
/// gets ENOSYS and does without, and the list of `standard`, where the answer is EPERM.
package struct SystemCallFilter: Equatable, Sendable {
    /// For calls that no rule names.
    package var others: SystemCallAction
    package var rules: [SystemCallRule]
    package var foreignArchitectures: Bool

    /// In the order in which they are installed.
    ///
    /// With a network of the script's own its sockets reach nobody.
    package static func filters(_ policy: SandboxPolicy, ownNetwork: Bool) -> [SystemCallFilter] {
        let calls = policy.systemCalls
        func rest(_ rules: [SystemCallRule]) -> [SystemCallRule] {
            // Who names a call means all of it.
            guard !calls.denied.isEmpty || !calls.allowed.isEmpty else { return rules }
            return rules.filter { !calls.denied.contains($0.name) && !calls.allowed.contains($0.name) }
        }
        var filters: [SystemCallFilter] = []
        if calls.filter == .strict {
            var rules = rest(allowedByStrict.map { SystemCallRule($0, .allow) } + sockets(policy.network, ownNetwork))
            rules += calls.allowed.map { SystemCallRule($0, .allow) }
            filters.append(
                SystemCallFilter(
                    others: .refuse(ENOSYS),
                    rules: rules,
                    foreignArchitectures: calls.foreignArchitectures
                )
            )
        }
        let refused =
            switch calls.filter {
            case .none: [SystemCallRule]()
            case .standard: refusedByStandard
            case .strict: refusedByStandard + refusedByStrict
            }
        let rules = rest(refused) + calls.denied.map { SystemCallRule($0, .refuse(EPERM)) }
        guard !rules.isEmpty else { return filters }
        filters.append(
            SystemCallFilter(others: .allow, rules: rules, foreignArchitectures: calls.foreignArchitectures)
        )
        return filters
    }

    private static func refuse(_ names: [String]) -> [SystemCallRule] {
        names.map { SystemCallRule($0, .refuse(EPERM)) }
    }

    private static func masked(_ position: UInt32, _ mask: UInt64, _ value: UInt64) -> SystemCallRule.Argument {
        SystemCallRule.Argument(position: position, mask: mask, value: value)
    }

    private static let lowHalf: UInt64 = 0xFFFF_FFFF
    private static let newUser: UInt64 = 0x1000_0000

    /// What changes the kernel, other processes' memory, or what is mounted where.
    private static let refusedByStandard: [SystemCallRule] =
        refuse([
            "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf", "perf_event_open",
            "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime",
            "iopl", "ioperm", "vhangup", "lookup_dcookie", "nfsservctl", "syslog",
            "mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
            "mount_setattr", "setns", "open_by_handle_at", "process_vm_readv", "process_vm_writev", "kcmp",
            "pidfd_getfd", "userfaultfd", "add_key", "keyctl", "request_key", "sethostname", "setdomainname",
        ]) + [
            SystemCallRule("unshare", .refuse(EPERM), masked(0, newUser, newUser)),
            SystemCallRule("clone", .refuse(EPERM), masked(0, newUser, newUser)),
            // Its flags are in memory, where a filter does not see them; whoever is told that there is no such call
            // uses clone.
            SystemCallRule("clone3", .refuse(ENOSYS)),
            // TIOCSTI and TIOCLINUX: input for somebody's terminal.
            SystemCallRule("ioctl", .refuse(EPERM), masked(1, lowHalf, 0x5412)),
            SystemCallRule("ioctl", .refuse(EPERM), masked(1, lowHalf, 0x541C)),
        ]

    /// Told as forbidden, not as unknown: nobody does without them.
    private static let refusedByStrict = refuse([
        "ptrace", "io_uring_setup", "io_uring_enter", "io_uring_register", "chroot", "clock_adjtime", "adjtimex",
    ])

    /// AF_UNIX always; AF_INET, AF_INET6 and AF_NETLINK as the network permits.
    private static func sockets(_ network: SandboxPolicy.Network, _ isOwn: Bool) -> [SystemCallRule] {
        func family(_ number: UInt64, _ type: UInt64? = nil) -> SystemCallRule {
            // SOCK_CLOEXEC and SOCK_NONBLOCK are in the bits above.
            SystemCallRule("socket", .allow, masked(0, lowHalf, number), type.map { masked(1, 0xF, $0) })
        }
        let (unix, inet, inet6, netlink): (UInt64, UInt64, UInt64, UInt64) = (1, 2, 10, 16)
        let (stream, datagram): (UInt64, UInt64) = (1, 2)
        var rules = [family(unix)]
        if network.access == .host || isOwn { return rules + [family(inet), family(inet6), family(netlink)] }
        guard network.access == .ports else { return rules }
        rules += [family(inet, stream), family(inet6, stream), family(netlink)]
        if network.udp { rules += [family(inet, datagram), family(inet6, datagram)] }
        return rules
    }

    /// What programs and their run times use: the sum of systemd's `@system-service`, less what is refused above.
    private static let allowedByStrict = [
        "accept", "accept4", "access", "alarm", "arch_prctl", "arm_fadvise64_64", "arm_sync_file_range", "bind", "brk",
        "cachestat", "cacheflush", "capget", "capset", "chdir", "chmod", "chown", "chown32", "clock_getres",
        "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "clone",
        "close", "close_range", "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create",
        "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old",
        "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64",
        "fadvise64_64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
        "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr",
        "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex",
        "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_mempolicy",
        "get_robust_list", "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32",
        "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid",
        "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid",
        "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid", "gettimeofday",
        "getuid", "getuid32", "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
        "ioctl", "ioprio_get", "ioprio_set", "ipc", "kill", "landlock_add_rule", "landlock_create_ruleset",
        "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listen", "listmount",
        "listxattr", "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise",
        "map_shadow_stack", "mbind", "membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat",
        "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify",
        "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink",
        "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
        "name_to_handle_at", "nanosleep", "newfstatat", "oldfstat", "oldlstat", "oldolduname", "oldstat", "olduname",
        "open", "openat", "openat2", "pause", "personality", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2",
        "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv",
        "preadv2", "prlimit64", "process_madvise", "process_mrelease", "pselect6", "pselect6_time64", "pwrite64",
        "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg",
        "recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr", "rename", "renameat", "renameat2",
        "restart_syscall", "riscv_flush_icache", "riscv_hwprobe", "rmdir", "rseq", "rt_sigaction", "rt_sigpending",
        "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
        "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min",
        "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
        "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
        "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send",
        "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto", "set_mempolicy", "set_mempolicy_home_node",
        "set_robust_list", "set_thread_area", "set_tid_address", "set_tls", "setfsgid", "setfsgid32", "setfsuid",
        "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority",
        "setregid", "setregid32",
        "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid",
        "setsockopt", "setuid", "setuid32", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "shutdown",
        "sigaction", "sigaltstack", "signal", "signalfd", "signalfd4", "sigpending", "sigprocmask", "sigreturn",
        "sigsuspend", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs", "statfs64", "statmount",
        "statx", "swapcontext", "symlink", "symlinkat", "sync", "sync_file_range", "sync_file_range2", "syncfs",
        "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
        "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
        "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64",
        "ugetrlimit", "umask", "uname", "unlink", "unlinkat", "unshare", "utime", "utimensat", "utimensat_time64",
        "utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
    ]
}
