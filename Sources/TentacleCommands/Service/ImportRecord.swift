import AgentConfiguration
import FoundationEssentials
import Glibc

/// What `import-stock` has changed or is about to: the manifest of the folder with everything it replaced.
///
/// It is written, whole and durably, before the first change, and removed after the last one was taken back. Whatever
/// happens in between can be gone through again.
struct ImportRecord: Codable {
    struct File: Codable {
        var path: String
        /// Name in the folder; nil when there was no such file.
        var backup: String?
        var mode: UInt32
        var user: UInt32
        var group: UInt32
    }

    struct Unit: Codable {
        var name: String
        var wasActive: Bool
        var wasEnabled: Bool
    }

    enum State: String, Codable {
        /// Changes may have been made.
        case begun
        case imported
    }

    static let version = 1

    var version = Self.version
    var state = State.begun
    var files: [File] = []
    var owners: [OwnershipChange] = []
    var units: [Unit] = []

    // MARK: The folder

    /// Root's alone: who can write there decides what an undo puts into `/etc`.
    static func folder(_ host: HostFiles) -> String { host.wellKnown("/var/backups/tentacle-import-stock") }
    static func path(_ host: HostFiles) -> String { Self.folder(host) + "/manifest.json" }

    /// Nil when nothing has been imported.
    static func load(_ host: HostFiles) throws -> ImportRecord? {
        let path = Self.path(host)
        guard DurableFile.exists(path) else { return nil }
        var information = stat()
        guard lstat(Self.folder(host), &information) == 0, information.st_mode & S_IFMT == S_IFDIR,
            information.st_uid == geteuid(), information.st_mode & 0o022 == 0
        else {
            throw CommandError(
                "The folder '\(Self.folder(host))' can be written by others than its owner; what is in it is not trusted."
            )
        }
        do {
            let record = try JSONDecoder().decode(ImportRecord.self, from: Data(try DurableFile.read(path)))
            guard record.version == Self.version else { throw CommandError("version \(record.version)") }
            return record
        } catch {
            throw CommandError("The record '\(path)' of an earlier import-stock cannot be read: \(error)")
        }
    }

    func save(_ host: HostFiles) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try DurableFile.write(Array(try encoder.encode(self)), to: Self.path(host), mode: 0o600)
    }

    /// Copies what the plans replace; a backup that is there already is the original.
    init(replacing plans: [ServicePlan], units: [Unit], _ host: HostFiles) throws {
        try DurableFile.makeDirectory(Self.folder(host), mode: 0o700)
        self.units = units
        for change in plans.flatMap(\.files) where !self.files.contains(where: { $0.path == change.path }) {
            var information = stat()
            guard lstat(change.path, &information) == 0 else {
                self.files.append(File(path: change.path, backup: nil, mode: 0, user: 0, group: 0))
                continue
            }
            let name = "\(self.files.count)-\(FilePathText.name(of: change.path))"
            try DurableFile.write(try DurableFile.read(change.path), to: "\(Self.folder(host))/\(name)", mode: 0o600)
            self.files.append(
                File(
                    path: change.path,
                    backup: name,
                    mode: information.st_mode & 0o7777,
                    user: information.st_uid,
                    group: information.st_gid
                )
            )
        }
        self.owners = plans.flatMap(\.ownership)
    }

    // MARK: Taking it back

    /// Files and owners as they were; to be called again when it was interrupted.
    func restore(_ context: CommandContext) throws {
        for file in self.files {
            guard let backup = file.backup else {
                try ServicePlan.apply(.init(path: file.path, content: nil))
                continue
            }
            let bytes = try DurableFile.read("\(Self.folder(context.host))/\(backup)")
            try DurableFile.makeDirectory(FilePathText.directory(of: file.path))
            try DurableFile.write(bytes, to: file.path, mode: file.mode)
            var information = stat()
            guard lstat(file.path, &information) == 0 else { continue }
            let now = OwnershipChange.Facts(
                user: information.st_uid,
                group: information.st_gid,
                mode: information.st_mode & 0o7777
            )
            let before = OwnershipChange.Facts(user: file.user, group: file.group, mode: file.mode)
            if now != before { _ = context.changeOwner(OwnershipChange(path: file.path, before: now, after: before)) }
        }
        for owner in self.owners {
            let code = context.changeOwner(owner.reversed)
            // What somebody else has changed since is theirs; what is gone is gone.
            guard [0, ENOENT, EBUSY, ELOOP, EMLINK].contains(code) else {
                throw CommandError(
                    .failure,
                    "Could not give '\(owner.path)' back: \(String(cString: strerror(code)))."
                )
            }
        }
    }

    /// The manifest goes first: without it the rest means nothing.
    func remove(_ host: HostFiles) throws {
        guard unlink(Self.path(host)) == 0 || errno == ENOENT else {
            throw CommandError(.failure, "Could not remove '\(Self.path(host))': \(String(cString: strerror(errno))).")
        }
        for backup in self.files.compactMap(\.backup) { unlink("\(Self.folder(host))/\(backup)") }
        rmdir(Self.folder(host))
    }
}
