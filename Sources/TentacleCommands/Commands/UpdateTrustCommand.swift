import AgentConfiguration

package struct UpdateTrustCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "update-trust",
        summary: "Replaces the trusted Octopus Server thumbprint of any matching polling or listening registrations "
            + "with a new thumbprint to trust",
        options: CommonOptions.instance + [
            OptionDefinition("oldThumbprint", help: "The thumbprint of the old Octopus Server to be replaced"),
            OptionDefinition("newThumbprint", help: "The thumbprint of the new Octopus Server"),
            OptionDefinition(
                "overlap",
                kind: .flag,
                help:
                    "Trust the new thumbprint beside the old one, for a server that is about to change its certificate. The same "
                    + "command without this option ends the overlap: the old thumbprint is trusted no longer"
            ),
        ]
    )

    private let selector: InstanceSelector
    private let old: String
    private let new: String
    private let isOverlap: Bool

    package init(_ options: ParsedOptions) {
        self.selector = options.selector
        self.old = Thumbprints.trimmed(options.text("oldThumbprint") ?? "")
        self.new = Thumbprints.trimmed(options.text("newThumbprint") ?? "")
        self.isOverlap = options.isSet("overlap")
    }

    package func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.selector)
        guard !self.old.isEmpty else {
            throw CommandError("Please specify a thumbprint to replace, e.g., --oldThumbprint=VALUE")
        }
        guard !self.new.isEmpty else {
            throw CommandError("Please specify a new thumbprint to trust, e.g., --newThumbprint=VALUE")
        }
        let lines = try TentacleConfiguration.update(instance.configurationPath, host: context.host) { configuration in
            let servers = try configuration.trustedServers()
            if servers.contains(where: self.isConcerned) {
                configuration.setTrustedServers(self.isOverlap ? self.extended(servers) : self.updated(servers))
            }
            return servers.map(self.line)
        }
        guard !self.isOverlap else { return self.tellOfOverlap(lines, instance, context) }
        context.console.info("Updating Octopus servers thumbprint from \(self.old) to \(self.new)")
        context.console.info(
            "Finding existing Octopus Server registrations trusting the thumbprint \(self.old) and updating them to trust the "
                + "thumbprint \(self.new):"
        )
        for line in lines { context.console.info(line) }
        context.remindOfRestart(instance)
    }

    private func tellOfOverlap(_ lines: [String], _ instance: TentacleInstance, _ context: CommandContext) {
        context.console.info("Trusting the Octopus servers thumbprint \(self.new) beside \(self.old):")
        for line in lines { context.console.info(line) }
        context.console.info(
            "A running agent trusts both at once. When the server has changed its certificate, run update-trust again "
                + "without --overlap."
        )
    }

    /// Each entry of the old thumbprint is followed by its like with the new one.
    private func extended(_ servers: [TrustedServer]) -> [TrustedServer] {
        var result = servers
        for server in servers where self.isConcerned(server) {
            var added = server
            added.thumbprint = self.new
            if !result.contains(where: { $0.isSameEndpoint(as: added) }) { result.append(added) }
        }
        return result
    }

    private func isConcerned(_ server: TrustedServer) -> Bool {
        server.thumbprint.lowercased() == self.old.lowercased()
    }

    private func line(_ server: TrustedServer) -> String {
        let what = "\(Self.kind(of: server)) \(server.address ?? "") \(server.thumbprint)"
        if self.isOverlap, self.isConcerned(server) { return "Updating \(what) - trusting \(self.new), too" }
        return self.isConcerned(server)
            ? "Updating \(what) - changing to trust \(self.new)" : "Ignoring \(what) - does not match old thumbprint"
    }

    private static func kind(of server: TrustedServer) -> String {
        switch server.communicationStyle {
        case .polling: "polling tentacle"
        case .listening: "listening tentacle"
        default: ""
        }
    }

    /// Addresses and subscriptions stay.
    ///
    /// An agent that trusted both thumbprints meanwhile has two entries for the same server then, of which the one that was
    /// updated goes on: it is the one the server knows.
    private func updated(_ servers: [TrustedServer]) -> [TrustedServer] {
        var result = servers
        for server in servers where self.isConcerned(server) {
            var changed = server
            changed.thumbprint = self.new
            result.removeAll { $0 != server && $0.isSameEndpoint(as: changed) }
            guard let index = result.firstIndex(where: { $0.isSameEndpoint(as: server) }) else { continue }
            result[index] = changed
        }
        return result
    }
}
