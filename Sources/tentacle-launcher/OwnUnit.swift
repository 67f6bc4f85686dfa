internal import CLinux
internal import Glibc
internal import LauncherProtocol

/// A unit of systemd's as scripts have it, for a launcher that a person starts: a session's control group has neither the
/// controllers nor the room for groups of its own.
enum OwnUnit {
    private static let program = "/usr/bin/systemd-run"
    /// Set in the unit, so that nobody enters it twice.
    private static let mark = "TENTACLE_IN_OWN_UNIT"

    /// Goes on as another process in a unit of its own, which inherits standard streams and gives its exit code; returns
    /// where there is no systemd, or nobody who may ask it.
    static func enter(_ arguments: [String]) {
        guard geteuid() == 0, unsafe getenv(mark) == nil, unsafe access("/run/systemd/system", F_OK) == 0,
            unsafe access(program, X_OK) == 0, let own = ownPath
        else { return }
        let command =
            [
                program, "--quiet", "--pipe", "--wait", "--collect", "--property=Delegate=yes", "--setenv=\(mark)=1",
                "--setenv=PATH", "--", own,
            ] + arguments
        clinux_default_signals()
        let argv = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: command.count + 1)
        for (index, argument) in command.enumerated() { unsafe argv[index] = strdup(argument) }
        unsafe argv[command.count] = nil
        unsafe execv(program, argv)
        Launcher.complain("cannot start \(program): \(systemErrorText(errno)); going on without a unit")
    }

    private static var ownPath: String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
