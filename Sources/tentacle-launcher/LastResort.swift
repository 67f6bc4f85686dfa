internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

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
        let own = user.utf8
        let file = unsafe clinux_open("/etc/passwd", O_RDONLY, 0)
        guard file >= 0 else { return user }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe read(file, &buffer, buffer.count)
        var lines = ByteParts(of: buffer.prefix(max(0, count)), separator: "\n")
        while let line = lines.next() {
            var fields = ByteParts(of: line, separator: ":")
            if let name = fields.next(), fields.next() != nil, let number = fields.next(), number.elementsEqual(own) {
                return String(decoding: name, as: UTF8.self)
            }
        }
        return user
    }
}
