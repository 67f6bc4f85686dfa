/// What an `Octopus.Script` action asks an agent to run.
package struct InlineScript: Hashable, Sendable {
    package var body: String

    /// A step this server cannot run yet; the text goes to the task's log.
    package struct Unsupported: Error, CustomStringConvertible, Equatable {
        package var description: String
    }

    package init(_ action: DeploymentAction) throws(Unsupported) {
        guard action.actionType.equalsIgnoringASCIICase("Octopus.Script") else {
            throw Unsupported(
                description: "The step type '\(action.actionType)' is not supported by this server; use Octopus.Script."
            )
        }
        let properties = action.properties
        if properties.text(PropertyName.runOnServer)?.equalsIgnoringASCIICase("true") == true {
            throw Unsupported(
                description: "Running a step on the server is not supported; set \(PropertyName.runOnServer) to false."
            )
        }
        let source = properties.text(PropertyName.scriptSource) ?? "Inline"
        guard source.equalsIgnoringASCIICase("Inline") else {
            throw Unsupported(description: "The script source '\(source)' is not supported; use Inline.")
        }
        let syntax = properties.text(PropertyName.scriptSyntax) ?? "Bash"
        guard syntax.equalsIgnoringASCIICase("Bash") else {
            throw Unsupported(description: "The script syntax '\(syntax)' is not supported; use Bash.")
        }
        guard let body = properties.text(PropertyName.scriptBody), !body.trimmingSpaces.isEmpty else {
            throw Unsupported(
                description: "The step '\(action.name)' has an empty script; set \(PropertyName.scriptBody)."
            )
        }
        self.body = body
    }
}
