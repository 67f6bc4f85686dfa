import AgentConfiguration
import Testing

@Suite struct ProtectedPathsTests {
    private func list(
        home: String? = "/var/lib/tentacle",
        application: String = "/srv/apps",
        configuration: String = "/var/lib/tentacle/tentacle.config",
        environment: [String: String] = [:]
    ) throws -> [String] {
        let configured = TentacleConfiguration(path: configuration, document: SettingsDocument(), host: HostFiles())
        var settings = try configured.settings(
            of: TentacleInstance(name: "Tentacle", configurationPath: configuration)
        )
        settings.homeDirectory = home
        settings.applicationDirectory = application
        return ProtectedPaths.list(for: settings, host: HostFiles(root: "/none", environment: environment))
    }

    @Test("the machine's configuration home, the instance's file, uploads and past output")
    func usual() throws {
        #expect(
            try self.list() == [
                "/none/etc/octopus", "/var/lib/tentacle/tentacle.config", "/var/lib/tentacle/machinekey.v1",
                "/var/lib/tentacle/tentacle.config.before-reencryption", "/var/lib/tentacle/Spool",
                "/var/lib/tentacle/Logs/Scripts",
            ]
        )
    }

    @Test("another configuration home is protected beside the usual one, where the machine key is looked for, too")
    func otherHome() throws {
        let list = try self.list(home: nil, environment: ["TentacleMachineConfigurationHomeDirectory": "/opt/conf/"])
        #expect(list.prefix(3) == ["/opt/conf", "/none/etc/octopus", "/var/lib/tentacle/tentacle.config"])
    }

    @Test("a home inside the configuration home stays in reach; keys, registry and configuration do not")
    func homeInside() throws {
        let home = "/none/etc/octopus/default"
        #expect(
            try self.list(home: home, configuration: home + "/tentacle-default.config") == [
                "/none/etc/octopus/machinekey", "/none/etc/octopus/Tentacle/Instances",
                "/none/etc/octopus/default/tentacle-default.config", "/none/etc/octopus/default/machinekey.v1",
                "/none/etc/octopus/default/tentacle-default.config.before-reencryption",
                "/none/etc/octopus/default/Spool",
                "/none/etc/octopus/default/Logs/Scripts",
            ]
        )
        #expect(try self.list(application: "/none/etc/octopus/apps").contains("/none/etc/octopus/machinekey"))
        // A longer name is another directory.
        #expect(try self.list(application: "/none/etc/octopuses").first == "/none/etc/octopus")
    }

    @Test("the files of the machine's other instances are protected as soon as they are there")
    func otherInstances() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let host = scratch.host
        let configuration = TentacleConfiguration(path: "/a/a.config", document: SettingsDocument(), host: host)
        let settings = try configuration.settings(of: TentacleInstance(name: "A", configurationPath: "/a/a.config"))
        let before = ProtectedPaths.list(for: settings, host: host)
        #expect(before.prefix(3) == [scratch.path + "/etc/octopus", "/a/a.config", "/a/machinekey.v1"])
        try InstanceRegistry(host: host).register(name: "B", configurationPath: "/b/b.config")
        let now = ProtectedPaths.list(for: settings, host: host)
        #expect(now == before + ["/b/b.config", "/b/machinekey.v1", "/b/b.config.before-reencryption"])
    }
}
