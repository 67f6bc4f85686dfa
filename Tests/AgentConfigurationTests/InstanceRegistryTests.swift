import AgentConfiguration
import Testing

@Suite struct InstanceRegistryTests {
    @Test("the index file is the stock agent's")
    func indexFile() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        try registry.register(
            name: "My Tentacle",
            configurationPath: "/etc/octopus/My Tentacle/tentacle-My Tentacle.config"
        )
        let text = try scratch.text("etc/octopus/Tentacle/Instances/my-tentacle.config")
        #expect(
            text == """
                {
                  "Name": "My Tentacle",
                  "ConfigurationFilePath": "/etc/octopus/My Tentacle/tentacle-My Tentacle.config"
                }
                """
        )
        #expect(try scratch.mode("etc/octopus/Tentacle/Instances/my-tentacle.config") == 0o644)
        #expect(scratch.names(in: "etc/octopus/Tentacle/Instances") == ["my-tentacle.config"])
    }

    @Test("the environment moves the index")
    func otherHome() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        scratch.host.environment["TentacleMachineConfigurationHomeDirectory"] = scratch.path + "/elsewhere"
        try InstanceRegistry(host: scratch.host).register(name: "A", configurationPath: "/a")
        #expect(scratch.names(in: "elsewhere/Tentacle/Instances") == ["a.config"])
        scratch.host.environment = [:]
        #expect(InstanceRegistry(host: scratch.host).list().instances.isEmpty)
    }

    @Test("registering again keeps the stored spelling and takes the new path")
    func again() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        try registry.register(name: "Web", configurationPath: "/one")
        try registry.register(name: "WEB", configurationPath: "/two")
        #expect(registry.list().instances == [TentacleInstance(name: "Web", configurationPath: "/two")])
    }

    @Test("an index file that is broken is left out, with a warning that names it")
    func broken() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        try registry.register(name: "Good", configurationPath: "/g")
        try scratch.write("{", "etc/octopus/Tentacle/Instances/bad.config")
        let (instances, warnings) = registry.list()
        #expect(instances.map(\.name) == ["Good"])
        #expect(warnings.count == 1 && warnings[0].contains("bad.config"))
        // It may be the one that is asked for.
        let error = #expect(throws: ConfigurationError.self) { try registry.find(.init(instance: "Bad")) }
        #expect(
            error?.message
                == "Instance Bad of Tentacle has not been configured on this machine. Available instances: Good.\n"
                + warnings[0]
        )
    }

    @Test("an index that cannot be written says which file and as whom")
    func unwritable() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        // Nobody makes folders there, not even root.
        scratch.host.environment["TentacleMachineConfigurationHomeDirectory"] = "/sys"
        let error = #expect(throws: ConfigurationError.self) {
            try InstanceRegistry(host: scratch.host).register(name: "My Agent", configurationPath: "/x")
        }
        #expect(
            error
                == ConfigurationError(
                    .permission,
                    "Unable to write file '/sys/Tentacle/Instances/my-agent.config' as user 'tester'. "
                        + "Please check file permissions."
                )
        )
    }

    @Test("a name that would leave the index folder is refused", arguments: ["../x", "a/b", ".."])
    func hostileName(name: String) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        #expect(throws: ConfigurationError.self) {
            try InstanceRegistry(host: scratch.host).register(name: name, configurationPath: "/x")
        }
    }

    @Test("which instance is used, in order of precedence")
    func precedence() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        let a = try scratch.write("<octopus-settings/>", "a.config")
        let b = try scratch.write("<octopus-settings/>", "b.config")
        try registry.register(name: "a", configurationPath: a)
        #expect(try registry.select(.init()).name == "a")
        try registry.register(name: "Tentacle", configurationPath: b)
        #expect(try registry.select(.init()).name == "Tentacle")
        let local = try scratch.write("<octopus-settings/>", "cwd/Tentacle.config")
        #expect(try registry.select(.init()) == TentacleInstance(name: nil, configurationPath: local))
        #expect(try registry.select(.init(configuration: "../a.config")).configurationPath == a)
        #expect(try registry.select(.init(instance: "A", configuration: b)).name == "a")
    }

    @Test("what cannot be selected is said in the stock agent's words")
    func texts() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        func message(_ selector: InstanceSelector) throws -> String {
            let error = #expect(throws: ConfigurationError.self) { try registry.select(selector) }
            #expect(error?.code == .instance)
            return error?.message ?? ""
        }
        #expect(try message(.init()) == "Unable to find default instance of Tentacle. Available instances: .")
        #expect(
            try message(.init(configuration: "/no/such.config"))
                == "The configuration file at /no/such.config could not be located at the specified location."
        )
        try registry.register(name: "b", configurationPath: "/no/b.config")
        try registry.register(name: "a", configurationPath: "/no/a.config")
        #expect(
            try message(.init(instance: "x"))
                == "Instance x of Tentacle has not been configured on this machine. Available instances: a, b."
        )
        #expect(
            try message(.init())
                == "There is more than one instance of Tentacle configured on this machine. Please pass "
                + "--instance=INSTANCENAME when invoking this command to target a specific instance. Available "
                + "instances: a, b."
        )
        #expect(
            try message(.init(instance: "a"))
                == "The configuration file for instance a could not be located at the specified location /no/a.config. "
                + "The file might have been manually removed without properly removing the instance and as such it is "
                + "still listed as present.The instance must be created again before you can interact with it."
        )
        #expect(try registry.find(.init(instance: "a")).configurationPath == "/no/a.config")
    }

    @Test("names that differ by case only need the exact one")
    func caseClash() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        for (file, name) in [("one", "web"), ("two", "Web")] {
            try scratch.write(
                #"{"Name":"\#(name)","ConfigurationFilePath":"/\#(file)"}"#,
                "etc/octopus/Tentacle/Instances/\(file).config"
            )
        }
        #expect(try registry.find(.init(instance: "Web")).configurationPath == "/two")
        let error = #expect(throws: ConfigurationError.self) { try registry.find(.init(instance: "WEB")) }
        #expect(
            error?.message
                == "Instance WEB of Tentacle could not be matched to one of the existing instances: Web, web."
        )
    }

    @Test("removing takes the index file only, and twice is once")
    func remove() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let registry = InstanceRegistry(host: scratch.host)
        let path = try scratch.write("<octopus-settings/>", "a.config")
        try registry.register(name: "A", configurationPath: path)
        try registry.remove(name: "A")
        try registry.remove(name: "A")
        #expect(registry.list().instances.isEmpty)
        #expect(DurableFile.exists(path))
    }
}
