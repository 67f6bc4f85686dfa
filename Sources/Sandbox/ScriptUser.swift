internal import CLinux
internal import Glibc

/// Who a script runs as, by numbers: the launcher is static and asks no name service.
package struct ScriptUser: Equatable, Sendable, CustomStringConvertible {
    package var user: UInt32
    package var group: UInt32
    /// Supplementary ones.
    package var groups: [UInt32]
    package var name: String
    /// Empty: the script's workspace.
    package var home: String
    package var shell: String

    package init(user: UInt32, group: UInt32, groups: [UInt32], name: String, home: String, shell: String) {
        self.user = user
        self.group = group
        self.groups = groups
        self.name = name
        self.home = home
        self.shell = shell
    }

    package var description: String { "user \(name) (\(user)), group \(group)" }

    /// Nobody has it in `/etc/passwd`.
    static let ownName = "script"

    /// The numbers of users who belong to one script at a time begin here: nobody else's, whatever container runtimes and
    /// systemd give out (systemd's UIDS-GIDS.md).
    private static let firstOwn: UInt32 = 1_879_048_192

    /// A user that no other script has at the same time: its number is that of a process that waits for the script.
    package static func own(process: Int32) -> ScriptUser {
        let number = firstOwn + UInt32(bitPattern: process)
        return ScriptUser(
            user: number,
            group: number,
            groups: [],
            name: ownName,
            home: "",
            shell: "/bin/sh"
        )
    }

    /// By name or number, from `/etc/passwd` and `/etc/group`; nil: there is no such user.
    package static func find(_ user: String) -> ScriptUser? {
        var found: ScriptUser?
        forEachLine(of: "/etc/passwd") { fields in
            guard fields.count >= 6, fields[0] == user || fields[2] == user, let number = UInt32(fields[2]),
                let group = UInt32(fields[3])
            else { return true }
            found = ScriptUser(
                user: number,
                group: group,
                groups: [],
                name: fields[0],
                home: fields[5],
                shell: fields.count > 6 ? fields[6] : "/bin/sh"
            )
            return false
        }
        if found == nil, let number = UInt32(user), number != .max {
            // Somebody whom only a directory service knows.
            found = ScriptUser(user: number, group: number, groups: [], name: user, home: "/", shell: "/bin/sh")
        }
        if let name = found?.name {
            forEachLine(of: "/etc/group") { fields in
                guard fields.count >= 4, let number = UInt32(fields[2]) else { return true }
                if fields[3].split(separator: ",").contains(Substring(name)) { found?.groups.append(number) }
                return true
            }
        }
        return found
    }

    /// The number of a group by its name or number.
    package static func groupNumber(_ group: String) -> UInt32? {
        var number = UInt32(group)
        guard number == nil else { return number }
        forEachLine(of: "/etc/group") { fields in
            guard fields.count >= 3, fields[0] == group else { return true }
            number = UInt32(fields[2])
            return number == nil
        }
        return number
    }

    private static func forEachLine(of path: String, _ body: ([String]) -> Bool) {
        let bytes = ProcessTable.bytes(path)
        var lines = ByteParts(of: bytes[...], separator: "\n")
        while let line = lines.next() {
            var fields: [String] = []
            var parts = ByteParts(of: line, separator: ":")
            while let part = parts.next() { fields.append(String(decoding: part, as: UTF8.self)) }
            guard body(fields) else { return }
        }
    }
}
