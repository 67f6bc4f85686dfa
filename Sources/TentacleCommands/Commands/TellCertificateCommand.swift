import AgentConfiguration
import OctopusClient

/// Tells a server the certificate that follows the present one; ours, the stock agent knows one certificate only.
package struct TellCertificateCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "tell-certificate",
        summary: "Tells an Octopus Server the certificate that 'new-certificate --overlap' has made",
        options: CommonOptions.instance + ServerOptions.definitions + [
            OptionDefinition(
                "space",
                help:
                    "The only space in which this machine is registered; the default is every space that the user has access to"
            )
        ]
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        let server = try ServerOptions(self.options, context)
        let instance = try context.instance(self.options.selector)
        let configuration = try context.configuration(of: instance)
        let session = server.session(context, proxy: try configuration.pollingProxy().forDirectRequests)
        guard configuration.nextThumbprint != nil else {
            return try self.afterwards(configuration, session, context)
        }
        let thumbprint = try session.serverThumbprint()
        try Self.check(thumbprint, isTrustedBy: configuration)
        let (told, after) = try self.tell(thumbprint, session, instance, context)
        for record in told { context.console.info("Told: \(Self.description(of: record))") }
        if told.isEmpty { context.console.info("The server has been told before.") }
        guard after.nextThumbprint != nil else {
            context.console.info(CertificateChange.completed + " Thumbprint:")
            return context.console.info(after.thumbprint ?? "")
        }
        try CertificateChange.report(after, context)
    }

    /// In this order: ask what the server knows, stage the file that says it knows the next certificate, tell it, put the
    /// file in place, so that as little time as possible passes between the last two.
    ///
    /// Cut short anywhere, it is repeated: what the server knows by then is not told again.
    private func tell(
        _ thumbprint: String,
        _ session: OctopusSession,
        _ instance: TentacleInstance,
        _ context: CommandContext
    ) throws -> ([MachineRecord], TentacleConfiguration) {
        let space = self.options.text("space")
        return try TentacleConfiguration.withLock(on: instance.configurationPath, host: context.host) { current in
            var configuration = current
            guard let present = configuration.thumbprint, let next = configuration.nextThumbprint else {
                throw CommandError(
                    "The change of the certificate has ended meanwhile. Look at it with show-thumbprint."
                )
            }
            let records = try session.records(withThumbprint: present, in: space)
            if records.isEmpty, try session.records(withThumbprint: next, in: space).isEmpty {
                throw CommandError(
                    "The server knows no machine and no worker by this Tentacle's certificate. Register it, or remove the "
                        + "trust with 'configure --remove-trust=\(thumbprint)'."
                )
            }
            try configuration.markKnown(by: thumbprint)
            try configuration.completeOverlapIfAllKnow()
            let staged = try configuration.stage()
            for record in records { try session.change(record, toThumbprint: next) }
            do throws(ConfigurationError) {
                try staged.commit()
            } catch {
                throw CommandError(
                    "The server knows the new certificate, but that could not be noted: \(error.message) Repeat the command."
                )
            }
            return (records, configuration)
        }
    }

    private static func check(
        _ thumbprint: String,
        isTrustedBy configuration: TentacleConfiguration
    ) throws {
        let servers = try configuration.trustedServers()
        guard servers.contains(where: { $0.thumbprint.lowercased() == thumbprint.lowercased() }) else {
            throw CommandError(
                "The Octopus Server with the thumbprint '\(thumbprint)' is not trusted by this Tentacle: it needs not be told. "
                    + "Check the server URL."
            )
        }
    }

    /// Nothing is under way: fine if this server knows the certificate that is in place.
    private func afterwards(
        _ configuration: TentacleConfiguration,
        _ session: OctopusSession,
        _ context: CommandContext
    ) throws {
        let space = self.options.text("space")
        guard let thumbprint = configuration.thumbprint,
            try !session.records(withThumbprint: thumbprint, in: space).isEmpty
        else {
            throw CommandError(CertificateChange.notUnderWay)
        }
        context.console.info("The server knows this Tentacle's certificate. No change is under way.")
    }

    private static func description(of record: MachineRecord) -> String {
        let name = ReadableText.escapingControls(record.name)
        let space = record.spaceName.map { " in space '\(ReadableText.escapingControls($0))'" } ?? ""
        return "\(record.isWorker ? "worker" : "machine") '\(name)'\(space)"
    }
}
