import AgentConfiguration
import Glibc

/// What of an instance's files its agent's user must own so that the agent starts (spec tentacle-cli.md 21.1).
///
/// Given away is only what is root's now, in directories that are an agent's own: a configuration file, which its agent may
/// have written, must not make root give away the host.
struct AgentAccess {
    var changes: [OwnershipChange] = []
    /// Why the agent would not get at its files all the same.
    var problems: [String] = []

    private let host: HostFiles
    private let user: UserAccount

    /// Belong to the host; those below the second list, too.
    private static let shared: Set = [
        "/", "/etc", "/etc/octopus", "/home", "/media", "/mnt", "/opt", "/opt/octopus", "/root", "/srv", "/tmp", "/var",
        "/var/cache", "/var/lib", "/var/log", "/var/opt", "/var/spool", "/var/tmp",
    ]
    private static let system = [
        "/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/opt/octopus/tentacle", "/proc", "/run", "/sbin", "/sys",
        "/usr", "/etc/tentacle", "/etc/systemd", "/var/lib/dpkg", "/var/lib/systemd",
    ]
    /// What the agent keeps in its home.
    private static let ownEntries = [
        "Logs", "Work", "Spool", "Files", "Tools", AgentHome.heartbeat, "DeploymentJournal.xml",
        "PackageRetentionJournal.json",
    ]
    /// More are a home that scripts have filled: the agent gets on with the directories above them.
    private static let maximumEntries = 100_000
    private static let maximumDepth = 32

    init(
        to instance: TentacleInstance,
        _ configuration: TentacleConfiguration,
        for user: UserAccount,
        _ host: HostFiles
    ) {
        self.host = host
        self.user = user
        guard user.id != 0 else { return }
        let home = configuration.homeDirectory
        let file = FilePathText.normalized(host.absolute(instance.configurationPath))
        self.give(file, "configuration file")
        self.demandWay(to: file)
        let folder = FilePathText.directory(of: file)
        if folder != home, Self.contains("/etc/octopus", self.logical(folder)) || self.isBelowState(folder),
            !self.isShared(folder)
        {
            self.give(folder, "configuration directory")
        }
        if let home {
            self.giveHome(home)
            self.demandWay(to: home)
        } else {
            self.problems.append("the instance has no home directory; run the configure command with --home")
        }
        let applications = configuration.applicationDirectory
        if Self.facts(of: host.absolute(applications)) != nil { self.give(applications, "application directory") }
        for key in configuration.machineKeyFiles { self.letRead(key) }
    }

    private mutating func giveHome(_ home: String) {
        let before = self.problems.count
        self.give(home, "home directory")
        guard self.problems.count == before else { return }
        var left = Self.maximumEntries
        for name in Self.ownEntries { self.giveTree("\(home)/\(name)", depth: 0, &left) }
    }

    /// Its own and nobody else's: a directory of another user's is not entered.
    private mutating func giveTree(_ path: String, depth: Int, _ left: inout Int) {
        guard let facts = Self.facts(of: path), left > 0, facts.user == 0 || facts.user == self.user.id else { return }
        left -= 1
        self.add(path, facts)
        // What others can put things into is theirs, too.
        guard facts.isDirectory, depth < Self.maximumDepth, facts.mode & 0o022 == 0 else { return }
        for name in DirectoryNames.list(path) { self.giveTree("\(path)/\(name)", depth: depth + 1, &left) }
    }

    private mutating func give(_ path: String, _ what: String) {
        let path = self.host.absolute(path)
        guard let facts = Self.facts(of: path) else {
            self.problems.append("the \(what) '\(path)' is not there")
            return
        }
        guard facts.user != self.user.id else { return }
        guard !facts.isDirectory || !self.isShared(path) else {
            self.problems.append("the \(what) '\(path)' is a directory of the host's")
            return
        }
        guard facts.user == 0 else {
            self.problems.append("the \(what) '\(path)' belongs to another user (\(facts.user))")
            return
        }
        self.add(path, facts)
    }

    private mutating func add(_ path: String, _ facts: Facts) {
        guard facts.user != self.user.id, facts.isDirectory || facts.links == 1 else { return }
        let before = OwnershipChange.Facts(user: facts.user, group: facts.group, mode: facts.mode)
        let change = OwnershipChange(
            path: path,
            before: before,
            after: .init(
                user: self.user.id,
                group: self.user.group,
                mode: (facts.mode & 0o1777) | (facts.isDirectory ? 0o700 : 0o600)
            )
        )
        if !self.changes.contains(where: { $0.path == path }) { self.changes.append(change) }
    }

    /// The key stays root's: who can write it can make certificates unreadable.
    private mutating func letRead(_ key: String) {
        guard let facts = Self.facts(of: key), facts.user != self.user.id else { return }
        if facts.mode & 0o004 != 0 || (facts.group == self.user.group && facts.mode & 0o040 != 0) { return }
        guard facts.user == 0, facts.links == 1, facts.group == 0 || facts.mode & 0o040 == 0 else {
            self.problems.append("the machine key '\(key)' is for others than '\(self.user.name)'")
            return
        }
        self.changes.append(
            OwnershipChange(
                path: key,
                before: .init(user: 0, group: facts.group, mode: facts.mode),
                after: .init(user: 0, group: self.user.group, mode: facts.mode | 0o040)
            )
        )
    }

    /// Each directory above has to let the user through.
    private mutating func demandWay(to path: String) {
        var directory = FilePathText.directory(of: path)
        while directory != "/", directory != self.host.root {
            if let facts = Self.facts(of: directory, followsLinks: true), !self.passes(facts),
                !self.changes.contains(where: { $0.path == directory })
            {
                let problem = "'\(path)' is out of reach for '\(self.user.name)': '\(directory)' is closed"
                if !self.problems.contains(problem) { self.problems.append(problem) }
                return
            }
            directory = FilePathText.directory(of: directory)
        }
    }

    private func passes(_ facts: Facts) -> Bool {
        if facts.user == self.user.id { return facts.mode & 0o100 != 0 }
        if facts.group == self.user.group { return facts.mode & 0o010 != 0 }
        return facts.mode & 0o001 != 0
    }

    // MARK: Paths

    /// Without what stands in front of well-known paths in tests.
    private func logical(_ path: String) -> String { self.host.logical(path) }

    private func isBelowState(_ path: String) -> Bool { Self.contains("/var/lib", self.logical(path)) }

    private func isShared(_ path: String) -> Bool {
        let path = self.logical(path)
        return Self.shared.contains(path) || Self.system.contains { Self.contains($0, path) }
            || (Self.contains("/etc", path) && !Self.contains("/etc/octopus", path))
    }

    static func contains(_ directory: String, _ path: String) -> Bool {
        path == directory || path.hasPrefix(directory + "/")
    }

    private struct Facts {
        var user: UInt32
        var group: UInt32
        var mode: UInt32
        var links: UInt
        var isDirectory: Bool
    }

    /// Of a file or directory itself; nil for what is neither.
    private static func facts(of path: String, followsLinks: Bool = false) -> Facts? {
        var information = stat()
        guard (followsLinks ? stat(path, &information) : lstat(path, &information)) == 0 else { return nil }
        let type = information.st_mode & S_IFMT
        guard type == S_IFREG || type == S_IFDIR else { return nil }
        return Facts(
            user: information.st_uid,
            group: information.st_gid,
            mode: information.st_mode & 0o7777,
            links: UInt(information.st_nlink),
            isDirectory: type == S_IFDIR
        )
    }
}

extension HostFiles {
    /// A path without what stands in front of well-known ones in tests.
    func logical(_ path: String) -> String {
        guard !self.root.isEmpty, AgentAccess.contains(self.root, path) else { return path }
        let rest = String(path.dropFirst(self.root.count))
        return rest.isEmpty ? "/" : rest
    }
}
