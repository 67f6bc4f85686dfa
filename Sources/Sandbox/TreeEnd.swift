internal import CLinux
internal import Glibc

/// Ends everybody a process has started, and knows when it has: for the supervisor, and for the keeper that outlives it.
///
/// | Way | What kills | When nobody is left |
/// |---|---|---|
/// | control group | one write to `cgroup.kill` | `cgroup.events` says `populated 0` |
/// | PID namespace | its first process ends | that process can be reaped, which the kernel delays until then |
/// | neither | SIGSTOP to every descendant until no new one is found, then SIGKILL | nobody is left to wait for |
///
/// The last line holds for all of them: the caller is a subreaper, so whoever lives has an ancestor among its children.
/// A look at /proc proves nothing, since processes come and go while it is read.
package enum TreeEnd {
    /// Returns whoever could not be killed within the time.
    ///
    /// `signals` is readable when a child ends; `kill` sends the signals, again each time; `reap` collects the dead and
    /// is false when there are no children any more.
    package static func run(
        group: ControlGroup?,
        milliseconds: Int64,
        signals: Int32,
        kill: () -> Void,
        reap: () -> Bool
    ) -> [ProcessTable.Row] {
        let end = MonotonicTime.milliseconds + milliseconds
        // A fork bomb wants all of the machine; where we may, we go first.
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -20)
        while true {
            group?.kill()
            kill()
            guard reap() || group?.isPopulated == true else { return [] }
            guard MonotonicTime.milliseconds < end else { return living(in: group) }
            var waiting = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
            if unsafe poll(&waiting, 1, 10) > 0 { _ = clinux_next_signal(signals) }
        }
    }

    private static func living(in group: ControlGroup?) -> [ProcessTable.Row] {
        let rows = ProcessTable.rows()
        var living = ProcessTable.descendants(of: getpid(), in: rows)
        let members = Set(group?.members ?? []).subtracting(living.map(\.processID))
        living += rows.filter { members.contains($0.processID) && !$0.isDead }
        return living
    }
}
