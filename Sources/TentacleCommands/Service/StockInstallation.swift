import AgentConfiguration
import Glibc
import SecureTransport

/// What a stock agent has left on this host, looked through before anything is touched.
///
/// What is not fully understood is refused as a whole: half an adoption is worse than none.
struct StockInstallation {
    struct Service {
        /// The unit's name without `.service`.
        var unit: String
        var path: String
        var instance: TentacleInstance
        var user: String
        /// Units to be started before it, beside the usual one.
        var dependencies: [String]
        var program: String
    }

    /// Settings of a unit that ours has as well, or that do not change what the agent does.
    private static let known: Set = [
        "Unit.Description", "Unit.After", "Unit.Wants", "Unit.Requires", "Unit.Documentation", "Service.Type",
        "Service.User", "Service.ExecStart", "Service.Restart", "Service.RestartSec", "Install.WantedBy",
    ]
    private static let usualOrder = ["network.target", "network-online.target", "syslog.target"]
    /// More units than this nobody has; it bounds what a made-up directory costs.
    private static let maximumUnits = 10_000

    /// Sorted by unit.
    private(set) var services: [Service] = []
    /// Instances without a unit of the stock agent: nothing of theirs changes.
    private(set) var others: [TentacleInstance] = []
    /// Each a sentence; nothing is adopted while there is one.
    private(set) var problems: [String] = []
    /// By configuration file.
    private(set) var thumbprints: [String: String] = [:]

    init(_ context: CommandContext) {
        let host = context.host
        let (instances, warnings) = InstanceRegistry(host: host).list()
        self.problems += warnings
        self.readUnits(instances, context)
        let used = Set(self.services.map(\.instance.configurationPath))
        self.others = instances.filter { !used.contains($0.configurationPath) }
        for instance in instances + self.services.map(\.instance).filter({ $0.name == nil }) {
            self.check(instance, host)
        }
        for (unit, next) in zip(self.services, self.services.dropFirst())
        where self.services.filter({ $0.instance == unit.instance }).count > 1 {
            self.problems.append("The units \(unit.unit) and \(next.unit) run the same instance; remove one of them.")
        }
    }

    private mutating func readUnits(_ instances: [TentacleInstance], _ context: CommandContext) {
        let directory = context.host.wellKnown(ServicePlan.unitDirectory)
        let names = DirectoryNames.list(directory).filter { $0.hasSuffix(".service") }
        for name in names.prefix(Self.maximumUnits) {
            let path = "\(directory)/\(name)"
            var information = stat()
            // Links are units enabled under another name, or masked.
            guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
                information.st_size <= UnitText.maximumBytes, let bytes = try? DurableFile.read(path)
            else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            guard text.contains("/Tentacle") || text.contains("/tentacle") else { continue }
            self.read(UnitText(text), String(name.dropLast(".service".count)), path, instances, context)
        }
    }

    private mutating func read(
        _ unit: UnitText,
        _ name: String,
        _ path: String,
        _ instances: [TentacleInstance],
        _ context: CommandContext
    ) {
        guard let command = unit.value("ExecStart"),
            let program = UnitText.words(command)?.first, FilePathText.name(of: program) == "Tentacle"
        else { return }
        guard let line = unit.agentCommandLine else {
            self.problems.append("The command line of the unit \(name) is not understood: \(Self.readable(command))")
            return
        }
        let others =
            unit.entries.map { "\($0.section).\($0.key)" }.filter { !Self.known.contains($0) } + unit.unreadable
        guard others.isEmpty else {
            self.problems.append(
                "The unit \(name) has settings that would be lost: \(Self.readable(others.joined(separator: ", "))). Move "
                    + "them into a file '\(path).d/local.conf', where they stay, and try again."
            )
            return
        }
        for dropIn in DirectoryNames.list(path + ".d") where dropIn.hasSuffix(".conf") {
            let text = (try? DurableFile.read("\(path).d/\(dropIn)")).map { String(decoding: $0, as: UTF8.self) } ?? ""
            let local = UnitText(text)
            guard !local.values("ExecStart").isEmpty || !local.values("User").isEmpty else { continue }
            self.problems.append(
                "The file '\(path).d/\(dropIn)' starts the agent another way; take that out of it first."
            )
        }
        guard let instance = self.instance(line.selection, instances, context.host) else {
            self.problems.append("The unit \(name) runs an instance that is not there: \(line.selection.argument)")
            return
        }
        let order = unit.values("After", in: "Unit").flatMap { UnitText.words($0) ?? [] }
        self.services.append(
            Service(
                unit: name,
                path: path,
                instance: instance,
                user: unit.value("User") ?? SystemdUnit.standardUser,
                dependencies: order.filter { !Self.usualOrder.contains($0) },
                program: line.program
            )
        )
    }

    private func instance(
        _ selection: SystemdUnit.Selection,
        _ instances: [TentacleInstance],
        _ host: HostFiles
    ) -> TentacleInstance? {
        switch selection {
        case .configuration(let path):
            return DurableFile.exists(path) ? TentacleInstance(name: nil, configurationPath: path) : nil
        case .instance(let name):
            return instances.first { $0.name == name } ?? instances.first { $0.name?.lowercased() == name.lowercased() }
        }
    }

    /// Everything that the daemon will want of the file, the certificate's key among it.
    private mutating func check(_ instance: TentacleInstance, _ host: HostFiles) {
        let what = instance.name.map { "instance \(Self.readable($0))" } ?? "file \(instance.configurationPath)"
        do {
            let configuration = try TentacleConfiguration.load(from: instance.configurationPath, host: host)
            let settings = try configuration.settings(of: instance)
            self.thumbprints[instance.configurationPath] = settings.identity.map { "\($0.thumbprint)" }
        } catch {
            self.problems.append("The \(what) cannot be taken over: \(CommandError(error).message)")
        }
    }

    private static func readable(_ text: String) -> String { ReadableText.escapingControls(text) }
}
