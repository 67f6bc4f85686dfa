import AgentConfiguration
import LauncherProtocol

/// What `status` and `why` say of one script.
extension ObservedScript {
    /// It has its mutex, and no launcher has begun it yet.
    private var isStarting: Bool { self.state.phase == .pending }

    /// `T-1 of task ServerTasks-1`.
    var name: String {
        let ticket = ReadableText.escapingControls(self.ticket)
        let task = ReadableText.escapingControls(self.state.taskID)
        return task.isEmpty ? ticket : "\(ticket) of task \(task)"
    }

    var isolation: String { self.state.fullIsolation ? "FullIsolation" : "NoIsolation" }

    var end: String {
        let code = "exit code \(self.state.exitCode.map { "\($0)" } ?? "unknown")"
        return self.state.detail.map { "\(code): \(ReadableText.escapingControls($0))" } ?? code
    }

    /// `since 2024-05-09 10:11:12 UTC (3 min 20 s)`.
    static func since(_ time: UTCMicroseconds, _ now: UTCMicroseconds) -> String {
        "since \(ReadableText.time(time)) (\(ReadableText.age(of: time, at: now)))"
    }

    func lineOfHolder(_ now: UTCMicroseconds) -> String {
        let what = self.isStarting ? "starting, there" : "running"
        return "\(self.name), \(self.isolation), \(what) \(Self.since(self.state.started ?? self.state.created, now))"
    }

    func lineOfWaiter(_ now: UTCMicroseconds) -> String {
        "\(self.name), \(self.isolation), waiting \(Self.since(self.state.created, now))"
    }

    func lineOfLost(_ now: UTCMicroseconds) -> String {
        if let started = self.state.started {
            return "\(self.name), begun at \(ReadableText.time(started)), \(ReadableText.age(of: started, at: now)) ago"
        }
        let since = Self.since(self.state.created, now)
        return "\(self.name), there \(since), perhaps begun before the host was restarted"
    }

    /// Its members in JSON; the names are an interface.
    func json(_ state: String, _ more: [OrderedJSON.Member] = []) -> OrderedJSON {
        .object(
            [
                .init("ticket", .string(self.ticket)),
                .init("task", .string(orNull: self.state.taskID.isEmpty ? nil : self.state.taskID)),
                .init("state", .string(state)), .init("mutex", .string(self.state.mutexName)),
                .init("isolation", .string(self.isolation)),
                .init("created", .string(self.state.created.description)),
                .init("started", .string(orNull: self.state.started?.description)),
                .init("completed", .string(orNull: self.state.completed?.description)),
                .init("exitCode", self.state.exitCode.map { .integer(Int64($0)) } ?? .null),
                .init("detail", .string(orNull: self.state.detail)),
                .init("supervisor", self.supervisor.map { .integer(Int64($0)) } ?? .null),
            ] + more
        )
    }

    var jsonOfHolder: OrderedJSON { self.json(self.isStarting ? "starting" : "running") }
}

extension MutexQueue {
    func jsonOfWaiter(_ index: Int, _ more: [OrderedJSON.Member] = []) -> OrderedJSON {
        self.waiting[index].json("waiting", [.init("place", .integer(Int64(self.place(ofWaiting: index))))] + more)
    }

    /// Indices of `waiting` in the order in which they start.
    var order: [Int] { Array(self.turns.joined()) }
}

extension AgentPulse {
    func text(_ now: UTCMicroseconds) -> String {
        guard let heartbeat else { return "unknown whether it runs, there is no heartbeat" }
        let age = ReadableText.age(of: heartbeat, at: now)
        return self.state == .running
            ? "running, its last heartbeat was \(age) ago" : "not running or hung, its last heartbeat was \(age) ago"
    }

    var json: OrderedJSON {
        .object([
            .init("state", .string(self.state.rawValue)),
            .init("heartbeat", .string(orNull: self.heartbeat?.description)),
        ])
    }
}
