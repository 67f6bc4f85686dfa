import AgentConfiguration

package struct CreateInstanceCommand: TentacleCommand {
    package static let definition = CommandDefinition(
        "create-instance",
        summary: "Registers a new instance of the Tentacle service",
        options: [
            OptionDefinition("instance", help: "Name of the instance to create"),
            OptionDefinition("config", help: "Path to configuration file to create"),
            OptionDefinition(
                "home",
                help: "[Optional] Path to the home directory - defaults to the same directory as the config file"
            ),
        ]
    )

    private static let emptyFile = "<?xml version='1.0' encoding='UTF-8' ?><octopus-settings></octopus-settings>"

    private let instance: String?
    private let configuration: String?
    private let home: String?

    package init(_ options: ParsedOptions) {
        self.instance = options.text("instance")
        self.configuration = options.text("config")
        self.home = options.text("home")
    }

    package func run(_ context: CommandContext) throws {
        let registry = InstanceRegistry(host: context.host)
        if let instance { try registry.check(newName: instance) }
        let home =
            self.home ?? self.configuration.map { FilePathText.directory(of: context.host.absolute($0)) } ?? "."
        let path = self.configurationPath(home: home, context.host)
        try Self.createFile(path, context)
        if self.instance != nil || self.configuration != nil {
            let name = self.instance ?? TentacleInstance.defaultName
            context.console.info("Saving instance: \(name)")
            try registry.register(name: name, configurationPath: path)
        }
        context.console.info("Setting home directory to: \(home)")
        try TentacleConfiguration.update(path, host: context.host) { $0.set(.home, home) }
    }

    /// A file name goes into the home directory; a path is relative to the current directory only, where the stock agent
    /// counts its folder twice.
    private func configurationPath(home: String, _ host: HostFiles) -> String {
        guard let configuration else { return host.absolute(home + "/" + TentacleInstance.defaultConfigurationFile) }
        if configuration.contains("/") { return host.absolute(configuration) }
        return self.home == nil ? host.absolute(configuration) : host.absolute(home + "/" + configuration)
    }

    private static func createFile(_ path: String, _ context: CommandContext) throws(ConfigurationError) {
        guard !DurableFile.exists(path) else {
            context.console.info("Configuration file at \(path) already exists.")
            return
        }
        try DurableFile.makeDirectory(FilePathText.directory(of: path))
        context.console.info("Creating empty configuration file: \(path)")
        try DurableFile.write(Array(Self.emptyFile.utf8), to: path, mode: TentacleConfiguration.fileMode)
    }
}
