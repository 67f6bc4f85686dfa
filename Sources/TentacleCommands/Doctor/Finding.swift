import AgentConfiguration

/// One line of the doctor's report.
struct Finding: Hashable, Sendable {
    enum Outcome: String, CaseIterable {
        case pass
        /// Works, but not as it should for long.
        case warn
        case fail
        /// Could not be looked at, or does not apply here.
        case skip
    }

    /// What was looked at: one word or two, the same in every release.
    var check: String
    var outcome: Outcome
    var detail: String
    /// The next step for whoever reads it; there is one whenever the outcome is a failure.
    var advice: String?

    static func pass(_ check: String, _ detail: String) -> Finding {
        Finding(check: check, outcome: .pass, detail: detail)
    }

    static func warn(_ check: String, _ detail: String, next advice: String) -> Finding {
        Finding(check: check, outcome: .warn, detail: detail, advice: advice)
    }

    static func fail(_ check: String, _ detail: String, next advice: String) -> Finding {
        Finding(check: check, outcome: .fail, detail: detail, advice: advice)
    }

    static func skip(_ check: String, _ detail: String) -> Finding {
        Finding(check: check, outcome: .skip, detail: detail)
    }

    var json: OrderedJSON {
        .object([
            .init("check", .string(self.check)), .init("outcome", .string(self.outcome.rawValue)),
            .init("detail", .string(self.detail)), .init("next", .string(orNull: self.advice)),
        ])
    }
}

/// All findings about one instance, in the order in which they were made.
struct DoctorReport {
    var instance: TentacleInstance?
    var findings: [Finding] = []

    var failures: Int { self.findings.count { $0.outcome == .fail } }

    /// A line each, what to do on the line below it.
    func text(_ console: Console) -> String {
        let width = self.findings.map(\.check.count).max() ?? 0
        var text = ""
        for finding in self.findings {
            let check = finding.check + String(repeating: " ", count: width - finding.check.count)
            // Parts of it come from servers and from files that others wrote.
            let detail = ReadableText.escapingControls(finding.detail)
            text += "\(console.styled(finding.outcome.rawValue, finding.outcome.style))  \(check)  \(detail)\n"
            if let advice = finding.advice {
                text += String(repeating: " ", count: width + 8) + "-> \(ReadableText.escapingControls(advice))\n"
            }
        }
        return text + "\n" + self.summary + "\n"
    }

    private var summary: String {
        Finding.Outcome.allCases.compactMap { outcome in
            let count = self.findings.count { $0.outcome == outcome }
            return count == 0 ? nil : "\(count) \(outcome.rawValue)"
        }.joined(separator: ", ")
    }

    var json: OrderedJSON {
        .object([
            .init("instance", .string(orNull: self.instance?.name)),
            .init("configuration", .string(orNull: self.instance?.configurationPath)),
            .init("healthy", .bool(self.failures == 0)),
            .init("checks", .array(self.findings.map(\.json))),
        ])
    }
}

extension Finding.Outcome {
    fileprivate var style: Console.Style {
        switch self {
        case .pass: .good
        case .warn: .doubtful
        case .fail: .bad
        case .skip: .plain
        }
    }
}
