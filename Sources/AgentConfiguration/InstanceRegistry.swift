import FoundationEssentials

/// The index of this machine's instances: one small JSON file each (spec tentacle-cli.md 5).
package struct InstanceRegistry: Sendable {
    /// In bytes: Linux has 255, and the file that is written first has a longer name.
    private static let longestFileName = 200

    private let host: HostFiles

    package init(host: HostFiles) {
        self.host = host
    }

    package var directory: String { self.host.machineConfigurationHome + "/Tentacle/Instances" }

    /// What an index file says (spec 5.1).
    package struct IndexEntry: Hashable, Decodable, Sendable {
        package var name: String
        package var configurationFilePath: String

        enum CodingKeys: String, CodingKey {
            case name = "Name"
            case configurationFilePath = "ConfigurationFilePath"
        }

        package init(name: String, configurationFilePath: String) {
            self.name = name
            self.configurationFilePath = configurationFilePath
        }

        /// With or without a byte-order mark.
        package init(bytes: [UInt8]) throws {
            let json = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
            self = try JSONDecoder().decode(Self.self, from: Data(json))
        }

        package func encoded() -> [UInt8] {
            let members = [
                OrderedJSON.Member("Name", .string(self.name)),
                OrderedJSON.Member("ConfigurationFilePath", .string(self.configurationFilePath)),
            ]
            return Array(OrderedJSON.object(members).indented.utf8)
        }
    }

    /// All instances, sorted by name, and one line about each index file that cannot be read.
    package func list() -> (instances: [TentacleInstance], warnings: [String]) {
        var instances: [TentacleInstance] = []
        var warnings: [String] = []
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.directory)) ?? []
        for name in names.sorted() where name.hasSuffix(".config") {
            let path = self.directory + "/" + name
            do {
                let entry = try IndexEntry(bytes: try DurableFile.read(path))
                instances.append(TentacleInstance(name: entry.name, configurationPath: entry.configurationFilePath))
            } catch let error as ConfigurationError {
                warnings.append("\(error.message) The instance is left out.")
            } catch {
                warnings.append("The instance file '\(path)' is not valid and is left out.")
            }
        }
        instances.sort { ($0.name ?? "", $0.configurationPath) < ($1.name ?? "", $1.configurationPath) }
        return (instances, warnings)
    }

    /// Whether a new instance can have this name: as the name of a file, and as a word in a line of a list.
    package func check(newName name: String) throws(ConfigurationError) {
        let path = try self.indexPath(of: name)
        guard !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw ConfigurationError(
                .instance,
                "The instance name must not contain line feeds or other control characters."
            )
        }
        guard FilePathText.name(of: path).utf8.count <= Self.longestFileName else {
            throw ConfigurationError(.instance, "The instance name '\(name.prefix(32))…' is too long for a file name.")
        }
    }

    /// Adds the instance, or gives the one of that name another configuration file; the stored spelling stays.
    package func register(name: String, configurationPath: String) throws(ConfigurationError) {
        let path = try self.indexPath(of: name)
        let existing = self.list().instances.first { $0.name.map(Self.fileName) == Self.fileName(name) }
        let entry = IndexEntry(name: existing?.name ?? name, configurationFilePath: configurationPath)
        do throws(ConfigurationError) {
            try DurableFile.makeDirectory(self.directory)
            try DurableFile.write(entry.encoded(), to: path, mode: 0o644)
        } catch {
            throw self.explaining(error, "write", path)
        }
    }

    package func remove(name: String) throws(ConfigurationError) {
        let path = try self.indexPath(of: name)
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            if !DurableFile.exists(path) { return }
            throw ConfigurationError(
                .permission,
                "Unable to delete file '\(path)' as user '\(self.host.userName)'. Please check file permissions."
            )
        }
    }

    /// The instance that a command works on (spec 5.3), its configuration file present.
    package func select(_ selector: InstanceSelector) throws(ConfigurationError) -> TentacleInstance {
        let instance = try self.find(selector)
        guard !DurableFile.exists(instance.configurationPath) else { return instance }
        let path = instance.configurationPath
        guard let name = instance.name else {
            throw ConfigurationError(
                .instance,
                "The configuration file at \(path) could not be located at the specified location."
            )
        }
        throw ConfigurationError(
            .instance,
            "The configuration file for instance \(name) could not be located at the specified location \(path). "
                + "The file might have been manually removed without properly removing the instance and as such it is "
                + "still listed as present.The instance must be created again before you can interact with it."
        )
    }

    /// As `select`, but an instance whose configuration file is gone is found as well.
    package func find(_ selector: InstanceSelector) throws(ConfigurationError) -> TentacleInstance {
        do throws(ConfigurationError) {
            return try self.selected(by: selector)
        } catch {
            // The one that is wanted may be among those that cannot be read.
            let warnings = self.list().warnings
            throw ConfigurationError(error.code, ([error.message] + warnings).joined(separator: "\n"))
        }
    }

    private func selected(by selector: InstanceSelector) throws(ConfigurationError) -> TentacleInstance {
        if let name = selector.instance { return try self.named(name) }
        if let path = selector.configuration {
            return TentacleInstance(name: nil, configurationPath: self.host.absolute(path))
        }
        let local = self.host.absolute(TentacleInstance.defaultConfigurationFile)
        if DurableFile.exists(local) { return TentacleInstance(name: nil, configurationPath: local) }
        let instances = self.list().instances
        if let standard = instances.first(where: { $0.name == TentacleInstance.defaultName }) { return standard }
        if instances.count == 1 { return instances[0] }
        guard !instances.isEmpty else {
            throw ConfigurationError(
                .instance,
                "Unable to find default instance of Tentacle. Available instances: \(Self.names(instances))."
            )
        }
        throw ConfigurationError(
            .instance,
            "There is more than one instance of Tentacle configured on this machine. Please pass --instance=INSTANCENAME "
                + "when invoking this command to target a specific instance. Available instances: \(Self.names(instances))."
        )
    }

    private func named(_ name: String) throws(ConfigurationError) -> TentacleInstance {
        let instances = self.list().instances
        let matching = instances.filter { $0.name?.lowercased() == name.lowercased() }
        if let exact = matching.first(where: { $0.name == name }) { return exact }
        switch matching.count {
        case 1: return matching[0]
        case 0:
            throw ConfigurationError(
                .instance,
                "Instance \(name) of Tentacle has not been configured on this machine. "
                    + "Available instances: \(Self.names(instances))."
            )
        default:
            throw ConfigurationError(
                .instance,
                "Instance \(name) of Tentacle could not be matched to one of the existing instances: "
                    + "\(Self.names(instances))."
            )
        }
    }

    private static func names(_ instances: [TentacleInstance]) -> String {
        instances.compactMap(\.name).sorted().joined(separator: ", ")
    }

    private static func fileName(_ name: String) -> String {
        name.replacing(" ", with: "-").lowercased() + ".config"
    }

    private func indexPath(of name: String) throws(ConfigurationError) -> String {
        guard !name.contains("/"), !name.utf8.contains(0) else {
            throw ConfigurationError(.instance, "The instance name '\(name)' must not contain '/'.")
        }
        guard name != ".", name != ".." else {
            throw ConfigurationError(.instance, "'\(name)' cannot be the name of an instance.")
        }
        return self.directory + "/" + Self.fileName(name)
    }

    private func explaining(_ error: ConfigurationError, _ verb: String, _ path: String) -> ConfigurationError {
        guard error.code == .permission else { return error }
        return ConfigurationError(
            .permission,
            "Unable to \(verb) file '\(path)' as user '\(self.host.userName)'. Please check file permissions."
        )
    }
}
