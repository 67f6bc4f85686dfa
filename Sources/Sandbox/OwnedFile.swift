internal import CLinux
internal import Glibc

/// Files that say what scripts may do, read only where nobody but root and the launcher's user can have written them.
package enum OwnedFile {
    /// Nil when there is no such file.
    ///
    /// A link is refused, and a device or FIFO is not waited for.
    package static func read(_ path: String, limit: Int) throws(SettingsFileError) -> [UInt8]? {
        try read(unsafe clinux_open(path, flags, 0), path, limit)
    }

    /// A file in a directory that is open.
    static func read(
        _ name: String,
        in directory: Int32,
        path: String,
        limit: Int
    ) throws(SettingsFileError) -> [UInt8]? {
        try read(unsafe clinux_open_beneath(directory, name, flags, 0), path, limit)
    }

    private static let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY

    private static func read(_ file: Int32, _ path: String, _ limit: Int) throws(SettingsFileError) -> [UInt8]? {
        if file == -ENOENT { return nil }
        guard file >= 0 else { throw SettingsFileError(path, openFailure(-file)) }
        defer { close(file) }
        let facts = try check(file, path)
        guard facts.st_mode & S_IFMT == S_IFREG else { throw SettingsFileError(path, "is no ordinary file") }
        let tooLarge = SettingsFileError(path, "is larger than \(limit) bytes")
        guard facts.st_size <= limit else { throw tooLarge }
        // One more than there should be: the size of a file may change meanwhile.
        var bytes = [UInt8](repeating: 0, count: Int(facts.st_size) + 1)
        var count = 0
        while count < bytes.count {
            let room = bytes.count - count
            let some = unsafe bytes.withUnsafeMutableBytes {
                unsafe Glibc.read(file, $0.baseAddress?.advanced(by: count), room)
            }
            if some < 0, errno == EINTR { continue }
            guard some >= 0 else { throw SettingsFileError(path, "cannot be read: \(errorText(errno))") }
            guard some > 0 else { break }
            count += some
        }
        guard count < bytes.count else { throw SettingsFileError(path, "changed while it was read") }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Of a file or a directory: it belongs to root or to us, and is writable by nobody else.
    @discardableResult
    static func check(_ file: Int32, _ path: String) throws(SettingsFileError) -> stat {
        var facts = stat()
        guard unsafe fstat(file, &facts) == 0 else { throw SettingsFileError(path, errorText(errno)) }
        guard facts.st_uid == 0 || facts.st_uid == geteuid() else {
            throw SettingsFileError(
                path,
                "must belong to root, not to user \(facts.st_uid), who could change what scripts may do: chown root \(path)"
            )
        }
        guard facts.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
            throw SettingsFileError(
                path,
                "must be writable by nobody but its owner, or others could change what scripts may do: "
                    + "chmod go-w \(path)"
            )
        }
        return facts
    }

    static func openFailure(_ number: Int32) -> String {
        switch number {
        case ELOOP: "is a link; settings are read from a file itself"
        case ENXIO: "is no ordinary file"
        default: "cannot be opened: \(errorText(number))"
        }
    }

    static func errorText(_ number: Int32) -> String {
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }
}
