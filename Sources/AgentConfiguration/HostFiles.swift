import Glibc

/// Where this host keeps things, as values: nothing in this module reads the process environment by itself.
///
/// `root` stands in front of the well-known absolute paths (`/etc/octopus`, `/etc/machine-id`, …) so that tests have a
/// host of their own. Paths that a person gives are never changed by it.
package struct HostFiles: Sendable {
    package var root: String
    package var environment: [String: String]
    package var currentDirectory: String
    /// Of the user who runs the program; nil where there is none, as in tests.
    package var userDirectory: String?
    /// Where the running program lies, links resolved.
    package var programDirectory: String?

    package init(root: String = "", environment: [String: String] = [:], currentDirectory: String = "/") {
        self.root = root
        self.environment = environment
        self.currentDirectory = currentDirectory
    }

    /// The host that the process runs on; for `main` only.
    package static func current() -> HostFiles {
        var host = HostFiles(environment: Self.processEnvironment(), currentDirectory: Self.processDirectory())
        host.userDirectory = host.variable("HOME") ?? Self.directoryOfUser()
        host.programDirectory = Self.programPath().map(FilePathText.directory)
        return host
    }

    package func wellKnown(_ path: String) -> String { self.root + path }

    /// A path as given by a person, made absolute and free of `.` and `..` (as .NET's `Path.GetFullPath`).
    package func absolute(_ path: String) -> String {
        FilePathText.normalized(path.hasPrefix("/") ? path : self.currentDirectory + "/" + path)
    }

    /// Value of an environment variable; blank counts as not set.
    package func variable(_ name: String) -> String? {
        guard let value = self.environment[name], !value.allSatisfy(\.isWhitespace) else { return nil }
        return value
    }

    /// `/etc/octopus`, or what `TentacleMachineConfigurationHomeDirectory` says (spec 5.1).
    package var machineConfigurationHome: String {
        self.variable("TentacleMachineConfigurationHomeDirectory") ?? self.wellKnown("/etc/octopus")
    }

    /// For files that live for a moment (spec 1.1).
    package var temporaryDirectory: String { self.variable("TMPDIR") ?? "/tmp" }

    /// Where programs log before an instance is loaded, and those without one (spec 9.2); nil for a user without a home.
    package var defaultLogDirectory: String? {
        if let given = self.variable("DefaultLogDirectory") { return self.absolute(given) }
        let data = self.variable("XDG_DATA_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil }
        return (data ?? self.userDirectory.map { "\($0)/.local/share" }).map { "\($0)/Octopus/Logs" }
    }

    /// Login name for messages; the numeric id where the name is not known.
    package var userName: String {
        self.variable("USER") ?? self.variable("LOGNAME") ?? Self.name(ofUser: geteuid()) ?? "\(geteuid())"
    }

    private static func name(ofUser id: uid_t) -> String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwuid_r(id, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return String(cString: entry.pw_name)
    }

    private static func processDirectory() -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else { return "/" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func directoryOfUser() -> String? {
        guard let entry = getpwuid(geteuid()), let directory = entry.pointee.pw_dir else { return nil }
        let path = String(cString: directory)
        return path.hasPrefix("/") ? path : nil
    }

    /// The running program, links resolved; nil when its file is gone.
    package static func programPath() -> String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    private static func processEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        var cursor = environ
        while let entry = cursor.pointee {
            let text = String(cString: entry)
            if let split = text.firstIndex(of: "=") {
                result[String(text[..<split])] = String(text[text.index(after: split)...])
            }
            cursor += 1
        }
        return result
    }
}

/// Lexical operations on absolute paths.
package enum FilePathText {
    package static func normalized(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    package static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    package static func name(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return path }
        return String(path[path.index(after: slash)...])
    }
}
