internal import CArchive
internal import Glibc

/// One pass over the entries of a zip file, through libarchive.
@safe
final class ArchiveReader {
    enum Kind: Hashable {
        case file
        case directory
        /// A link, a device, a pipe.
        case other
    }

    struct Entry {
        var name: String
        var kind: Kind
        /// `rwx` bits only.
        var permissions: UInt32
        /// Seconds since 1970; nil when the archive does not say.
        var modified: Int?
    }

    private let archive: OpaquePointer
    private let path: String
    private var entry: OpaquePointer?

    init(_ path: String) throws(PackageError) {
        guard let archive = unsafe archive_read_new() else {
            throw PackageError(.file, "There is no memory for reading '\(path)'.")
        }
        unsafe self.archive = archive
        self.path = path
        _ = unsafe archive_read_support_format_zip(archive)
        guard unsafe archive_read_open_filename(archive, path, 65_536) == ARCHIVE_OK else { throw self.failure() }
    }

    deinit { _ = unsafe archive_read_free(self.archive) }

    /// Runs `body` while this thread's texts are UTF-8: in the locale `C`, libarchive knows ASCII names only.
    static func withUTF8<Result>(_ body: () throws(PackageError) -> Result) throws(PackageError) -> Result {
        guard let locale = unsafe newlocale(Int32(LC_CTYPE_MASK), "C.UTF-8", nil) else { return try body() }
        let previous = unsafe uselocale(locale)
        defer {
            _ = unsafe uselocale(previous)
            unsafe freelocale(locale)
        }
        return try body()
    }

    /// Nil behind the last one.
    func next() throws(PackageError) -> Entry? {
        var next: OpaquePointer?
        let code = unsafe archive_read_next_header(self.archive, &next)
        guard code != ARCHIVE_EOF else { return nil }
        guard code >= ARCHIVE_WARN, let next = unsafe next else { throw self.failure() }
        unsafe self.entry = next
        let utf8 = unsafe archive_entry_pathname_utf8(next) ?? archive_entry_pathname(next)
        let kind: Kind =
            switch unsafe UInt32(archive_entry_filetype(next)) {
            case 0o100000: .file
            case 0o040000: .directory
            default: .other
            }
        return Entry(
            name: unsafe utf8.map { unsafe String(cString: $0) } ?? "",
            kind: unsafe archive_entry_hardlink(next) == nil ? kind : .other,
            permissions: unsafe UInt32(archive_entry_perm(next)) & 0o777,
            modified: unsafe archive_entry_mtime_is_set(next) != 0 ? unsafe archive_entry_mtime(next) : nil
        )
    }

    /// Passes the content of the entry on, block by block; holes are zeros.
    func readContent(_ body: (UnsafeRawBufferPointer, Int64) throws(PackageError) -> Void) throws(PackageError) {
        while true {
            var block: UnsafeRawPointer?
            var count = 0
            var offset: Int64 = 0
            let code = unsafe archive_read_data_block(self.archive, &block, &count, &offset)
            guard code != ARCHIVE_EOF else { return }
            guard code >= ARCHIVE_WARN else { throw self.failure() }
            try unsafe body(UnsafeRawBufferPointer(start: block, count: count), offset)
        }
    }

    private func failure() -> PackageError {
        let number = unsafe archive_errno(self.archive)
        let text = unsafe archive_error_string(self.archive).map { unsafe String(cString: $0) } ?? "unknown error"
        // Numbers of libarchive's own are negative; those of the system come from reading the file.
        let isSystems = number > 0 && number != 84 && number != 22
        return PackageError(isSystems ? .file : .format, "Could not read the package '\(self.path)': \(text).")
    }
}
