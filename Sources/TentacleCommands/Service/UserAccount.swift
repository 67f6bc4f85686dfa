import Glibc

/// A user of this host.
package struct UserAccount: Hashable, Sendable {
    package var name: String
    package var id: UInt32
    package var group: UInt32

    package init(name: String, id: UInt32, group: UInt32) {
        self.name = name
        self.id = id
        self.group = group
    }

    package static func find(_ name: String) -> UserAccount? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return UserAccount(name: name, id: entry.pw_uid, group: entry.pw_gid)
    }
}

/// Another owner or mode for one file or directory.
package struct OwnershipChange: Hashable, Sendable, Codable {
    package struct Facts: Hashable, Sendable, Codable {
        package var user: UInt32
        package var group: UInt32
        package var mode: UInt32

        package init(user: UInt32, group: UInt32, mode: UInt32) {
            self.user = user
            self.group = group
            self.mode = mode
        }
    }

    package var path: String
    package var before: Facts
    package var after: Facts

    package init(path: String, before: Facts, after: Facts) {
        self.path = path
        self.before = before
        self.after = after
    }

    /// What undoes it.
    package var reversed: OwnershipChange { OwnershipChange(path: self.path, before: self.after, after: self.before) }

    /// Only what is still as it was seen, by descriptor: no link is followed, and no second name of another file given away.
    package func apply() -> CInt {
        let descriptor = open(self.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { return errno }
        let now = Facts(
            user: information.st_uid,
            group: information.st_gid,
            mode: information.st_mode & 0o7777
        )
        if now == self.after { return 0 }
        guard information.st_mode & S_IFMT == S_IFDIR || information.st_nlink == 1 else { return EMLINK }
        guard now.user == self.before.user || now.user == self.after.user else { return EBUSY }
        guard fchown(descriptor, self.after.user, self.after.group) == 0 else { return errno }
        // Behind the owner: a change of owner takes bits away.
        return fchmod(descriptor, self.after.mode) == 0 ? 0 : errno
    }
}
