import AgentConfiguration
import OctopusClient

package struct DeregisterFromCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "deregister-from",
        aliases: ["deregister"],
        summary: "Deregisters this deployment target from an Octopus Server",
        options: Deregistrar.options
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try Deregistrar(options: self.options, isWorker: false, context: context).run()
    }
}

package struct DeregisterWorkerCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "deregister-worker",
        summary: "Deregisters this worker from an Octopus Server",
        options: Deregistrar.options
    )

    private let options: ParsedOptions

    package init(_ options: ParsedOptions) { self.options = options }

    package func run(_ context: CommandContext) throws {
        try Deregistrar(options: self.options, isWorker: true, context: context).run()
    }
}

/// Removes this agent from a server (spec tentacle-cli.md 14.1); local trust stays as it is.
struct Deregistrar {
    static let options =
        CommonOptions.instance + ServerOptions.definitions + [
            OptionDefinition(
                "multiple",
                "m",
                kind: .flag,
                help: "Deregister all machines that use the same thumbprint"
            ),
            OptionDefinition(
                "space",
                help:
                    "The space which this machine will be deregistered from, - e.g. 'Finance Department' where Finance Department "
                    + "is the name of an existing space; the default value is the Default space, if one is designated."
            ),
            DryRun.option,
        ]

    let options: ParsedOptions
    let isWorker: Bool
    let context: CommandContext

    func run() throws {
        let server = try ServerOptions(self.options, self.context)
        let instance = try self.context.instance(self.options.selector)
        let configuration = try self.context.configuration(of: instance)
        guard configuration.thumbprint != nil else {
            throw CommandError(
                "This Tentacle does not have a thumbprint. The Tentacle must have a thumbprint in order to deregister it."
            )
        }
        let session = server.session(self.context, proxy: try configuration.pollingProxy().forDirectRequests)
        let space = try session.space(self.options.text("space"))
        // While the certificate is being changed, servers know this agent by the one or the other.
        let machines = try configuration.thumbprints.flatMap {
            try session.machines(withThumbprint: $0, workers: self.isWorker, in: space)
        }
        try self.check(machines.count)
        guard !self.options.isSet(DryRun.option.name) else { return try self.show(machines, session) }
        for machine in machines {
            let name = ReadableText.escapingControls(machine.text("Name") ?? "")
            self.context.console.info("Deleting \(self.noun) '\(name)' from the Octopus Server...")
            try session.delete(machine)
        }
        try self.tellOfTrust(session, instance)
        self.context.console.info("\(self.isWorker ? "Worker" : "Machine") deregistered successfully")
    }

    private func show(_ machines: [JSONValue], _ session: OctopusSession) throws {
        let dryRun = DryRun(context: self.context)
        dryRun.begin()
        for machine in machines { try dryRun.show("DELETE", try session.url(toDelete: machine)) }
    }

    /// The machines are gone by now: a server that does not tell its thumbprint any more changes nothing of that.
    private func tellOfTrust(_ session: OctopusSession, _ instance: TentacleInstance) throws {
        let selection = instance.name.map { " --instance \($0)" } ?? ""
        do throws(OctopusError) {
            let thumbprint = try session.serverThumbprint()
            self.context.console.info(
                "The Octopus Server is still trusted. If you wish to remove trust for this Octopus Server, use "
                    + "'Tentacle configure --remove-trust=\(thumbprint)\(selection)'"
            )
        } catch {
            self.context.console.info(
                "The Octopus Server is still trusted. It did not tell its thumbprint: \(error.message)"
            )
        }
    }

    private var noun: String { self.isWorker ? "worker" : "machine" }

    private func check(_ count: Int) throws(CommandError) {
        guard count > 0 else {
            throw CommandError("No \(self.noun) was found matching this Tentacle's thumbprint.")
        }
        guard count == 1 || self.options.isSet("multiple") else {
            throw CommandError(
                self.isWorker
                    ? "The worker matches more than one worker on the server. To deregister all of these workers specify the "
                        + "--multiple flag."
                    : "The Tentacle matches more than one machine on the server. To deregister all of these machines specify the "
                        + "--multiple flag."
            )
        }
    }
}
