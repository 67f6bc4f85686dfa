internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Lets a user of the script's own into its workspace, and no further than that.
enum WorkspaceAccess {
    private static let maximumDepth = 64

    /// The group gets what the agent's user has but for the agent's own files; nothing of others' can be removed.
    static func give(_ directory: Int32, to group: UInt32) throws(LauncherProtocolError) {
        let sticky: mode_t = 0o1770
        guard fchown(directory, .max, group) == 0, fchmod(directory, sticky) == 0 else {
            throw LauncherProtocolError("cannot give the workspace to the script's user: \(systemErrorText(errno))")
        }
        giveEntries(dup(directory), group, 0)
    }

    private static func giveEntries(_ directory: Int32, _ group: UInt32, _ depth: Int) {
        DirectoryEntries.forEach(takingOver: directory) { directory, name, isDirectory in
            if depth == 0, isAgents(name) { return true }
            let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
            let entry = unsafe openat(directory, name, flags)
            guard entry >= 0 else { return true }
            var facts = stat()
            // A second name may be of a file outside.
            if unsafe fstat(entry, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR || facts.st_nlink == 1 {
                fchown(entry, .max, group)
                let owner = (facts.st_mode & 0o700) >> 3
                fchmod(entry, facts.st_mode & 0o7777 & ~0o070 | owner)
            }
            if isDirectory, depth < maximumDepth { giveEntries(entry, group, depth + 1) } else { close(entry) }
            return true
        }
    }

    private static func isAgents(_ name: String) -> Bool {
        [
            ScriptSpecification.fileName, ScriptSpecification.logFileName, ScriptStateRecord.fileName,
            WorkspaceDirectory.reserveFileName,
        ].contains { name.hasPrefix($0) } || name.hasSuffix(".lock")
    }
}
