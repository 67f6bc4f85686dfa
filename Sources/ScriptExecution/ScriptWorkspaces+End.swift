internal import CLinux
internal import FoundationEssentials
internal import Glibc
package import LauncherProtocol

/// What becomes of a workspace after its script.
extension ScriptWorkspaces {
    /// Every directory under `Work` whose name can be a ticket.
    package func tickets() -> [ScriptTicketName] {
        names().sorted().compactMap { try? ScriptTicketName($0) }
    }

    private func names() -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: workDirectory)) ?? [] }

    // MARK: Removing

    /// Removes a workspace; its log and record go to the past scripts when it is complete.
    ///
    /// - Returns: how many bytes of it are kept there, and whether nothing of the workspace is left.
    package func complete(_ ticket: ScriptTicketName, keepingIn past: PastScripts?) -> (kept: Int64, isGone: Bool) {
        let isComplete = (try? open(ticket)?.recordOnDisk())??.record?.phase == .complete
        let kept = isComplete ? past?.keep(ticket, workspace: path(of: ticket)) : nil
        return (kept ?? 0, remove(ticket))
    }

    /// Removes a workspace; false when something of it is still on the disk.
    ///
    /// It loses its name before anything of it goes: what a failing disk leaves is no ticket's workspace any more, of
    /// which half were gone, and the cleaner finds it by its new name.
    package func remove(_ ticket: ScriptTicketName) -> Bool {
        let (place, removed) = (
            path(of: ticket), workDirectory + "/" + ScriptDirectories.removedPrefix + ticket.description
        )
        _ = Self.delete(removed)
        guard unsafe rename(place, removed) == 0 else { return Self.delete(place) && Self.delete(removed) }
        return Self.delete(removed)
    }

    /// What earlier removals have left; gives the tickets of those of which something is still there.
    package func removeRemains() -> [ScriptTicketName] {
        let prefix = ScriptDirectories.removedPrefix
        return names().filter { $0.hasPrefix(prefix) && !Self.delete(workDirectory + "/" + $0) }
            .compactMap { try? ScriptTicketName(String($0.dropFirst(prefix.count))) }
    }

    /// Removes a file or a tree; symbolic links are removed, not followed.
    ///
    /// False when something of it is still there.
    static func delete(_ path: String) -> Bool {
        var facts = stat()
        for _ in 0..<3 {
            try? FileManager.default.removeItem(atPath: path)
            if unsafe lstat(path, &facts) != 0, errno == ENOENT { return true }
        }
        return false
    }

    // MARK: Ending

    /// Ends a script that nobody runs: takes the lock, looks again, writes log and state.
    ///
    /// - Returns: the state on disk afterwards; unchanged when a launcher holds the lock or has ended it meanwhile.
    package func finish(
        _ ticket: ScriptTicketName,
        exitCode: Int32,
        log: [(OutputLogRecord.Source, String)],
        detail: String?
    ) throws -> ScriptStateRecord? {
        guard let directory = try open(ticket) else { return nil }
        guard let claim = try directory.claim(.openFileDescription) else { return try directory.readState() }
        let result = Result { try Self.finishClaimed(ticket, directory, exitCode: exitCode, log: log, detail: detail) }
        claim.release()
        return try result.get()
    }

    private static func finishClaimed(
        _ ticket: ScriptTicketName,
        _ directory: borrowing WorkspaceDirectory,
        exitCode: Int32,
        log: [(OutputLogRecord.Source, String)],
        detail: String?
    ) throws -> ScriptStateRecord? {
        var (log, details) = (log, [detail].compactMap(\.self))
        var state: ScriptStateRecord
        switch try directory.recordOnDisk() {
        case .absent: return nil
        case .record(let record): state = record
        case .unreadable(let why):
            state = newRecord(ticket, directory)
            let name = WorkspaceDirectory.unreadableStateFileName
            details.append("Its record was not readable (\(why)) and is now \(name).")
            log.append((.standardError, details[details.count - 1]))
            directory.setUnreadableStateAside()
        }
        guard state.phase != .complete else { return state }
        // Of a launcher that was killed; on a full disk, its blocks are room for the last lines.
        directory.remove(WorkspaceDirectory.reserveFileName)
        do {
            let writer = try OutputLogWriter(directory)
            try writer.append(log)
            writer.sync()
        } catch {
            // A disk that takes no line more must not keep the outcome from the server; the record says why.
            details.append("\(error).")
        }
        let text = details.isEmpty ? nil : details.joined(separator: " ")
        state.complete(at: .now, exitCode: exitCode, ranToCompletion: false, detail: text)
        try directory.writeState(state, durable: true)
        return state
    }

    /// In place of one that is not understood: as much as `script.json` knows.
    private static func newRecord(
        _ ticket: ScriptTicketName,
        _ directory: borrowing WorkspaceDirectory
    ) -> ScriptStateRecord {
        let bytes = try? directory.read(ScriptSpecification.fileName, limit: ScriptSpecification.maximumBytes)
        guard let bytes, let specification = try? ScriptSpecification(bytes: bytes) else {
            return ScriptStateRecord(ticket: ticket, created: .now, boot: currentBootID())
        }
        return ScriptStateRecord(specification, created: .now, boot: currentBootID())
    }
}
