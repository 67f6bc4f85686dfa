internal import CLinux
internal import Glibc
internal import LauncherProtocol

/// Room on the disk for the last lines and the last record of a script that filled it.
enum LastResort {
    private static let fileName = ".reserve"
    private static let bytes: off_t = 16_384

    static func reserve(_ directory: borrowing WorkspaceDirectory) {
        directory.reserveNext(of: ScriptStateRecord.fileName, bytes: 4096)
        let file = unsafe clinux_open_beneath(directory.descriptor, fileName, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard file >= 0 else { return }
        _ = posix_fallocate(file, 0, bytes)
        close(file)
    }

    /// The blocks become free for `Output.log`.
    static func release(_ directory: borrowing WorkspaceDirectory) { directory.remove(fileName) }
}

/// Who runs the script, by name: read from the file, since a static program cannot ask the name service.
enum UserName {
    static var current: String {
        let user = String(geteuid())
        let file = unsafe clinux_open("/etc/passwd", O_RDONLY, 0)
        guard file >= 0 else { return user }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe read(file, &buffer, buffer.count)
        for line in buffer.prefix(max(0, count)).split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 3, omittingEmptySubsequences: false)
            if fields.count == 4, fields[2].elementsEqual(user.utf8) {
                return String(decoding: fields[0], as: UTF8.self)
            }
        }
        return user
    }
}

/// A moment that a kill must not go beyond.
struct Deadline {
    private let end: Int64

    init(milliseconds: Int64) { end = Self.now + milliseconds }

    private static var now: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Until a child ends, at most 10 ms; false when the time is over.
    func wait(for signals: Int32) -> Bool {
        guard Self.now < end else { return false }
        var waiting = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&waiting, 1, 10) > 0 { _ = clinux_next_signal(signals) }
        return true
    }
}
