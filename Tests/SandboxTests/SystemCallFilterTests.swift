import Sandbox
import Testing

/// Programs for the kernel; what they refuse is for the escape suite.
@Suite struct SystemCallFilterTests {
    /// BPF_MAXINSNS, eight bytes each.
    private static let mostBytes = 4096 * 8
    private static let pipeBytes = 65_536

    @Test("The kernel takes every filter, and a pipe takes all of a script's", arguments: ["standard", "strict"])
    func size(profile: String) throws {
        var policy = try #require(SandboxPolicy.profile(profile))
        for foreign in [false, true] {
            policy.systemCalls.foreignArchitectures = foreign
            var sum = 0
            for filter in SystemCallFilter.filters(policy, ownNetwork: false) {
                let program = try filter.program()
                #expect(!program.isEmpty && program.count.isMultiple(of: 8) && program.count <= Self.mostBytes)
                sum += program.count
            }
            #expect(sum > 0 && sum < Self.pipeBytes)
        }
    }

    @Test("none has no filter")
    func none() {
        #expect(SystemCallFilter.filters(.none, ownNetwork: false).isEmpty)
    }
}
