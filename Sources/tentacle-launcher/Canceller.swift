internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Tells the supervisor of a script to end it, and says when it has.
enum Canceller {
    /// Above the supervisor's own limit for a kill (`Supervisor.killMilliseconds`).
    static let timeoutMilliseconds: Int32 = 4000

    static func cancel(_ ticket: ScriptTicketName, _ settings: LauncherSettings) throws -> LauncherReply {
        let directory = try settings.open(ticket)
        guard case .launcher(let supervisor) = try directory.lockHolder() else { return .notRunning }
        let process = clinux_pidfd_open(supervisor)
        guard process >= 0 else { return .notRunning }
        defer { close(process) }
        // Still the holder: then the descriptor is of this process and not of one that got its number since.
        guard try directory.lockHolder() == .launcher(supervisor) else { return .notRunning }
        let sent = clinux_pidfd_send_signal(process, SIGTERM)
        guard sent == 0 else {
            throw LauncherProtocolError("cannot signal the launcher of \(ticket): \(systemErrorText(-sent))")
        }
        // In case somebody stopped it.
        _ = clinux_pidfd_send_signal(process, SIGCONT)
        if ended(process) { return .cancelled }
        // It hangs: its children first, which nobody could find any more behind it.
        ProcessTable.killDescendants(of: supervisor)
        _ = clinux_pidfd_send_signal(process, SIGKILL)
        guard ended(process) else { return .failed("the launcher of \(ticket) cannot be killed") }
        return .cancelled
    }

    private static func ended(_ process: Int32) -> Bool {
        var waiting = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, timeoutMilliseconds) > 0
    }
}
