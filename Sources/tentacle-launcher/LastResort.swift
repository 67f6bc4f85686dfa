internal import CLinux
internal import Glibc
internal import LauncherProtocol

/// Room on the disk for the last lines and the last record of a script that filled it.
enum LastResort {
    private static let bytes: off_t = 16_384

    static func reserve(_ directory: borrowing WorkspaceDirectory) {
        directory.reserveNext(of: ScriptStateRecord.fileName, bytes: 4096)
        let name = WorkspaceDirectory.reserveFileName
        let file = unsafe clinux_open_beneath(directory.descriptor, name, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard file >= 0 else { return }
        _ = posix_fallocate(file, 0, bytes)
        close(file)
    }

    /// The blocks become free for `Output.log`.
    static func release(_ directory: borrowing WorkspaceDirectory) {
        directory.remove(WorkspaceDirectory.reserveFileName)
    }
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
