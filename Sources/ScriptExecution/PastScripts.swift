internal import CLinux
internal import FoundationEssentials
internal import Glibc
internal import LauncherProtocol

/// Logs of scripts that the server has completed, kept for `tentacle logs` (ours; the stock agent deletes them).
///
/// A folder is moved, never copied, so that it needs no room on the disk. What is kept is bounded; the oldest goes first.
package struct PastScripts: Sendable {
    package struct Limits: Sendable, Equatable {
        /// Blocks on the disk of all kept logs together; one that is larger alone is not kept.
        package var bytes: Int64 = 64 << 20
        package var scripts = 500
        package var age = Duration.seconds(7 * 24 * 3600)

        package init() {}
    }

    private static let kept: Set<String> = [ScriptSpecification.logFileName, ScriptStateRecord.fileName]

    package let directory: String
    package let limits: Limits

    package init(homeDirectory: String, limits: Limits = Limits()) {
        self.directory = homeDirectory + "/" + ScriptDirectories.past
        self.limits = limits
    }

    /// Moves a script's log and record out of its workspace, of which nothing else is left then.
    ///
    /// - Returns: how many bytes are kept; nil when they are not. Of the workspace there may be something left, either way.
    func keep(_ ticket: ScriptTicketName, workspace: String) -> Int64? {
        let bytes = Self.bytes(of: workspace)
        guard limits.scripts > 0, bytes <= limits.bytes, makeDirectory() else { return nil }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: workspace)) ?? []
        let place = directory + "/" + ticket.description
        // The place may be taken by an earlier script with the same ticket.
        guard Self.kept.isSubset(of: names), ScriptWorkspaces.delete(place) else { return nil }
        let others = names.filter { !Self.kept.contains($0) }
        // Whatever stayed would be kept with the log, outside of the bounds.
        let isAlone = others.allSatisfy { ScriptWorkspaces.delete(workspace + "/" + $0) }
        guard isAlone ? unsafe rename(workspace, place) == 0 : Self.takeFiles(from: workspace, to: place) else {
            return nil
        }
        // Scripts may have made it theirs; and its time is now that of its completion.
        _ = unsafe chmod(place, 0o700)
        _ = unsafe utimensat(AT_FDCWD, place, nil, AT_SYMLINK_NOFOLLOW)
        return bytes
    }

    /// Out of a workspace in which something cannot be deleted.
    private static func takeFiles(from workspace: String, to place: String) -> Bool {
        guard unsafe mkdir(place, 0o700) == 0 else { return false }
        return kept.allSatisfy { unsafe rename(workspace + "/" + $0, place + "/" + $0) == 0 }
    }

    /// Deletes what is beyond the limits.
    package func prune() {
        var left = limits
        for folder in folders() {
            left.scripts -= 1
            left.bytes -= folder.bytes
            let isOld = UTCMicroseconds.now.sinceEpoch - folder.changed > Int64(limits.age / .microseconds(1))
            if isOld || left.scripts < 0 || left.bytes < 0 {
                try? FileManager.default.removeItem(atPath: folder.path)
            }
        }
    }

    private struct Folder {
        var path: String
        var bytes: Int64
        /// Microseconds since 1970.
        var changed: Int64
    }

    /// The newest first.
    private func folders() -> [Folder] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.compactMap { name in
            let path = directory + "/" + name
            var facts = stat()
            guard unsafe lstat(path, &facts) == 0 else { return nil }
            let changed = Int64(facts.st_mtim.tv_sec) * 1_000_000 + Int64(facts.st_mtim.tv_nsec) / 1000
            return Folder(path: path, bytes: Self.bytes(of: path), changed: changed)
        }.sorted { $0.changed > $1.changed }
    }

    private static func bytes(of folder: String) -> Int64 {
        kept.reduce(0) { sum, name in
            var facts = stat()
            return unsafe lstat(folder + "/" + name, &facts) == 0 ? sum + Int64(facts.st_blocks) * 512 : sum
        }
    }

    private func makeDirectory() -> Bool {
        if unsafe access(directory, W_OK) == 0 { return true }
        let parent = directory[..<(directory.lastIndex(of: "/") ?? directory.startIndex)]
        try? FileManager.default.createDirectory(atPath: String(parent), withIntermediateDirectories: true)
        return unsafe mkdir(directory, 0o700) == 0
    }
}
