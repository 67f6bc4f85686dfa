internal import Glibc

/// What is found in the place of `state.json`.
package enum RecordOnDisk: Equatable, Sendable {
    case absent
    case record(ScriptStateRecord)
    /// Somebody has started this script, but what was written is not understood, and why: empty after a power cut, of
    /// another version of this program, or written over by the script.
    case unreadable(String)

    package var record: ScriptStateRecord? {
        guard case .record(let record) = self else { return nil }
        return record
    }
}

extension WorkspaceDirectory {
    package static let unreadableStateFileName = ScriptStateRecord.fileName + ".unreadable"

    /// Throws when the disk, or a limit of this process, keeps the record from being read now; asked again, it may be.
    package func recordOnDisk() throws(WorkspaceFileError) -> RecordOnDisk {
        let bytes: [UInt8]?
        do {
            bytes = try read(ScriptStateRecord.fileName, limit: ScriptStateRecord.maximumBytes)
        } catch {
            // A link, a directory or a device in its place, or far too much.
            guard [ELOOP, EISDIR, ENXIO, ENODEV, EAGAIN, EFBIG].contains(error.number) else { throw error }
            return .unreadable(error.description)
        }
        guard let bytes else {
            // Set aside, and then its replacement could not be written: the script counts as started all the same.
            let isAside = unsafe faccessat(descriptor, Self.unreadableStateFileName, F_OK, AT_SYMLINK_NOFOLLOW) == 0
            return isAside ? .unreadable("only \(Self.unreadableStateFileName) is there") : .absent
        }
        guard !bytes.isEmpty else { return .unreadable("state.json is empty") }
        do {
            return .record(try ScriptStateRecord(bytes: bytes))
        } catch {
            return .unreadable(error.description)
        }
    }

    /// Sets a record that is not understood aside, for people and for the program that wrote it.
    ///
    /// It needs no room on the disk; when it fails all the same, the record that comes now replaces the other.
    package func setUnreadableStateAside() {
        _ = unsafe renameat(descriptor, ScriptStateRecord.fileName, descriptor, Self.unreadableStateFileName)
    }
}
