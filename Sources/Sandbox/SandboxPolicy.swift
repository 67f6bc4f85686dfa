internal import CLinux

/// The named rules a script runs under (DESIGN.md 7); so far they differ in the process tree only.
package enum SandboxPolicy: String, Sendable, CaseIterable {
    /// Left-over processes live on when the script ends; a cancel finds them through the subreaper.
    case none
    /// Own PID namespace where the kernel permits it: what is left over ends with the script.
    case standard
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
