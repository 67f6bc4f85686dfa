internal import CLinux
internal import Glibc
internal import LauncherProtocol

/// Tells the journal when a script begins and ends, with fields to find it by.
///
/// What a script prints stays in its log. Only in a unit of systemd's: a launcher that an agent starts by itself has no
/// place in the journal. Never waits, and nobody minds when nobody listens.
enum Journal {
    private static let isAvailable = unsafe getenv("INVOCATION_ID") != nil

    static func scriptBegan(_ specification: ScriptSpecification) {
        send("Script \(specification.ticket) has started", .info, specification)
    }

    static func scriptEnded(_ specification: ScriptSpecification, exitCode: Int32, detail: String?) {
        send(
            "Script \(specification.ticket) has ended with exit code \(exitCode)" + (detail.map { ": \($0)" } ?? ""),
            exitCode == 0 ? .info : .warning,
            specification,
            [("TENTACLE_EXIT_CODE", "\(exitCode)")]
        )
    }

    private static func send(
        _ message: String,
        _ priority: JournalRecord.Priority,
        _ specification: ScriptSpecification,
        _ more: [(String, String)] = []
    ) {
        guard isAvailable else { return }
        let instance = specification.environment["TentacleInstanceName"].map { [("TENTACLE_INSTANCE", $0)] } ?? []
        let script = [("TENTACLE_TICKET", specification.ticket), ("TENTACLE_TASK", specification.taskID)]
        let record = JournalRecord(
            message,
            priority: priority,
            identifier: "tentacle-launcher",
            fields: script + instance + more
        )
        let bytes = record.encoded()
        _ = unsafe clinux_send_datagram(JournalRecord.socketPath, bytes, bytes.count)
    }
}
