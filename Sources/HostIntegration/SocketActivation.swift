internal import Glibc

/// A descriptor that the service manager opened for us before it started us.
package struct InheritedDescriptor: Hashable, Sendable {
    package var descriptor: Int32
    /// The `FileDescriptorName=` of its unit; `unknown` when the manager gave none.
    package var name: String

    package init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    /// The first descriptor that a manager passes (`SD_LISTEN_FDS_START`).
    package static let first: Int32 = 3
    /// More than any unit of ours has; a larger number in the environment is not believed.
    package static let maximumCount: Int32 = 64

    /// The descriptors meant for this process, from `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`.
    ///
    /// They are marked close-on-exec, so that no child inherits them.
    package static func all(environment: [String: String], processID: Int32) -> [InheritedDescriptor] {
        guard environment["LISTEN_PID"].flatMap(Int32.init) == processID,
            let count = environment["LISTEN_FDS"].flatMap(Int32.init), (1...Self.maximumCount).contains(count)
        else { return [] }
        let names = environment["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        return (0..<count).compactMap { index in
            let descriptor = Self.first + index
            guard setCloseOnExec(descriptor) else { return nil }
            let name = Int(index) < names.count ? String(names[Int(index)]) : "unknown"
            return InheritedDescriptor(descriptor: descriptor, name: name)
        }
    }

    /// Whether the descriptor is open, and now closed on exec.
    private static func setCloseOnExec(_ descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFD)
        return flags >= 0 && fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) >= 0
    }
}
