/// Files of the machine, devices, and programs that give privileges.
extension Attempt {
    /// A place that is read-only in both profiles.
    private static func readOnlyPlace(_ name: String, _ path: String, _ protected: [String]) -> Attempt {
        let refusal = Refusal(.mounts, "create EROFS", off: [.list("files", "writable", protected)])
        return Attempt(
            name,
            "call create \"\(path)/$NAME\"",
            requires: [.path(path)],
            standard: .refused(by: refusal),
            strict: .refused(by: .readOnlyRoot("create EROFS"), refusal, .user("create EACCES")),
            user: .refused(by: .ordinaryUser("create EACCES")),
            strictUser: .refused(by: .readOnlyRoot("create EROFS"), refusal, .ordinaryUser("create EACCES"))
        )
    }

    /// A file of the kernel's that root may write.
    private static func kernelFile(_ path: String, _ protected: String) -> Attempt {
        let refusal = Refusal.readOnly(protected, "open EROFS")
        let isProc = path.hasPrefix("/proc/")
        return Attempt(
            "write \(path)",
            "call write \(path)",
            requires: [.path(path)],
            standard: .refused(by: refusal),
            // The kernel looks at permissions first.
            strict: isProc
                ? .refused(by: .user("open EACCES"), refusal)
                : .refused(by: .user("open EACCES"), .readOnlyRoot("open EROFS"), refusal),
            user: .refused(by: .ordinaryUser("open EACCES")),
            strictUser: .refused(by: .ordinaryUser("open EACCES"))
        )
    }

    /// Where root's deployments write.
    private static func rootsPlace(_ name: String, _ script: String) -> Attempt {
        Attempt(
            name,
            script,
            standard: .succeeds(because: "deployments write wherever their user may"),
            strict: .refused(by: .readOnlyRoot("create EROFS"), .user("create EACCES")),
            user: .refused(by: .ordinaryUser("create EACCES")),
            strictUser: .refused(by: .readOnlyRoot("create EROFS"), .ordinaryUser("create EACCES"))
        )
    }

    /// A device of the host's.
    private static func device(_ path: String, _ requirement: Requirement) -> Attempt {
        Attempt(
            "read \(path)",
            "call read-device \"\(path)\"",
            requires: [requirement],
            standard: .refused(by: .privateDev("open ENOENT")),
            strict: .refused(by: .privateDev("open ENOENT"), .user("open EACCES")),
            user: .refused(by: .ordinaryUser("open EACCES")),
            strictUser: .refused(by: .privateDev("open ENOENT"), .ordinaryUser("open EACCES"))
        )
    }

    /// A mount of one's own of what the kernel makes.
    private static func kernelFileSystem(_ type: String, _ file: String, _ requires: [Requirement] = []) -> Attempt {
        Attempt(
            "write into a new mount of \(type)",
            "call file-system \(type) mounted \(file)",
            requires: requires,
            standard: .refused(by: .systemCalls("mount EPERM"), .capabilities("mount EPERM")),
            strict: .refused(
                by: .systemCalls("mount EPERM"),
                .capabilities("mount EPERM"),
                .landlockFiles("mount EPERM")
            ),
            user: .refused(by: .ordinaryUser("mount EPERM")),
            strictUser: .refused(by: .systemCalls("mount EPERM"), .ordinaryUser("mount EPERM"))
        )
    }

    static let fileAttempts: [Attempt] = [
        readOnlyPlace("write to /boot", "/boot", ["/boot"]),
        readOnlyPlace("put a module among the kernel's", "/usr/lib/modules", ["/lib/modules", "/usr/lib/modules"]),
        readOnlyPlace(
            "put a module among the kernel's by the other path",
            "/lib/modules",
            ["/lib/modules", "/usr/lib/modules"]
        ),
        kernelFile("/proc/sys/kernel/core_pattern", "/proc/sys"),
        kernelFile("/proc/sys/vm/drop_caches", "/proc/sys"),
        kernelFile("/proc/sysrq-trigger", "/proc/sysrq-trigger"),
        kernelFile("/proc/irq/default_smp_affinity", "/proc/irq"),
        kernelFile("/sys/power/state", "/sys"),
        kernelFile("/sys/kernel/mm/transparent_hugepage/enabled", "/sys"),
        rootsPlace("write to /etc", #"call create "/etc/$NAME""#),
        rootsPlace("write to /usr/bin", #"call create "/usr/bin/$NAME""#),
        rootsPlace("write to /var/lib", #"call create "/var/lib/$NAME""#),
        rootsPlace(
            "write out of the workspace by ..",
            #"call create "../../../../../../../../../../etc/$NAME""#
        ),
        rootsPlace(
            "write out of the workspace through a symbolic link",
            #"must link ln -s /etc link; call create "link/$NAME""#
        ),
        rootsPlace(
            "write out of the workspace through a directory that becomes a link",
            #"""
            must mkdir mkdir place other; must link ln -s /etc link
            for turn in 1 2 3 4 5 6 7 8; do mv -T place aside; mv -T link place; mv -T place link; mv -T aside place; done &
            for turn in 1 2 3 4 5 6 7 8 9 10 11 12; do call create "place/$NAME" > /dev/null 2>&1; done; wait
            must rename mv place aside; must rename mv link place; call create "place/$NAME"
            """#
        ),
        Attempt(
            "write to /root",
            #"call create "/root/$NAME""#,
            standard: .succeeds(because: "deployments write wherever their user may"),
            strict: .refused(
                by: .hidden("/root", "create EACCES"),
                .user("create EACCES"),
                .readOnlyRoot("create EROFS")
            ),
            user: .refused(by: .ordinaryUser("create EACCES")),
            strictUser: .refused(by: .ordinaryUser("create EACCES"))
        ),
        Attempt(
            "read what others have left in /tmp",
            #"call read "/tmp/escape-$SECRET" "temporary-$SECRET""#,
            standard: .refused(by: .privateTmp("open ENOENT")),
            strict: .refused(by: .privateTmp("open ENOENT")),
            user: .succeeds(because: "everybody may read it"),
            strictUser: .refused(by: .privateTmp("open ENOENT")),
            withoutNamespaces: .succeeds(because: "without mounts /tmp is the host's")
        ),
        Attempt(
            "read what others have left in /var/tmp",
            #"call read "/var/tmp/escape-$SECRET" "temporary-$SECRET""#,
            standard: .refused(by: .privateTmp("open ENOENT")),
            strict: .refused(by: .privateTmp("open ENOENT")),
            user: .succeeds(because: "everybody may read it"),
            strictUser: .refused(by: .privateTmp("open ENOENT"))
        ),
        Attempt(
            "read a core dump of another process",
            #"call read "$CORE" "core-$SECRET""#,
            requires: [.root],
            standard: .succeeds(because: "root's scripts read root's files; the agent makes no core dumps"),
            strict: .refused(by: .hidden("/var/lib/systemd/coredump", "open EACCES"), .user("open EACCES")),
            user: .refused(by: .ordinaryUser("open EACCES")),
            strictUser: .refused(
                by: .hidden("/var/lib/systemd/coredump", "open EACCES"),
                .ordinaryUser("open EACCES")
            )
        ),
        Attempt(
            "read the machine's passwords",
            "call read /etc/shadow :",
            requires: [.path("/etc/shadow")],
            standard: .succeeds(because: "root's scripts read root's files"),
            strict: .refused(by: .user("open EACCES")),
            user: .refused(by: .ordinaryUser("open EACCES")),
            strictUser: .refused(by: .ordinaryUser("open EACCES"))
        ),
        Attempt(
            "write to somebody's terminal",
            #"call write "$TERMINAL""#,
            requires: [.root],
            standard: .refused(by: .privateDev("open ENOENT")),
            strict: .refused(by: .privateDev("open ENOENT"), .user("open EACCES")),
            user: .refused(by: .ordinaryUser("open EACCES")),
            strictUser: .refused(by: .privateDev("open ENOENT"), .ordinaryUser("open EACCES"))
        ),
        Attempt(
            "keep the file system from being written, or let it be",
            "call thaw /",
            standard: .refused(by: .capabilities("ioctl EPERM")),
            strict: .refused(by: .capabilities("ioctl EPERM")),
            user: .refused(by: .ordinaryUser("ioctl EPERM")),
            strictUser: .refused(by: .ordinaryUser("ioctl EPERM"))
        ),
        device("$DISK", .disk),
        device("/dev/mem", .path("/dev/mem")),
        device("/dev/port", .path("/dev/port")),
        device("/dev/tty0", .path("/dev/tty0")),
        device("/dev/loop-control", .path("/dev/loop-control")),
        Attempt(
            "read the disk through a device file of one's own",
            "call make-node node b $DISK_MAJOR $DISK_MINOR",
            requires: [.disk],
            standard: .refused(by: .capabilities("mknod EPERM"), .privateDev("open EACCES")),
            strict: .refused(by: .capabilities("mknod EPERM"), .privateDev("open EACCES")),
            user: .refused(by: .ordinaryUser("mknod EPERM")),
            strictUser: .refused(by: .ordinaryUser("mknod EPERM"))
        ),
        kernelFileSystem("proc", "sys/kernel/core_pattern"),
        kernelFileSystem(
            "sysfs",
            "kernel/mm/transparent_hugepage/enabled",
            [.path("/sys/kernel/mm/transparent_hugepage/enabled")]
        ),
        kernelFileSystem("devtmpfs", "null"),
        kernelFileSystem("cgroup2", "cgroup.procs", [.controlGroups]),
        Attempt(
            "make a mount by the newer calls",
            "call fsopen tmpfs",
            standard: .refused(by: .systemCalls("fsopen EPERM"), .capabilities("fsopen EPERM")),
            strict: .refused(by: .systemCalls("fsopen EPERM"), .capabilities("fsopen EPERM")),
            user: .refused(by: .ordinaryUser("fsopen EPERM")),
            strictUser: .refused(by: .systemCalls("fsopen EPERM"), .ordinaryUser("fsopen EPERM"))
        ),
        Attempt(
            "change the root",
            "call pivot-root",
            standard: .refused(by: .systemCalls("pivot_root EPERM"), .capabilities("pivot_root EPERM")),
            strict: .refused(
                by: .systemCalls("pivot_root EPERM"),
                .capabilities("pivot_root EPERM"),
                .landlockFiles("pivot_root EPERM")
            ),
            user: .refused(by: .ordinaryUser("pivot_root EPERM")),
            strictUser: .refused(by: .systemCalls("pivot_root EPERM"), .ordinaryUser("pivot_root EPERM"))
        ),
        Attempt(
            "become root by a setuid program",
            #"[ "$("$SETUID_ID" -u)" = 0 ] && echo succeeded || echo refused execute WITHOUT"#,
            requires: [.root],
            standard: .succeeds(because: "root's scripts are root"),
            strict: .refused(by: .noNewPrivileges("execute WITHOUT")),
            user: .succeeds(because: "sudo is to work; no-new-privileges = true in a policy ends it"),
            strictUser: .refused(by: .noNewPrivileges("execute WITHOUT")),
            withoutNamespaces: .refused(by: .noNewPrivileges("execute WITHOUT"))
        ),
        Attempt(
            "get a capability by a program that has it",
            #"""
            effective=$("$CAPABLE_CAT" /proc/self/status 2>/dev/null | sed -n 's/^CapEff:[[:space:]]*//p')
            (( 0x${effective:-0} >> 21 & 1 )) && echo succeeded || echo refused execute WITHOUT
            """#,
            requires: [.root],
            standard: .refused(by: .capabilities("execute WITHOUT")),
            strict: .refused(by: .noNewPrivileges("execute WITHOUT"), .capabilities("execute WITHOUT")),
            user: .succeeds(because: "sudo is to work; no-new-privileges = true in a policy ends it"),
            strictUser: .refused(by: .noNewPrivileges("execute WITHOUT")),
            withoutNamespaces: .refused(by: .noNewPrivileges("execute WITHOUT"))
        ),
        Attempt(
            "leave a setuid program of root's behind",
            "call make-setuid shell",
            standard: .succeeds(because: "packages that root installs have such programs"),
            strict: .refused(by: .user("chown EPERM")),
            user: .refused(by: .ordinaryUser("chown EPERM")),
            strictUser: .refused(by: .ordinaryUser("chown EINVAL"))
        ),
        Attempt(
            "leave a file behind that nobody can remove",
            "call immutable file",
            standard: .refused(by: .capabilities("flags EPERM")),
            strict: .refused(by: .capabilities("flags EPERM")),
            user: .refused(by: .ordinaryUser("flags EPERM")),
            strictUser: .refused(by: .ordinaryUser("flags EPERM"))
        ),
    ]
}
