import AgentConfiguration
import LauncherProtocol

/// Explains how one script stands, and for whom it waits; ours, the stock agent has no such command.
package struct WhyCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "why",
        summary: "Explains what a script waits for, or how it stands; also while the agent is down",
        options: CommonOptions.instance + [
            OptionDefinition("ticket", "t", help: "The ticket of the script; the option's name can be left out"),
            CommonOptions.format,
        ],
        operand: "ticket",
        isQuiet: true
    )

    private let selector: InstanceSelector
    private let ticket: String
    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.format = try OutputFormat(options)
        guard let ticket = options.text("ticket") else {
            throw CommandError("Give the ticket of a script; the status command lists them.")
        }
        self.ticket = ticket
    }

    package func run(_ context: CommandContext) throws {
        let home = try context.homeDirectory(of: try context.instance(self.selector))
        let now = context.now()
        let survey = try ScriptSurvey(homeDirectory: home, now: now)
        let explanation = Explanation(
            script: try self.find(in: survey),
            survey: survey,
            now: now
        )
        switch self.format {
        case .text: context.console.write(explanation.text)
        case .json: context.console.write(explanation.json.indented + "\n")
        }
    }

    private func find(in survey: ScriptSurvey) throws(CommandError) -> ObservedScript {
        let names = survey.scripts.map(\.ticket) + survey.unclear.map(\.ticket)
        if let name = ScriptSurvey.match(self.ticket, names) {
            if let script = survey.scripts.first(where: { $0.ticket == name }) { return script }
            let reason = survey.unclear.first { $0.ticket == name }?.reason ?? ""
            throw CommandError(
                "How the script '\(name)' stands cannot be told from '\(survey.work)/\(name)': "
                    + "\(ReadableText.escapingControls(reason))."
            )
        }
        guard let script = try survey.pastScript(self.ticket) else {
            throw CommandError(
                "No script with the ticket '\(self.ticket)' is known: there is none in '\(survey.work)', "
                    + "and none in '\(survey.past)', where the logs of completed scripts are kept for some time."
            )
        }
        return script
    }
}

private struct Explanation {
    var script: ObservedScript
    var survey: ScriptSurvey
    var now: UTCMicroseconds

    /// The queue of its mutex, and its index there when it waits; nil for a script that is over.
    private var queue: (MutexQueue, waiting: Int?)? {
        guard [.pending, .running].contains(self.script.standing),
            let queue = self.survey.queues.first(where: { $0.name == self.script.state.mutexName })
        else { return nil }
        return (queue, queue.waiting.firstIndex { $0.ticket == self.script.ticket })
    }

    // MARK: Text

    var text: String {
        if let (queue, index) = self.queue {
            return index.map { self.waiting(queue, $0) } ?? self.holding(queue)
        }
        let (state, name) = (self.script.state, self.script.name)
        switch self.script.standing {
        case .lost:
            let what = state.started.map { "It began at \(ReadableText.time($0))" } ?? "It may have begun"
            return "Script \(name) is lost.\n\n\(what); nobody supervises it any more, and nobody wrote how it ended.\n"
                + "The agent tells the server that its outcome is unknown (exit code -46)"
                + "\(self.survey.pulse.state == .running ? "" : " when it runs again").\n"
        case .past:
            let directory = self.survey.past + "/" + self.script.ticket
            return self.over + "The server has completed it. Its log is kept in '\(directory)'.\n"
        case .over, .pending, .running:
            let directory = self.survey.work + "/" + self.script.ticket
            return self.over + "The server has not completed it yet. Its workspace is '\(directory)'.\n"
        }
    }

    private var over: String {
        let when = self.script.state.completed.map { " \(ReadableText.age(of: $0, at: self.now)) ago" } ?? ""
        let time = self.script.state.completed.map { ", at \(ReadableText.time($0))" } ?? ""
        return "Script \(self.script.name) ended\(when)\(time), with \(self.script.end)\n\n"
    }

    private func holding(_ queue: MutexQueue) -> String {
        let mutex = ReadableText.escapingControls(queue.name)
        let since = ObservedScript.since(self.script.state.started ?? self.script.state.created, self.now)
        let isStarting = self.script.state.phase == .pending
        var text = "Script \(self.script.name) is \(isStarting ? "about to start, there" : "running") \(since).\n\n"
        switch self.script.holder {
        case .launcher(let process): text += "It is supervised by the process \(process).\n"
        case .keeper(let process): text += "Its launcher was killed; the process \(process) ends what is left of it.\n"
        case .agent, .nobody: break
        }
        text +=
            isStarting
            ? "No other script keeps it from the mutex \(mutex), for which it asks with \(self.script.isolation).\n"
            : "It holds the mutex \(mutex) with \(self.script.isolation).\n"
        // Whatever has a launcher needs no agent.
        if self.script.holder == .nobody, self.survey.pulse.state != .running { text += self.agentIsDown }
        guard !queue.waiting.isEmpty else { return text + "Nobody waits for it.\n" }
        let waiting = queue.order.map { queue.waiting[$0] }
        return text
            + Self.block("Who waits, in the order in which they start:", waiting) {
                $0.lineOfWaiter(self.now)
            }
    }

    private func waiting(_ queue: MutexQueue, _ index: Int) -> String {
        let mutex = ReadableText.escapingControls(queue.name)
        let since = ObservedScript.since(self.script.state.created, self.now)
        let isFull = self.script.state.fullIsolation
        let requirement =
            isFull
            ? "It asks for FullIsolation: it starts when no other script holds the mutex."
            : "It asks for NoIsolation: it shares the mutex, but not with a script that has FullIsolation."
        var text = "Script \(self.script.name) waits for the mutex \(mutex) \(since).\n\n\(requirement)\n"
        text += Self.block("Who holds the mutex:", queue.holders) { $0.lineOfHolder(self.now) }
        let before = queue.scriptsBefore(waiting: index)
        if !before.isEmpty {
            text += Self.block("Who starts before it:", before) { $0.lineOfWaiter(self.now) }
            text +=
                isFull
                ? "  Scripts with FullIsolation start one by one, in the order in which they came.\n"
                : "  A waiting script with FullIsolation goes before all waiting ones with NoIsolation, whoever came first.\n"
        }
        text += "\nPlace in the queue: \(queue.place(ofWaiting: index)), of \(queue.waiting.count) that wait.\n"
        if let (timeout, left) = self.timeout {
            text += "Time-out: after \(ReadableText.duration(microseconds: timeout))"
            text += left > 0 ? ", \(ReadableText.duration(microseconds: left)) are left.\n" : ", which are over.\n"
        }
        return self.survey.pulse.state == .running ? text : text + self.agentIsDown
    }

    private var agentIsDown: String {
        "Agent: \(self.survey.pulse.text(self.now)). It starts nothing while it is down.\n"
    }

    /// How long it may wait, and how much of that is left, in microseconds.
    private var timeout: (Int64, left: Int64)? {
        guard let milliseconds = self.script.timeoutMilliseconds else { return nil }
        // The agent writes none that is longer; a file may say anything.
        let timeout = min(max(0, milliseconds), 2_147_483_647) * 1000
        return (timeout, max(0, self.script.state.created.sinceEpoch + timeout - self.now.sinceEpoch))
    }

    private static func block(
        _ title: String,
        _ scripts: [ObservedScript],
        _ line: (ObservedScript) -> String
    ) -> String {
        "\n\(title)\n" + scripts.map { "  \(line($0))\n" }.joined()
    }

    // MARK: JSON

    var json: OrderedJSON {
        let agent = OrderedJSON.Member("agent", self.survey.pulse.json)
        guard let (queue, index) = self.queue else {
            return self.script.json(self.script.standing.rawValue, [agent])
        }
        let waiting = OrderedJSON.Member("waiting", .array(queue.order.map { queue.jsonOfWaiter($0) }))
        guard let index else {
            let state = self.script.state.phase == .pending ? "starting" : "running"
            return self.script.json(state, [waiting, agent])
        }
        let before = queue.scriptsBefore(waiting: index).map { $0.json("waiting") }
        let left = self.timeout.map { OrderedJSON.integer($0.left / 1000) }
        return queue.jsonOfWaiter(
            index,
            [
                .init("holders", .array(queue.holders.map(\.jsonOfHolder))), .init("before", .array(before)), waiting,
                .init("timeoutMilliseconds", self.script.timeoutMilliseconds.map(OrderedJSON.integer) ?? .null),
                .init("timeoutLeftMilliseconds", left ?? .null), agent,
            ]
        )
    }
}
