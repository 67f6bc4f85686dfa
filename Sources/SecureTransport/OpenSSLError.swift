internal import COpenSSL

/// A call of libcrypto or libssl that failed: what was attempted, and the library's own reasons.
public struct OpenSSLError: Error, Hashable, CustomStringConvertible {
    /// What was attempted, as a verb phrase: `read the PKCS#12 file`.
    public var operation: String
    /// The library's error queue at that moment, oldest first; may be empty.
    public var reasons: [String]

    public var description: String {
        reasons.isEmpty ? "could not \(operation)" : "could not \(operation): \(reasons.joined(separator: "; "))"
    }

    /// Takes the calling thread's error queue, and so empties it.
    @inline(never)
    init(_ operation: String) {
        self.operation = operation
        self.reasons = Self.drainQueue()
    }

    @inline(never)
    init(_ operation: String, reasons: [String]) {
        self.operation = operation
        self.reasons = reasons
    }

    /// Removes and returns everything in the calling thread's error queue.
    @inline(never)
    static func drainQueue() -> [String] {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return reasons }
            if let text = unsafe ERR_reason_error_string(code) {
                reasons.append(unsafe String(cString: text))
            } else {
                reasons.append("error \(String(code, radix: 16, uppercase: true))")
            }
        }
    }
}
