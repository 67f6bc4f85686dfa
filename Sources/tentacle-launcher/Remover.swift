internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Removes what is left of a workspace that its agent has given up.
///
/// By descriptors only: no link is followed, so nothing outside of the agent's own work directory is reached, whatever its
/// user does there meanwhile. What is mounted in it stays.
enum Remover {
    /// Each level holds a descriptor.
    private static let maximumDepth = 256

    static func remove(
        _ ticket: ScriptTicketName,
        for user: uid_t?,
        _ settings: LauncherSettings
    ) throws(LauncherProtocolError) {
        let name = ScriptDirectories.removedPrefix + ticket.description
        try settings.find(for: user) { (work, path) throws(LauncherProtocolError) in
            var facts = stat()
            guard unsafe fstatat(work, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw LauncherProtocolError("there is no \(name) in \(path)")
            }
            let number = remove(name, in: work, 0)
            guard number == 0 else {
                throw LauncherProtocolError("cannot remove \(path)/\(name): \(systemErrorText(number))")
            }
        }
    }

    /// The first error, after everything that could be removed is.
    static func remove(_ name: String, in parent: Int32, _ depth: Int = 0) -> Int32 {
        if unsafe unlinkat(parent, name, 0) == 0 { return 0 }
        guard errno == EISDIR || errno == EPERM else { return errno == ENOENT ? 0 : errno }
        guard depth < maximumDepth else { return ELOOP }
        let directory = unsafe openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard directory >= 0 else { return errno }
        var failure: Int32 = 0
        DirectoryEntries.forEach(takingOver: directory) { directory, entry, _ in
            let number = remove(entry, in: directory, depth + 1)
            if failure == 0 { failure = number }
            return true
        }
        if unsafe unlinkat(parent, name, AT_REMOVEDIR) == 0 { return 0 }
        return failure != 0 ? failure : errno
    }
}
