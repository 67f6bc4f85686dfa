/// The exit codes that an agent makes up (tentacle-services.md 3.2); every other is the status of the process.
package enum ScriptExitCode {
    /// While pending or running.
    package static let running: Int32 = 0
    /// Something outside the script failed: its log could not be written, its limits were out of range.
    package static let fatal: Int32 = -41
    /// The shell could not be started; named after PowerShell, used for bash, too.
    package static let shellNotStarted: Int32 = -42
    /// Cancelled while it waited for the isolation mutex.
    package static let canceled: Int32 = -43
    /// The isolation mutex was not free in time.
    package static let timeout: Int32 = -44
    /// No script of this ticket is known.
    package static let unknownScript: Int32 = -45
    /// The script was known, is not running, and left no outcome.
    package static let unknownResult: Int32 = -46
    /// PowerShell started and never ran the script; not used on Linux.
    package static let powerShellNeverStarted: Int32 = -47
    /// What a script killed by cancellation usually reports.
    package static let killed: Int32 = -1
}
