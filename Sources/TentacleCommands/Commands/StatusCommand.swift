import AgentConfiguration
import LauncherProtocol

/// Shows what runs and what waits, from the files in the agent's home; ours, the stock agent has no such command.
package struct StatusCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "status",
        summary: "Shows which scripts run, which wait, and for whom; also while the agent is down",
        options: CommonOptions.instance + [CommonOptions.format],
        isQuiet: true
    )

    private let selector: InstanceSelector
    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.format = try OutputFormat(options)
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        let home = try context.homeDirectory(of: instance)
        let now = context.now()
        let status = InstanceStatus(
            instance: instance.name,
            home: home,
            survey: try ScriptSurvey(homeDirectory: home, now: now)
        )
        switch self.format {
        case .text: context.console.write(status.text(now))
        case .json: context.console.write(status.json.indented + "\n")
        }
    }
}

private struct InstanceStatus {
    var instance: String?
    var home: String
    var survey: ScriptSurvey

    func text(_ now: UTCMicroseconds) -> String {
        var text = self.instance.map { "Instance: \($0)\n" } ?? ""
        text += "Home: \(self.home)\nAgent: \(self.survey.pulse.text(now))\n"
        for queue in self.survey.queues { text += "\n" + Self.text(queue, now) }
        text += Self.block("Over, not yet completed by the server:", self.scripts(.over)) { script in
            let age = script.state.completed.map { " \(ReadableText.age(of: $0, at: now)) ago" } ?? ""
            return "\(script.name), ended\(age), \(script.end)"
        }
        text += Self.block("Lost, their outcome is unknown:", self.scripts(.lost)) { $0.lineOfLost(now) }
        text += Self.block("Unclear:", self.survey.unclear) { unclear in
            "\(ReadableText.escapingControls(unclear.ticket)): \(ReadableText.escapingControls(unclear.reason))"
        }
        return self.survey.scripts.isEmpty && self.survey.unclear.isEmpty ? text + "\nNo scripts.\n" : text
    }

    private func scripts(_ standing: ObservedScript.Standing) -> [ObservedScript] {
        self.survey.scripts.filter { $0.standing == standing }
    }

    private static func text(_ queue: MutexQueue, _ now: UTCMicroseconds) -> String {
        var text = "Mutex \(ReadableText.escapingControls(queue.name)):\n"
        for script in queue.holders { text += "  \(script.lineOfHolder(now))\n" }
        for index in queue.order {
            text += "  \(queue.place(ofWaiting: index)). \(queue.waiting[index].lineOfWaiter(now))\n"
        }
        return text
    }

    private static func block<Item>(_ title: String, _ items: [Item], _ line: (Item) -> String) -> String {
        guard !items.isEmpty else { return "" }
        return "\n\(title)\n" + items.map { "  \(line($0))\n" }.joined()
    }

    var json: OrderedJSON {
        .object([
            .init("instance", .string(orNull: self.instance)), .init("home", .string(self.home)),
            .init("agent", self.survey.pulse.json),
            .init("mutexes", .array(self.survey.queues.map(Self.json))),
            .init("over", .array(self.scripts(.over).map { $0.json("over") })),
            .init("lost", .array(self.scripts(.lost).map { $0.json("lost") })),
            .init(
                "unclear",
                .array(
                    self.survey.unclear.map {
                        .object([.init("ticket", .string($0.ticket)), .init("reason", .string($0.reason))])
                    }
                )
            ),
        ])
    }

    private static func json(_ queue: MutexQueue) -> OrderedJSON {
        .object([
            .init("name", .string(queue.name)), .init("holders", .array(queue.holders.map(\.jsonOfHolder))),
            .init("waiting", .array(queue.order.map { queue.jsonOfWaiter($0) })),
        ])
    }
}
