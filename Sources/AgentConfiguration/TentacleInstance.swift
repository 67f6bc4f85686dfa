/// One configured agent of this machine.
package struct TentacleInstance: Hashable, Sendable {
    /// Nil for an agent that is known by its configuration file only.
    package var name: String?
    package var configurationPath: String

    package init(name: String?, configurationPath: String) {
        self.name = name
        self.configurationPath = configurationPath
    }

    package static let defaultName = "Tentacle"
    package static let defaultConfigurationFile = "Tentacle.config"
}

/// What the command line says about the instance to use.
package struct InstanceSelector: Hashable, Sendable {
    package var instance: String?
    package var configuration: String?

    package init(instance: String? = nil, configuration: String? = nil) {
        self.instance = instance.flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
        self.configuration = configuration.flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
    }
}
