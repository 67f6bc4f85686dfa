internal import Glibc

/// A call to the operating system that failed.
package struct HostError: Error, Hashable, CustomStringConvertible {
    package var errno: Int32
    /// What was tried.
    package var attempt: String

    package init(errno: Int32, _ attempt: String) {
        self.errno = errno
        self.attempt = attempt
    }

    package var description: String {
        guard let text = unsafe strerror(self.errno) else { return "\(self.attempt): error \(self.errno)." }
        return unsafe "\(self.attempt): \(String(cString: text))."
    }
}
