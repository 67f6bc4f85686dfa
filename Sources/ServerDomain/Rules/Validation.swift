/// Collects what is wrong with an input, so that a client sees all of it at once.
package struct Validation: Sendable {
    package private(set) var problems: [String] = []

    package init() {}

    package mutating func require(_ condition: Bool, _ problem: @autoclosure () -> String) {
        if !condition { problems.append(problem()) }
    }

    package mutating func add(_ problem: String?) {
        if let problem { problems.append(problem) }
    }
}

package enum NameRules {
    package static let maximumLength = 200

    package static func problem(with name: String, of kind: String) -> String? {
        if name.trimmingSpaces.isEmpty { return "Please provide a name for the \(kind)." }
        if name.count > maximumLength { return "The name of the \(kind) may have at most \(maximumLength) characters." }
        if name.unicodeScalars.contains(where: { $0.value < 0x20 }) {
            return "The name of the \(kind) may not contain control characters."
        }
        return nil
    }
}

extension KnownAgent {
    /// What is wrong with what all agents have.
    fileprivate func commonProblems(_ kind: String) -> Validation {
        var validation = Validation()
        validation.add(NameRules.problem(with: name, of: kind))
        validation.add(endpoint.problem)
        return validation
    }
}

extension DeploymentTarget {
    /// Texts of rest-api.md 19.2.
    package var problems: [String] {
        var validation = commonProblems("machine")
        validation.require(!environmentIDs.isEmpty, "Please specify at least one environment")
        validation.require(!roles.isEmpty, "Please specify at least one role")
        validation.require(
            !roles.contains { $0.trimmingSpaces.isEmpty || $0.contains(",") },
            "A role may not be empty or contain a comma."
        )
        return validation.problems
    }
}

extension Worker {
    package var problems: [String] {
        var validation = commonProblems("worker")
        validation.require(!poolIDs.isEmpty, "Please specify at least one worker pool")
        return validation.problems
    }
}

extension AgentEndpoint {
    package var problem: String? {
        if thumbprint.utf8.count != 40 || !thumbprint.allSatisfy({ $0.isASCII && $0.isHexDigit }) {
            return
                "The endpoint's thumbprint must be 40 hexadecimal digits; run 'tentacle show-thumbprint' on the machine."
        }
        if proxyID != nil, style == .polling {
            return "A polling agent connects by itself: only a listening endpoint can have a proxy."
        }
        let wanted = style == .listening ? "https://" : "poll://"
        let uri = normalisedURI
        guard uri.hasPrefix(wanted), uri.count > wanted.count + 1 else {
            return style == .listening
                ? "A listening endpoint needs an address such as https://web01:10933/, not '\(self.uri)'."
                : "A polling endpoint needs a subscription such as poll://abcdefghij0123456789/, not '\(self.uri)'."
        }
        return nil
    }
}

extension DeploymentProcess {
    package static let maximumSteps = 1000

    /// What keeps the process from being stored (rest-api.md 10).
    package var problems: [String] {
        var validation = Validation()
        validation.require(steps.count <= Self.maximumSteps, "A process may have at most \(Self.maximumSteps) steps.")
        var stepNames = Set<String>()
        var actionNames = Set<String>()
        for step in steps {
            validation.add(NameRules.problem(with: step.name, of: "step"))
            validation.require(
                stepNames.insert(step.name.lowercased()).inserted,
                "There is more than one step named '\(step.name)'. Step names must be unique."
            )
            validation.require(!step.actions.isEmpty, "The step '\(step.name)' has no action.")
            for action in step.actions {
                validation.add(NameRules.problem(with: action.name, of: "action"))
                validation.require(!action.actionType.isEmpty, "The action '\(action.name)' has no ActionType.")
                validation.require(
                    actionNames.insert(action.name.lowercased()).inserted,
                    "There is more than one action named '\(action.name)'. Action names must be unique."
                )
            }
        }
        return validation.problems
    }
}
