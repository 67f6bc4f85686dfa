import Glibc

/// Whole texts to descriptors.
package enum TextOutput {
    /// Writes all of it, as a rule in one piece; returns the error that it ended with, 0 for none.
    @discardableResult
    package static func write(_ text: String, to descriptor: CInt) -> CInt {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return errno }
            rest = rest.dropFirst(count)
        }
        return 0
    }
}
