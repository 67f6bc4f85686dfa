/// What a policy may be called: `[a-z0-9][a-z0-9-]{0,63}`, since it names a file.
package enum PolicyName {
    static let maximumBytes = 64
    package static let form = "lower-case letters, digits and - (not as the first), at most 64"

    package static func isValid(_ name: String) -> Bool {
        guard (1...maximumBytes).contains(name.utf8.count), name.utf8.first != UInt8(ascii: "-") else { return false }
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                continue
            default: return false
            }
        }
        return true
    }
}
