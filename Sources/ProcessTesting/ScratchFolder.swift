package import Foundation
internal import Glibc

/// Where tests put what scripts are to see: `/tmp` is the script's own in a sandbox.
package enum ScratchFolder {
    /// A name that nobody has; the folder is not made.
    ///
    /// Who is not root cannot write elsewhere, and has no mounts under the default policy either.
    package static func url(_ prefix: String) -> URL {
        let base = geteuid() == 0 ? URL(filePath: "/var/lib") : FileManager.default.temporaryDirectory
        return base.appending(path: "\(prefix)-\(UUID().uuidString)")
    }
}
