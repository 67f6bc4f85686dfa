internal import Glibc

/// The entries of a directory that is open.
package enum DirectoryEntries {
    /// Takes over the descriptor, which the body gets with each name but `.` and `..`; until it says false.
    ///
    /// A negative descriptor has no entries. The kernel's word for a directory is false on file systems that do not say.
    package static func forEach(
        takingOver directory: Int32,
        _ body: (_ directory: Int32, _ name: String, _ isDirectory: Bool) -> Bool
    ) {
        guard directory >= 0 else { return }
        guard let entries = unsafe fdopendir(directory) else {
            close(directory)
            return
        }
        defer { unsafe closedir(entries) }
        // A copy of a descriptor reads on where the last one stopped.
        unsafe rewinddir(entries)
        while let entry = unsafe readdir(entries) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            let isDirectory = unsafe entry.pointee.d_type == UInt8(DT_DIR)
            guard name == "." || name == ".." || body(directory, name, isDirectory) else { return }
        }
    }
}
