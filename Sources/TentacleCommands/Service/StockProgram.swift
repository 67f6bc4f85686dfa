import AgentConfiguration
import FoundationEssentials
import Glibc

/// The stock agent's program, which our package keeps when it takes its place (`packaging/deb/preinst`).
struct StockProgram {
    private static let place = "/opt/octopus/tentacle"

    /// Where programs are, of either kind.
    let place: String
    let kept: String
    /// Where ours goes; a purge of the package takes it away.
    let replaced: String

    init(_ host: HostFiles) {
        self.place = host.wellKnown(Self.place)
        self.kept = self.place + ".stock"
        self.replaced = self.place + ".replaced"
    }

    var isKept: Bool { access(self.kept + "/Tentacle", X_OK) == 0 }

    /// The launcher is beside ours, and never was beside theirs.
    private var isInPlace: Bool {
        DurableFile.exists(self.place + "/Tentacle") && !DurableFile.exists(self.place + "/tentacle-launcher")
    }

    /// Two renames, to be called again when it was interrupted between them.
    func putBack() throws(CommandError) {
        if access(self.kept, F_OK) != 0, self.isInPlace { return }
        var information = stat()
        guard lstat(self.kept, &information) == 0, information.st_mode & S_IFMT == S_IFDIR, self.isKept else {
            throw CommandError(
                "There is no program of the stock agent in '\(self.kept)': the package keeps the one that it replaces. Install "
                    + "the stock agent's package instead."
            )
        }
        guard information.st_uid == geteuid(), information.st_mode & 0o022 == 0 else {
            throw CommandError("The folder '\(self.kept)' can be written by others than its owner; it is not trusted.")
        }
        if access(self.place, F_OK) == 0 {
            try? FileManager.default.removeItem(atPath: self.replaced)
            try Self.move(self.place, to: self.replaced)
        }
        do {
            try Self.move(self.kept, to: self.place)
        } catch {
            // Any program is better than none.
            rename(self.replaced, self.place)
            throw error
        }
    }

    private static func move(_ path: String, to other: String) throws(CommandError) {
        guard rename(path, other) == 0 else {
            throw CommandError(
                .failure,
                "Could not rename '\(path)' to '\(other)': \(String(cString: strerror(errno)))."
            )
        }
    }
}
