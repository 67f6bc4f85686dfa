import AgentConfiguration
import OctopusClient

/// `--dry-run`: what a command would change, on the server and here, instead of changing it (issue 6).
struct DryRun {
    static let option = OptionDefinition(
        "dry-run",
        kind: .flag,
        help: "Ask the server all that has to be known, print the requests that would change something, and change "
            + "nothing: neither there nor here"
    )

    let context: CommandContext

    func begin() { self.context.console.write("Dry run: nothing is changed.\n") }

    /// A request that would be sent; its headers, which hold the credentials, are not shown.
    func show(_ method: String, _ url: String, _ body: JSONValue? = nil) throws {
        var text = "\(method) \(url)\n"
        if let body { text += String(decoding: try body.encoded(forPeople: true), as: UTF8.self) + "\n" }
        self.context.console.writeForeign(text)
    }

    /// What would be saved in the configuration file.
    func show(_ server: TrustedServer, pollingConnectionCount: Int? = nil, in path: String) {
        var text = "Would be saved in \(path):\n\(server.json.compact)\n"
        if let pollingConnectionCount {
            text += "\(ConfigurationKey.pollingConnectionCount.rawValue)=\(pollingConnectionCount)\n"
        }
        self.context.console.writeForeign(text)
    }
}
