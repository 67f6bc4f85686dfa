/// One part of a sandbox: what can be there or not, by itself.
package enum SandboxLayer: String, Sendable, CaseIterable {
    case controlGroup = "control group"
    case userNamespace = "user namespace"
    case pidNamespace = "PID namespace"
    case mounts
    case ipcNamespace = "IPC namespace"
    case hostNameNamespace = "host name namespace"
    case networkNamespace = "network namespace"
    case user
    case noNewPrivileges = "no-new-privileges"
    case capabilities
    case landlock
    case systemCalls = "system calls"
    case resourceLimits = "resource limits"
}

/// A part of a policy that this host does not enforce.
package struct Unenforced: Equatable, Sendable {
    package var layer: SandboxLayer
    /// What a person misses.
    package var what: String
    package var why: String

    package init(_ layer: SandboxLayer, _ what: String, _ why: String) {
        self.layer = layer
        self.what = what
        self.why = why
    }

    /// `a; b (why of both); c (why)`.
    package static func text(_ all: [Unenforced]) -> String {
        var reasons: [(why: String, what: [String])] = []
        for one in all {
            if let index = reasons.firstIndex(where: { $0.why == one.why }) {
                reasons[index].what.append(one.what)
            } else {
                reasons.append((one.why, [one.what]))
            }
        }
        return reasons.map { "\($0.what.joined(separator: ", ")) (\($0.why))" }.joined(separator: "; ")
    }
}
