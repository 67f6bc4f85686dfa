import AgentConfiguration
import Glibc

/// Looks for what keeps an agent from working, and says what to do about it; ours, the stock agent has no such command.
///
/// It changes nothing. Exit code 0 when nothing failed; warnings do not count.
package struct DoctorCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "doctor",
        summary: "Checks configuration, certificate, disk, network, launcher, sandbox and service, and says what to do",
        options: CommonOptions.instance + [
            OptionDefinition("server", help: "Also checks this address of an Octopus Server's web portal"),
            CommonOptions.format,
        ],
        isQuiet: true
    )

    private let selector: InstanceSelector
    private let server: String?
    private let format: OutputFormat

    package init(_ options: ParsedOptions) throws(CommandError) {
        self.selector = options.selector
        self.server = options.text("server")
        self.format = try OutputFormat(options)
    }

    package func run(_ context: CommandContext) throws {
        let report = self.examine(context)
        switch self.format {
        case .text: context.console.write(report.text(context.console))
        case .json: context.console.write(report.json.indented + "\n")
        }
        guard report.failures > 0 else { return }
        throw CommandError("\(report.failures) of \(report.findings.count) checks failed.")
    }

    private func examine(_ context: CommandContext) -> DoctorReport {
        var report = DoctorReport()
        var configuration: TentacleConfiguration?
        do throws(ConfigurationError) {
            let instance = try context.instance(self.selector)
            report.instance = instance
            report.findings.append(.pass("instance", instance.name ?? "without a name"))
            configuration = try context.configuration(of: instance)
        } catch {
            let advice =
                if error.code == .permission {
                    "Run the command as root or as the user of the agent"
                } else if report.instance == nil {
                    "tentacle list-instances shows what there is; tentacle create-instance makes one"
                } else {
                    "Mend the file or put a copy of it back; if there is none, move it away and begin with tentacle "
                        + "create-instance"
                }
            report.findings.append(
                .fail(report.instance == nil ? "instance" : "configuration", error.message, next: advice)
            )
        }
        let unit = AgentUnit(of: report.instance?.name ?? self.selector.instance, context.host)
        if let instance = report.instance, let configuration {
            report.findings += ConfigurationChecks(
                instance: instance,
                configuration: configuration,
                unit: unit,
                context: context
            ).findings()
        }
        report.findings += HostChecks(
            instance: report.instance,
            configuration: configuration,
            unit: unit,
            context: context
        ).findings()
        if let configuration {
            report.findings += ServerChecks(configuration: configuration, context: context).findings(web: self.server)
        }
        return report
    }
}

/// The host's resolver.
enum NameLookup {
    /// Nil when the name, or literal address, is known; else why not.
    static func failure(_ name: String) -> String? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var result: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &result)
        guard code != 0 else {
            freeaddrinfo(result)
            return nil
        }
        return String(cString: gai_strerror(code))
    }
}
