internal import CLinux
internal import Glibc

/// What a process may still do with files, TCP ports, signals and sockets, as data; enforced by landlock.
///
/// Landlock only takes away, and only what a rule set says it handles.
package struct LandlockRules: Equatable, Sendable {
    /// Files are handled: everything may be read and executed but below `exceptions`, and written only below `writable`.
    package var restrictsFiles = false
    package var writable: [String] = []
    /// Neither read nor written: for where nothing can be mounted over them.
    package var exceptions: [String] = []
    /// TCP ports are handled, where not nil.
    package var connect: [UInt16]?
    package var listen: [UInt16]?
    /// Signals and abstract unix sockets reach nobody outside of the sandbox.
    package var scopesSignals = false
    package var scopesAbstractSockets = false

    package var isEmpty: Bool {
        !restrictsFiles && connect == nil && listen == nil && !scopesSignals && !scopesAbstractSockets
    }

    /// The first version of landlock that can do each part.
    package static let portsVersion: Int32 = 4
    package static let scopesVersion: Int32 = 6

    private enum Access {
        static let execute: UInt64 = 1 << 0
        static let readFile: UInt64 = 1 << 2
        static let writeFile: UInt64 = 1 << 1
        static let readDirectory: UInt64 = 1 << 3
        static let truncate: UInt64 = 1 << 14
        static let deviceControl: UInt64 = 1 << 15
        static let read = execute | readFile | readDirectory
        /// What a rule on a file, not a directory, may say.
        static let file = execute | readFile | writeFile | truncate | deviceControl

        static func all(_ version: Int32) -> UInt64 {
            switch version {
            case 1: (1 << 13) - 1
            case 2: (1 << 14) - 1
            case 3, 4: (1 << 15) - 1
            default: (1 << 16) - 1
            }
        }
    }

    /// Restricts this process for good; the number of the error when the kernel refuses.
    ///
    /// The caller has no-new-privileges or CAP_SYS_ADMIN.
    func enforce(version: Int32) -> Int32 {
        let files = restrictsFiles ? Access.all(version) : 0
        var network: UInt64 = 0
        if version >= Self.portsVersion {
            if listen != nil { network |= 1 }
            if connect != nil { network |= 2 }
        }
        var scopes: UInt64 = 0
        if version >= Self.scopesVersion {
            if scopesAbstractSockets { scopes |= 1 }
            if scopesSignals { scopes |= 2 }
        }
        let rules = clinux_landlock_create(version, files, network, scopes)
        guard rules >= 0 else { return -rules }
        defer { close(rules) }
        if restrictsFiles {
            allowEverythingBut(exceptions, "/", Access.read, rules)
            // Names may be known everywhere: on the way to an exception nobody could list a directory otherwise.
            Self.allow("/", Access.readDirectory, rules)
            for path in writable { Self.allow(path, files, rules) }
            // Terminals, null and what programs write about themselves.
            for path in ["/dev", "/proc"] { Self.allow(path, files & Access.file, rules) }
        }
        if version >= Self.portsVersion {
            for port in listen ?? [] { _ = clinux_landlock_allow_port(rules, 1, UInt64(port)) }
            for port in connect ?? [] { _ = clinux_landlock_allow_port(rules, 2, UInt64(port)) }
        }
        return -clinux_landlock_enforce(rules)
    }

    /// Landlock has no exceptions: whatever lies beside the way to one is allowed instead.
    private func allowEverythingBut(_ hidden: [String], _ path: String, _ access: UInt64, _ rules: Int32) {
        guard !hidden.isEmpty else { return Self.allow(path, access, rules) }
        let prefix = path == "/" ? "/" : path + "/"
        let directory = unsafe clinux_open(path, O_RDONLY | O_DIRECTORY, 0)
        DirectoryEntries.forEach(takingOver: directory) { _, name, _ in
            let entry = prefix + name
            guard !hidden.contains(entry) else { return true }
            allowEverythingBut(hidden.filter { $0.hasPrefix(entry + "/") }, entry, access, rules)
            return true
        }
    }

    /// A path that is not there is nobody's.
    private static func allow(_ path: String, _ access: UInt64, _ rules: Int32) {
        let descriptor = unsafe clinux_open(path, Int32(CLINUX_O_PATH), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var facts = stat()
        guard unsafe fstat(descriptor, &facts) == 0 else { return }
        let isDirectory = facts.st_mode & S_IFMT == S_IFDIR
        _ = clinux_landlock_allow_path(rules, isDirectory ? access : access & Access.file, descriptor)
    }
}
