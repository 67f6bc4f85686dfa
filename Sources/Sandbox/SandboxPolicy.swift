/// The rules a script runs under (DESIGN.md 7): one of the three profiles, or what a policy file makes of one.
///
/// A policy says what is wanted. What a host can do of it is `HostFeatures`, and both together make a `SandboxPlan`.
package struct SandboxPolicy: Equatable, Sendable {
    package var name: String
    package var description: String
    /// A script does not run at all where a part of its policy cannot be enforced.
    package var isRequired = false
    package var processes = Processes()
    package var identity = Identity()
    package var files = Files()
    package var systemCalls = SystemCalls()
    package var network = Network()
    package var limits = Limits()

    package init(name: String, description: String) {
        self.name = name
        self.description = description
    }

    /// The table `[processes]` of a policy file.
    package struct Processes: Equatable, Sendable {
        /// A PID namespace: the script sees and signals its own processes only.
        package var ownNamespace = false
        /// What is left over lives on when the script ends.
        package var background = true
        /// System V IPC and POSIX message queues of the script's own.
        package var ownIPC = false
        /// The script may rename the host for itself only.
        package var ownHostName = false
    }

    /// The table `[identity]` of a policy file.
    package struct Identity: Equatable, Sendable {
        package var user = User.launcher
        /// Numbers or names of supplementary groups; nil: those that the user has in `/etc/group`.
        package var groups: [String]?
        /// setuid programs (sudo) stay without effect.
        package var noNewPrivileges = false
        package var capabilities = CapabilitySet.all

        package enum User: Equatable, Sendable {
            /// Whoever the launcher runs as.
            case launcher
            /// One that no other script has at the same time, and nothing on this host belongs to.
            case own
            /// Name or number.
            case named(String)
        }
    }

    /// `[files]`, all paths absolute.
    ///
    /// Later beats earlier: read-only, then writable, then hidden.
    package struct Files: Equatable, Sendable {
        /// Nothing can be written but the workspace, the private directories and what is writable below.
        package var rootIsReadOnly = false
        package var readOnly: [String] = []
        package var writable: [String] = []
        /// Whatever is there cannot be opened.
        package var hidden: [String] = []
        /// `/tmp` and `/var/tmp` of the script's own, inside its workspace and removed with it.
        package var privateTmp = false
        /// A `/dev` with nothing in it but null, zero, full, random, urandom, tty, terminals of its own and `devices`.
        package var privateDev = false
        package var devices: [String] = []
        /// Other scripts' workspaces and the agent's own files are not there.
        package var hidesAgent = false
    }

    /// The table `[system-calls]` of a policy file.
    package struct SystemCalls: Equatable, Sendable {
        package var filter = Filter.none
        /// Names of system calls, for all their arguments; what is denied here beats what is allowed.
        package var allowed: [String] = []
        package var denied: [String] = []
        /// Programs for another machine (32-bit ones) run, too, under the same rules.
        package var foreignArchitectures = false

        package enum Filter: String, Sendable, CaseIterable {
            case none
            /// Refuses what changes the kernel.
            case standard
            /// Refuses what is not known to be needed.
            case strict
        }
    }

    /// The table `[network]` of a policy file.
    package struct Network: Equatable, Sendable {
        package var access = Access.host
        /// TCP ports, with `access` `.ports`.
        package var connect: [UInt16] = []
        package var listen: [UInt16] = []
        /// With `access` `.ports`: datagrams to anywhere, which names need.
        package var udp = false
        /// The script reaches abstract unix sockets of processes outside of its sandbox.
        package var abstractSockets = true

        package enum Access: String, Sendable, CaseIterable {
            case host, ports, none
        }
    }

    /// `[limits]`: nil is no limit.
    package struct Limits: Equatable, Sendable {
        /// Of all processes of the script together.
        package var memory: Amount?
        package var swap: Amount?
        package var processes: Int64?
        /// Hundredths of one CPU.
        package var cpuPercent: Int64?
        /// 1 to 10000; 100 is what everybody has.
        package var cpuWeight: Int64?
        package var ioWeight: Int64?
        package var timeSeconds: Int64?
        package var workspaceBytes: Int64?
        /// Of each process.
        package var openFiles: Int64?
        package var fileBytes: Int64?
        package var coreBytes: Int64?
        package var addressSpaceBytes: Int64?
        package var lockedBytes: Int64?

        package enum Amount: Equatable, Sendable {
            case bytes(Int64)
            /// Of the machine's memory, 1 to 100.
            case percent(Int64)
        }
    }
}

/// Capabilities by their numbers in `<linux/capability.h>`.
package struct CapabilitySet: Equatable, Sendable {
    package var bits: UInt64

    package init(bits: UInt64) { self.bits = bits }

    package static let all = CapabilitySet(bits: .max)
    package static let empty = CapabilitySet(bits: 0)
    /// Those that have names.
    package static let known = CapabilitySet(bits: (1 << UInt64(names.count)) - 1)

    /// Without `CAP_`, in the order of their numbers.
    package static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]

    /// With or without `CAP_`, in either case; nil for a name that is none.
    package static func number(of name: String) -> Int? {
        let upper = name.uppercased()
        return names.firstIndex(of: upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper)
    }

    package func contains(_ number: Int) -> Bool { bits >> UInt64(number) & 1 == 1 }

    package mutating func insert(_ number: Int) { bits |= 1 << UInt64(number) }
    package mutating func remove(_ number: Int) { bits &= ~(1 << UInt64(number)) }

    /// Names that are not in the set.
    package var missingNames: [String] { Self.names.indices.filter { !contains($0) }.map { Self.names[$0] } }
    package var containedNames: [String] { Self.names.indices.filter { contains($0) }.map { Self.names[$0] } }
}
