internal import Glibc
internal import Sandbox

/// Why a policy does not let a script begin; what to do is part of it.
struct PolicyRefusal: Error {
    var text: String
}

/// What a policy says of users and names, looked up on this host.
enum PolicyIdentity {
    static func check(_ policy: SandboxPolicy) throws(PolicyRefusal) {
        let unknown = SystemCallFilter.unknownNames(policy)
        guard unknown.isEmpty else {
            throw PolicyRefusal(
                text:
                    "the policy \(policy.name) names system calls that are not known: \(unknown.joined(separator: ", "))"
            )
        }
    }

    /// Another user than the launcher, when the policy says so and the launcher may become one.
    static func user(of policy: SandboxPolicy) throws(PolicyRefusal) -> ScriptUser? {
        guard geteuid() == 0 else { return nil }
        var user: ScriptUser
        switch policy.identity.user {
        case .launcher: return nil
        case .own: user = .own(process: getpid())
        case .named(let name):
            guard let found = ScriptUser.find(name) else {
                throw PolicyRefusal(
                    text: "the policy \(policy.name) names the user \(name), who is not in /etc/passwd"
                )
            }
            user = found
        }
        if let names = policy.identity.groups {
            user.groups = []
            for name in names {
                guard let group = ScriptUser.groupNumber(name) else {
                    throw PolicyRefusal(
                        text: "the policy \(policy.name) names the group \(name), which is not in /etc/group"
                    )
                }
                user.groups.append(group)
            }
        }
        // By it alone the script gets into its workspace.
        user.groups.append(ScriptUser.own(process: getpid()).group)
        return user
    }
}
