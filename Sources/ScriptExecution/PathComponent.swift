internal import Glibc

/// Opens what has this name in a directory; never by a link, and never elsewhere.
///
/// A path from outside is walked by one of these for each of its parts. For a single part that is all of openat2(2)'s
/// RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, and the agent's unit can forbid openat2, whose argument no filter sees
/// (RestrictSUIDSGID=).
///
/// - Returns: the descriptor, or the negated number of the error.
func openComponent(_ directory: Int32, _ name: String, _ flags: Int32, mode: mode_t = 0) -> Int32 {
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
    else { return -EINVAL }
    let descriptor = unsafe openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
    return descriptor < 0 ? -errno : descriptor
}
