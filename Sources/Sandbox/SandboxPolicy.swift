internal import CLinux

/// The named rules a script runs under (DESIGN.md 7); so far they differ in the process tree only.
package enum SandboxPolicy: String, Sendable, CaseIterable {
    /// Left-over processes live on when the script ends.
    case none
    /// What is left over ends with the script; own PID namespace where the kernel permits it.
    case standard

    package var endsLeftOvers: Bool { self == .standard }
}

/// What this process is permitted to build a sandbox from.
package struct SandboxPrivileges: Equatable, Sendable {
    package var canMakeNamespaces: Bool

    package init(canMakeNamespaces: Bool) { self.canMakeNamespaces = canMakeNamespaces }

    /// CAP_SYS_ADMIN is in the effective set.
    package static var current: SandboxPrivileges {
        let administration: UInt32 = 21
        return SandboxPrivileges(canMakeNamespaces: clinux_has_capability(administration) == 1)
    }
}
