/// The three policies that are always there (DESIGN.md 7).
extension SandboxPolicy {
    package static let profiles = [none, standard, strict]

    /// Without making the other two.
    package static func profile(_ name: String) -> SandboxPolicy? {
        switch name {
        case "none": none
        case "standard": standard
        case "strict": strict
        default: nil
        }
    }

    /// Ends the script's processes on cancel and on time-out, and nothing else.
    package static let none = SandboxPolicy(
        name: "none",
        description: "No sandbox: everything that the user the script runs as may do."
    )

    /// For ordinary deployments, as root too.
    package static let standard: SandboxPolicy = {
        var policy = SandboxPolicy(
            name: "standard",
            description: "Ordinary deployments work; the agent's keys, the kernel and other processes are out of reach."
        )
        policy.processes.ownNamespace = true
        policy.processes.background = false
        policy.identity.capabilities = standardCapabilities
        policy.files.readOnly = [
            "/boot", "/sys", "/lib/modules", "/usr/lib/modules", "/etc/tentacle", "/proc/sys", "/proc/sysrq-trigger",
            "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi",
        ]
        // systemctl as root checks who is behind the manager's own socket, and cannot see it from a PID namespace; without
        // the socket it asks over D-Bus.
        policy.files.hidden = ["/run/tentacle", "/run/systemd/private"]
        policy.files.privateTmp = true
        policy.files.privateDev = true
        policy.files.hidesAgent = true
        policy.systemCalls.filter = .standard
        policy.network.abstractSockets = false
        policy.limits.coreBytes = 0
        return policy
    }()

    /// Nothing but what is declared.
    package static let strict: SandboxPolicy = {
        var policy = standard
        policy.name = "strict"
        policy.description =
            "An unprivileged user, a read-only file system, no network, and only the system calls programs need."
        policy.processes.ownIPC = true
        policy.processes.ownHostName = true
        policy.identity.user = .own
        policy.identity.groups = []
        policy.identity.noNewPrivileges = true
        policy.identity.capabilities = .empty
        policy.files.rootIsReadOnly = true
        // Sockets to whoever would do for the script what it may not do itself.
        policy.files.hidden += [
            "/run/dbus", "/run/systemd/notify", "/run/systemd/io.systemd.ManagedOOM",
            "/run/docker.sock", "/run/docker", "/run/containerd", "/run/podman", "/run/crio", "/run/libvirt",
            "/run/user", "/var/lib/systemd/coredump", "/root",
        ]
        policy.systemCalls.filter = .strict
        policy.network.access = .none
        policy.limits.memory = .percent(50)
        policy.limits.processes = 512
        policy.limits.openFiles = 4096
        policy.limits.lockedBytes = 64 << 10
        return policy
    }()

    /// All but those that change the kernel, the clock or other processes, read devices, or get around the sandbox's
    /// mounts.
    private static let standardCapabilities: CapabilitySet = {
        var set = CapabilitySet.all
        for name in [
            "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_TIME",
            "SYS_TTY_CONFIG", "MKNOD", "DAC_READ_SEARCH", "LINUX_IMMUTABLE", "AUDIT_CONTROL", "AUDIT_READ",
            "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "PERFMON", "BPF",
            "CHECKPOINT_RESTORE",
        ] { CapabilitySet.names.firstIndex(of: name).map { set.remove($0) } }
        return set
    }()
}
