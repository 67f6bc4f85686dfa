/// Names of sandbox policies, which are also names of files: `/etc/tentacle/policies/NAME.toml`.
package enum SandboxPolicyName {
    package static let maximumLength = 64

    package static func isValid(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (1...Self.maximumLength).contains(bytes.count), bytes[0] != UInt8(ascii: "-") else { return false }
        return bytes.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
            default: false
            }
        }
    }

    package static func refusal(_ name: String) -> String {
        "'\(name)' is no name of a sandbox policy: a name has a-z, 0-9 and -, does not begin with -, "
            + "and has at most \(Self.maximumLength) characters."
    }
}
