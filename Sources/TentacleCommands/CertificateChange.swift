import AgentConfiguration
import SecureTransport

/// The change of an agent's certificate during which two are valid: its beginning, and its end by hand.
///
/// Ours, the stock agent changes its certificate at once (docs/certificate-rotation.md). Every step is one write of the
/// configuration file, and may be repeated.
struct CertificateChange {
    static let options = [
        OptionDefinition(
            "overlap",
            kind: .flag,
            help:
                "Creates a new certificate beside the present one. Both are valid until every trusted server has been told with "
                + "tell-certificate; given again, shows who has not been told yet"
        ),
        OptionDefinition(
            "end-overlap",
            kind: .flag,
            help: "Puts the new certificate into the present one's place now, whether or not all servers have been told"
        ),
        OptionDefinition(
            "abandon-overlap",
            kind: .flag,
            help: "Drops the new certificate and keeps the present one. Refused once a server has been told"
        ),
        OptionDefinition(
            "force",
            kind: .flag,
            help: "With --abandon-overlap: also when a server has been told, which then loses this Tentacle"
        ),
    ]

    static let completed = "All trusted servers know the new certificate: it has taken the old one's place."
    static let notUnderWay =
        "No change of the certificate is under way. Start one with 'new-certificate --overlap'."

    private enum Step: String, CaseIterable {
        case begin = "overlap"
        case end = "end-overlap"
        case abandon = "abandon-overlap"
    }

    private let step: Step
    private let isForced: Bool

    /// Nothing when the options ask for no such change.
    init?(_ options: ParsedOptions) throws(CommandError) {
        let steps = Step.allCases.filter { options.isSet($0.rawValue) }
        let isForced = options.isSet("force")
        guard !isForced || steps.first == .abandon else {
            throw CommandError("Invalid command: --force can only be specified with --abandon-overlap")
        }
        guard let step = steps.first else { return nil }
        let others =
            steps.dropFirst().map(\.rawValue) + ["if-blank"].filter { options.isSet($0) }
            + ["export-file", "export-pfx"].filter { options.text($0) != nil }
        if let other = others.first {
            throw CommandError("Invalid command: --\(step.rawValue) and --\(other) cannot be specified together")
        }
        self.step = step
        self.isForced = isForced
    }

    func run(_ instance: TentacleInstance, _ context: CommandContext) throws {
        switch self.step {
        case .begin: try self.begin(instance, context)
        case .end: try self.end(instance, context)
        case .abandon: try self.abandon(instance, context)
        }
    }

    private enum Beginning {
        case begun
        case underWay
        /// There was nothing to overlap with.
        case inPlace
    }

    private func begin(_ instance: TentacleInstance, _ context: CommandContext) throws {
        let path = instance.configurationPath
        let isUnderWay = try context.configuration(of: instance).nextThumbprint != nil
        let fresh = isUnderWay ? nil : try TLSIdentity.generate()
        let (beginning, configuration) = try TentacleConfiguration.update(path, host: context.host) { configuration in
            guard configuration.nextThumbprint == nil else { return (Beginning.underWay, configuration) }
            let identity = try fresh ?? TLSIdentity.generate()
            guard configuration.thumbprint != nil, try !configuration.trustedServers().isEmpty else {
                try configuration.setIdentity(identity)
                return (.inPlace, configuration)
            }
            try configuration.beginOverlap(identity)
            return (.begun, configuration)
        }
        switch beginning {
        case .inPlace:
            context.console.info(
                "No server knows this Tentacle yet: the new certificate is in place at once. Thumbprint:"
            )
            context.console.info(configuration.thumbprint ?? "")
            return context.remindOfRestart(instance)
        case .begun: context.console.info("A new certificate has been generated beside the present one. Thumbprint:")
        case .underWay: context.console.info("A new certificate is waiting beside the present one. Thumbprint:")
        }
        context.console.info(configuration.nextThumbprint ?? "")
        try Self.report(configuration, context)
    }

    private func end(_ instance: TentacleInstance, _ context: CommandContext) throws {
        let thumbprint = try TentacleConfiguration.update(instance.configurationPath, host: context.host) {
            configuration in
            guard configuration.completeOverlap() else { throw CommandError(Self.notUnderWay) }
            return configuration.thumbprint ?? ""
        }
        context.console.info("The new certificate has taken the old one's place. Thumbprint:")
        context.console.info(thumbprint)
    }

    private func abandon(_ instance: TentacleInstance, _ context: CommandContext) throws {
        let thumbprint = try TentacleConfiguration.update(instance.configurationPath, host: context.host) {
            configuration in
            guard configuration.nextThumbprint != nil else { throw CommandError(Self.notUnderWay) }
            let told = try configuration.contactsThatKnowNext().map(\.thumbprint).sorted()
            guard told.isEmpty || self.isForced else {
                throw CommandError(
                    "The server with the thumbprint \(told[0]) knows the new certificate already and would not find this "
                        + "Tentacle any more. End the change with --end-overlap, or give --force and register again."
                )
            }
            configuration.abandonOverlap()
            return configuration.thumbprint ?? ""
        }
        context.console.info("The new certificate has been dropped; the present one stays. Thumbprint:")
        context.console.info(thumbprint)
    }

    /// A certificate must not go that a server may have been told to expect.
    static func refuse(during configuration: TentacleConfiguration) throws(CommandError) {
        guard let next = configuration.nextThumbprint else { return }
        throw CommandError(
            "A change of the certificate to \(next) is under way. End it with 'new-certificate --end-overlap' or "
                + "'new-certificate --abandon-overlap' first."
        )
    }

    /// Says who does not know the next certificate, and what to do about it.
    static func report(_ configuration: TentacleConfiguration, _ context: CommandContext) throws {
        let known = try configuration.contactsThatKnowNext()
        for server in try configuration.trustedServers() {
            guard let contact = configuration.contact(with: server) else { continue }
            let what = server.address ?? "listening tentacle"
            context.console.info("\(known.contains(contact) ? "Knows it" : "Not told"): \(what) \(server.thumbprint)")
        }
        context.console.info(
            "Tell each server with 'tell-certificate --server=URL --api-key-file=FILE'; when all know the new certificate, it "
                + "takes the old one's place. A running agent needs no restart."
        )
    }
}
