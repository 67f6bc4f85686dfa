import AgentConfiguration

package struct ConfigureCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "configure",
        summary: "Sets Tentacle settings such as the port number and thumbprints",
        options: CommonOptions.instance + [
            OptionDefinition("home", "homedir", help: "Home directory"),
            OptionDefinition("app", "appdir", help: "Default directory to deploy applications to"),
            OptionDefinition("port", kind: .integer, help: "TCP port on which Tentacle should listen to connections"),
            OptionDefinition(
                "noListen",
                kind: .boolean,
                help: "Suppress listening on a TCP port (intended for polling Tentacles only)"
            ),
            OptionDefinition(
                "listenIpAddress",
                kind: .listenAddress,
                help: "IP address on which Tentacle should listen. Default: any"
            ),
            OptionDefinition(
                "pollingConnectionCount",
                help: "The number of connections a polling Tentacle opens to each Octopus Server"
            ),
            OptionDefinition("trust", help: "The thumbprint of the Octopus Server to trust"),
            OptionDefinition(
                "remove-trust",
                help: "The thumbprint of the Octopus Server to remove from the trusted list"
            ),
            OptionDefinition("reset-trust", kind: .flag, help: "Removes all trusted Octopus Servers"),
            OptionDefinition(
                "sandbox",
                help:
                    "The sandbox policy that scripts run under, e.g. standard or strict; empty for that of the machine. The sandbox command lists them",
                choices: ["none", "standard", "strict"]
            ),
            SecretFormat.definition,
        ]
    )

    private let selector: InstanceSelector
    private let options: ParsedOptions

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.options = options
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        for name in self.options.list("sandbox") { try SandboxPolicyChoice.check(name, context) }
        let form = try SecretFormat.chosen(in: self.options)
        var messages: [String] = []
        try TentacleConfiguration.update(instance.configurationPath, host: context.host) { configuration in
            messages = try self.changeTrust(&configuration)
            for occurrence in self.options.occurrences {
                if let message = try Self.apply(occurrence, to: &configuration, context.host) {
                    messages.append(message)
                }
            }
            if let form {
                try configuration.setSecretForm(form)
                messages.append("Secrets are stored as: \(form.rawValue)")
            }
            // Nothing is wrong with any value; the file is not touched when a directory cannot be made.
            for name in ["home", "app"] {
                if let path = self.options.text(name) { try DurableFile.makeDirectory(context.host.absolute(path)) }
            }
        }
        for message in messages { context.console.info(message) }
        if !messages.isEmpty { context.remindOfRestart(instance) }
    }

    /// Always before the other values and in this order, whatever the order on the command line (spec 4.5).
    private func changeTrust(_ configuration: inout TentacleConfiguration) throws -> [String] {
        let added = try self.options.occurrences.filter { $0.name == "trust" }.map { occurrence in
            let thumbprint = Thumbprints.trimmed(occurrence.value)
            guard !thumbprint.isEmpty else { throw CommandError(.failure, "A valid thumbprint must be supplied") }
            return thumbprint
        }
        let removed = self.options.list("remove-trust")
        guard self.options.isSet("reset-trust") || !removed.isEmpty || !added.isEmpty else { return [] }
        var messages: [String] = []
        var servers = try configuration.trustedServers()
        if self.options.isSet("reset-trust") {
            messages.append("Removing all trusted Octopus Servers...")
            servers = []
        }
        if !removed.isEmpty {
            messages.append("Removing \(removed.count) trusted Octopus Servers")
            servers.removeAll { removed.contains($0.thumbprint) }
        }
        if !added.isEmpty {
            messages.append("Adding \(added.count) trusted Octopus Servers")
            for thumbprint in added {
                servers.upsert(TrustedServer(thumbprint: thumbprint, communicationStyle: .listening))
            }
        }
        configuration.setTrustedServers(servers)
        return messages
    }

    private static func apply(
        _ occurrence: ParsedOptions.Occurrence,
        to configuration: inout TentacleConfiguration,
        _ host: HostFiles
    ) throws -> String? {
        let value = occurrence.value
        switch occurrence.name {
        case "home" where !value.allSatisfy(\.isWhitespace):
            let path = host.absolute(value)
            configuration.set(.home, path)
            return "Home directory set to: \(path)"
        case "app" where !value.allSatisfy(\.isWhitespace):
            let path = host.absolute(value)
            configuration.set(.applicationDirectory, path)
            return "Application directory set to: \(path)"
        case "port":
            guard let port = OptionValue.integer(value), (1...65535).contains(port) else {
                throw CommandError("The port \(value) is not valid. Give a port from 1 to 65535, e.g. --port=10933")
            }
            configuration.set(.port, port)
            return "Services listen port: \(port)"
        case "noListen":
            let isSilent = OptionValue.boolean(value) ?? false
            configuration.set(.noListen, isSilent)
            return isSilent ? "Tentacle will not listen on a port" : "Tentacle will listen on a TCP port"
        case "listenIpAddress":
            let isAny = value.lowercased() == "any"
            configuration.set(.listenAddress, isAny ? nil : value)
            return isAny ? "Listen on any IP address" : "Listen on IP address: \(value)"
        case "pollingConnectionCount":
            let count = try PollingConnectionCount.parse(value)
            configuration.set(.pollingConnectionCount, count)
            return PollingConnectionCount.message(count)
        case "sandbox":
            guard !value.allSatisfy(\.isWhitespace) else {
                configuration.remove(.sandboxPolicy)
                return "Sandbox policy: the machine's default"
            }
            configuration.set(.sandboxPolicy, value)
            return "Sandbox policy: \(value)"
        default: return nil
        }
    }
}

/// The policy that an operator names for an instance.
enum SandboxPolicyChoice {
    /// A name that no script can be started under is refused here, where somebody sees it.
    static func check(_ name: String, _ context: CommandContext) throws(CommandError) {
        guard SandboxPolicyName.isValid(name) else { throw CommandError(SandboxPolicyName.refusal(name)) }
        // Where no launcher is installed yet, its policies cannot be known.
        guard let launcher = context.launcherPath,
            let end = context.runProgram(launcher, ["sandbox", "show", name]), end.status != 0
        else { return }
        // Every problem of a policy's file is a line.
        let reasons = end.errors.split(separator: "\n").map { $0.trimmingPrefix("tentacle-launcher: ") }
        let reason = reasons.isEmpty ? "exit code \(end.status)" : reasons.joined(separator: "\n")
        throw CommandError("The sandbox policy '\(name)' cannot be used: \(reason)\(reason.hasSuffix(".") ? "" : ".")")
    }
}

/// The number of polling connections as an option value (spec tentacle-cli.md 4.6).
enum PollingConnectionCount {
    static func message(_ count: Int) -> String { "Polling connection count set to: \(count)" }

    static func parse(_ value: String) throws(CommandError) -> Int {
        guard !value.allSatisfy(\.isWhitespace) else {
            throw CommandError(
                "Please specify the number of polling connections, e.g. --pollingConnectionCount=5"
            )
        }
        guard let count = OptionValue.integer(value) else {
            throw CommandError(
                "The polling connection count '\(value)' is not a valid whole number. "
                    + "Specify a positive integer, e.g. --pollingConnectionCount=5"
            )
        }
        guard count > 0 else {
            throw CommandError("The polling connection count must be greater than 0, but was \(count).")
        }
        return count
    }
}
