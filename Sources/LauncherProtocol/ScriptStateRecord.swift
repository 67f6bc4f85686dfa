/// `state.json`: what is known of a script, on disk before it is a process (STYLE.md C14).
///
/// The agent writes `pending`; whoever holds the lock on `state.lock` writes everything later. Together they answer the
/// question of a restarted agent (DESIGN.md 2): lock held → alive; free and `complete` → finished; free and `running` →
/// its supervisor died, outcome unknown; free and `pending` → not begun.
///
/// | Member | Type | |
/// |---|---|---|
/// | `version` | 1 | a reader refuses others |
/// | `ticket` | string | |
/// | `phase` | `pending` `running` `complete` | |
/// | `created` `started` `completed` | RFC 3339 UTC or null | |
/// | `exitCode` | integer or null | only when complete |
/// | `ranToCompletion` | bool or null | only when complete |
/// | `boot` | string | kernel's boot id; a `pending` of another boot may have run: the start is not synced to disk |
/// | `supervisor` | integer or null | process id of the launcher, for people; the lock says the true one |
/// | `detail` | string or null | why the outcome is not the script's own |
/// | `taskId` `mutexName` `fullIsolation` | string, string, bool | copied from `script.json`, which only the agent's user reads, for people who ask what runs and who waits |
package struct ScriptStateRecord: Equatable, Sendable {
    package enum Phase: String, Sendable { case pending, running, complete }

    package static let version: Int64 = 1
    package static let fileName = "state.json"
    /// Far above any record we write.
    package static let maximumBytes = 65_536

    package var ticket: String
    package var phase: Phase
    package var created: UTCMicroseconds
    package var started: UTCMicroseconds?
    package var completed: UTCMicroseconds?
    package var exitCode: Int32?
    package var ranToCompletion: Bool?
    package var boot: String
    package var supervisor: Int32?
    package var detail: String?
    /// Empty in a record of an agent that did not write it.
    package var taskID = ""
    package var mutexName = ""
    package var fullIsolation = false

    package init(ticket: ScriptTicketName, created: UTCMicroseconds, boot: String) {
        self.ticket = ticket.description
        self.phase = .pending
        self.created = created
        self.boot = boot
    }

    /// The record of a script that has yet to begin.
    package init(_ specification: ScriptSpecification, created: UTCMicroseconds, boot: String) {
        self.ticket = specification.ticket
        self.phase = .pending
        self.created = created
        self.boot = boot
        self.taskID = specification.taskID
        self.mutexName = specification.mutexName
        self.fullIsolation = specification.fullIsolation
    }

    package mutating func begin(at now: UTCMicroseconds, supervisor: Int32) {
        phase = .running
        started = now
        self.supervisor = supervisor
    }

    package mutating func complete(at now: UTCMicroseconds, exitCode: Int32, ranToCompletion: Bool, detail: String?) {
        phase = .complete
        completed = now
        self.exitCode = exitCode
        self.ranToCompletion = ranToCompletion
        self.detail = detail
        supervisor = nil
    }

    package func encoded() -> [UInt8] {
        JSONText.object([
            .init("version", .integer(Self.version)), .init("ticket", .string(ticket)),
            .init("phase", .string(phase.rawValue)), .init("created", .string(created.description)),
            .init("started", .optional(started?.description)), .init("completed", .optional(completed?.description)),
            .init("exitCode", .optional(exitCode.map { Int64($0) })),
            .init("ranToCompletion", .optional(ranToCompletion)), .init("boot", .string(boot)),
            .init("supervisor", .optional(supervisor.map { Int64($0) })), .init("detail", .optional(detail)),
            .init("taskId", .string(taskID)), .init("mutexName", .string(mutexName)),
            .init("fullIsolation", .bool(fullIsolation)),
        ]).encoded() + [0x0A]
    }

    package init(bytes: [UInt8]) throws(LauncherProtocolError) {
        let json = try JSONText(bytes: bytes)
        guard json["version"]?.integer == Self.version else {
            throw LauncherProtocolError("state.json is of a version this program does not know")
        }
        guard let ticket = json["ticket"]?.string, let phase = json["phase"]?.string.flatMap(Phase.init(rawValue:)),
            let created = Self.time(json["created"]), let boot = json["boot"]?.string
        else { throw LauncherProtocolError("state.json lacks a member or has one of the wrong type") }
        self.ticket = ticket
        self.phase = phase
        self.created = created
        self.started = Self.time(json["started"])
        self.completed = Self.time(json["completed"])
        self.exitCode = json["exitCode"]?.integer.flatMap { Int32(exactly: $0) }
        self.ranToCompletion = json["ranToCompletion"]?.bool
        self.boot = boot
        self.supervisor = json["supervisor"]?.integer.flatMap { Int32(exactly: $0) }
        self.detail = json["detail"]?.string
        self.taskID = json["taskId"]?.string ?? ""
        self.mutexName = json["mutexName"]?.string ?? ""
        self.fullIsolation = json["fullIsolation"]?.bool ?? false
    }

    private static func time(_ json: JSONText?) -> UTCMicroseconds? {
        json?.string.flatMap { UTCMicroseconds(text: $0.utf8) }
    }
}
