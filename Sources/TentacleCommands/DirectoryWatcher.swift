import AgentConfiguration
import Glibc
import LauncherProtocol

/// Wakes up when something changes in one of a set of directories (inotify).
final class DirectoryWatcher {
    enum Interest {
        /// Entries come and go.
        case entries
        /// Files are written, come and go.
        case changes

        fileprivate var mask: UInt32 {
            switch self {
            case .entries:
                UInt32(
                    IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
                )
            case .changes:
                UInt32(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR)
            }
        }
    }

    /// For directories that do not exist yet, and for file systems that tell nothing (network mounts).
    private static let longestWaitMilliseconds: CInt = 1000

    private let descriptor: CInt
    private var watches: [String: CInt] = [:]

    init() throws(CommandError) {
        self.descriptor = inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK))
        // A user has 128 of them unless told otherwise: without one, it is looked every second.
        guard self.descriptor >= 0 || errno == EMFILE else {
            throw CommandError(.failure, "Could not watch for changes: \(systemErrorText(errno)).")
        }
    }

    deinit {
        if self.descriptor >= 0 { close(self.descriptor) }
    }

    /// Idempotent; false for a directory that is not there.
    @discardableResult
    func watch(_ path: String, for interest: Interest) -> Bool {
        let watch = inotify_add_watch(self.descriptor, path, interest.mask)
        self.watches[path] = watch >= 0 ? watch : nil
        return watch >= 0
    }

    /// The entries of a directory, or of the nearest one above it that is there.
    func watchNearest(_ path: String) {
        var path = path
        while !self.watch(path, for: .entries), path.count > 1 { path = FilePathText.directory(of: path) }
    }

    func forget(_ path: String) {
        guard let watch = self.watches.removeValue(forKey: path) else { return }
        inotify_rm_watch(self.descriptor, watch)
    }

    /// Waits for a change; false when the interruption came.
    func wait(until interruption: CInt, isPolling: Bool = false) -> Bool {
        var descriptors = [
            pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: interruption, events: Int16(POLLIN), revents: 0),
        ]
        poll(&descriptors, 2, isPolling ? 0 : Self.longestWaitMilliseconds)
        guard descriptors[1].revents == 0 else { return false }
        // What exactly changed is of no interest: everything that is open is looked at.
        var events = [UInt8](repeating: 0, count: 4096)
        while read(self.descriptor, &events, events.count) > 0 {}
        return true
    }
}
