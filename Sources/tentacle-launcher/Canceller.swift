internal import CLinux
internal import Glibc
internal import LauncherProtocol
internal import Sandbox

/// Tells the supervisor of a script to end it, and says when it has.
enum Canceller {
    /// Above the supervisor's own limit for a kill (`Supervisor.killMilliseconds`).
    static let timeoutMilliseconds: Int32 = 4000

    static func cancel(
        _ ticket: ScriptTicketName,
        _ directory: borrowing WorkspaceDirectory,
        _ settings: LauncherSettings
    ) throws -> LauncherReply {
        var reply = LauncherReply.notRunning
        if case .launcher(let supervisor) = try directory.lockHolder() {
            guard try end(supervisor, directory, signal: SIGTERM) else {
                return .failed("the launcher of \(ticket) cannot be killed")
            }
            reply = .cancelled
        }
        // A supervisor that was killed leaves its keeper, which ends the script and then itself.
        if case .keeper(let keeper) = try directory.lockHolder() {
            guard try end(keeper, directory, signal: SIGCONT) else {
                return .failed("the keeper of \(ticket) cannot be killed")
            }
            reply = .cancelled
        }
        if reply == .cancelled, let detail = try directory.recordOnDisk().record?.detail,
            let found = detail.firstRange(of: Supervisor.survivorPrefix)
        {
            return .failed(String(detail[found.lowerBound...]))
        }
        // Both were killed at once: in a PID namespace nobody is left, in a control group they can be found.
        if reply == .notRunning, settings.usesControlGroups {
            if ControlGroup.endRemains(of: settings.groupName(ticket, directory)) { reply = .cancelled }
        }
        return reply
    }

    /// False when it does not end, not even by force.
    private static func end(
        _ holder: pid_t,
        _ directory: borrowing WorkspaceDirectory,
        signal: Int32
    ) throws -> Bool {
        let process = clinux_pidfd_open(holder)
        guard process >= 0 else { return true }
        defer { close(process) }
        // Still the holder: then the descriptor is of this process and not of one that got its number since.
        switch try directory.lockHolder() {
        case .launcher(holder), .keeper(holder): break
        default: return true
        }
        let sent = clinux_pidfd_send_signal(process, signal)
        guard sent == 0 || sent == -ESRCH else {
            throw LauncherProtocolError("cannot signal process \(holder): \(systemErrorText(-sent))")
        }
        // In case somebody stopped it.
        _ = clinux_pidfd_send_signal(process, SIGCONT)
        if ended(process) { return true }
        // It hangs. A supervisor's keeper does the rest; behind a keeper nobody could find its children any more.
        if case .keeper = try directory.lockHolder() { ProcessTable.killDescendants(of: holder) }
        _ = clinux_pidfd_send_signal(process, SIGKILL)
        return ended(process)
    }

    private static func ended(_ process: Int32) -> Bool {
        var waiting = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, timeoutMilliseconds) > 0
    }
}
