internal import CLinux
internal import Glibc

/// What this kernel and this user can build a sandbox from.
package struct HostFeatures: Equatable, Sendable {
    package var user: UInt32
    package var group: UInt32
    /// The effective set.
    package var capabilities: CapabilitySet
    /// Of landlock; 0: none.
    package var landlockVersion: Int32
    /// seccomp.
    package var filtersSystemCalls: Bool
    /// `mount_setattr` and what came before it: Linux 5.12.
    package var hasMountAttributes: Bool
    /// What turned out not to work, and why: containers have privileges that do not reach as far as they say.
    private(set) var refusals: [(layer: SandboxLayer, why: String)] = []

    package init(
        user: UInt32,
        group: UInt32 = 0,
        capabilities: CapabilitySet,
        landlockVersion: Int32,
        filtersSystemCalls: Bool = true,
        hasMountAttributes: Bool = true
    ) {
        self.user = user
        self.group = group
        self.capabilities = capabilities
        self.landlockVersion = landlockVersion
        self.filtersSystemCalls = filtersSystemCalls
        self.hasMountAttributes = hasMountAttributes
    }

    package static var current: HostFeatures {
        HostFeatures(
            user: geteuid(),
            group: getegid(),
            capabilities: CapabilitySet(bits: clinux_capabilities()),
            landlockVersion: max(0, clinux_landlock_version()),
            filtersSystemCalls: clinux_has_filters() == 1,
            hasMountAttributes: unsafe clinux_mount_attributes(-1, ".", 0, 0) != -ENOSYS
        )
    }

    private static let administration = 21

    package var isRoot: Bool { user == 0 }
    /// May make namespaces and mounts without a user namespace around them.
    package var hasAdministration: Bool { capabilities.contains(Self.administration) }

    /// What a kernel or a container says of what it does not do.
    ///
    /// Any other error is of this one start, and would be a way to get rid of the sandbox.
    private static let refusingErrors = [EPERM, EACCES, ENOSYS, EINVAL, EOPNOTSUPP, ENOSPC, EUSERS, ENODEV, EBUSY]

    /// Notes what a step that failed means for the next plan; false when no other plan would do.
    package mutating func doWithout(
        _ failure: SandboxFailure,
        of plan: SandboxPlan,
        _ errorText: (Int32) -> String
    ) -> Bool {
        guard let layer = plan.layer(of: failure), refusal(of: layer) == nil,
            Self.refusingErrors.contains(failure.number)
        else { return false }
        let step = plan.operations.indices.contains(failure.stage) ? "\(plan.operations[failure.stage])" : "clone"
        refuse(layer, "\(step): \(errorText(failure.number))")
        return true
    }

    package mutating func refuse(_ layer: SandboxLayer, _ why: String) { refusals.append((layer, why)) }

    package func refusal(of layer: SandboxLayer) -> String? { refusals.first { $0.layer == layer }?.why }

    package static func == (one: HostFeatures, other: HostFeatures) -> Bool {
        one.user == other.user && one.group == other.group && one.capabilities == other.capabilities
            && one.landlockVersion == other.landlockVersion && one.filtersSystemCalls == other.filtersSystemCalls
            && one.hasMountAttributes == other.hasMountAttributes
            && one.refusals.elementsEqual(other.refusals) { $0 == $1 }
    }
}
