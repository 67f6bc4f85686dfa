import AgentConfiguration
import FoundationEssentials
import SecureTransport
import Testing

@Suite struct EnvironmentSettingsTests {
    private static let file = """
        <octopus-settings>
        <set key="Octopus.Home">/file/home</set>
        <set key="Tentacle.Services.PortNumber">1111</set>
        <set key="Tentacle.Communication.PollingConnectionCount">3</set>
        </octopus-settings>
        """

    private func scratch(_ environment: [String: String], isOn: Bool = true) throws -> Scratch {
        let scratch = try Scratch()
        scratch.host.environment.merge(environment) { $1 }
        if isOn { scratch.host.environment[EnvironmentSettings.variable] = "true" }
        try scratch.write(Self.file, "x.config")
        return scratch
    }

    private func configuration(_ scratch: Scratch) throws -> TentacleConfiguration {
        try TentacleConfiguration.effective(from: scratch.path + "/x.config", host: scratch.host)
    }

    @Test("every variable stands in front of its key", arguments: EnvironmentSettings.keys.map(\.variable))
    func keys(variable: String) throws {
        let scratch = try self.scratch([variable: "value"])
        defer { scratch.remove() }
        let key = try #require(EnvironmentSettings.keys.first { $0.variable == variable }?.key)
        #expect(try self.configuration(scratch).text(key) == "value")
        // What is changed is the file.
        let file = try TentacleConfiguration.load(from: scratch.path + "/x.config", host: scratch.host)
        #expect(file.text(key) != "value")
    }

    @Test("blank ones, and all of them without the switch, do not count", arguments: [nil, "", "false", "1"])
    func off(switched: String?) throws {
        let scratch = try self.scratch(["TENTACLE_SERVICE_PORT": "2222", "OCTOPUS_HOME": " "], isOn: false)
        defer { scratch.remove() }
        scratch.host.environment[EnvironmentSettings.variable] = switched
        #expect(try self.configuration(scratch).integer(.port) == 1111)
        scratch.host.environment[EnvironmentSettings.variable] = "True"
        let configuration = try self.configuration(scratch)
        #expect(try configuration.integer(.port) == 2222)
        #expect(configuration.homeDirectory == "/file/home")
        // A key that the layer does not know is the file's.
        #expect(try configuration.integer(.pollingConnectionCount) == 3)
    }

    @Test("the first .env file above the program, behind the environment and before the file")
    func envFile() throws {
        let scratch = try self.scratch(["TENTACLE_SERVICE_PORT": "2222"])
        defer { scratch.remove() }
        try DurableFile.makeDirectory(scratch.path + "/opt/octopus/tentacle")
        scratch.host.programDirectory = scratch.path + "/opt/octopus/tentacle"
        try scratch.write("OCTOPUS_HOME=/too/far\n", ".env")
        try scratch.write(
            "\u{FEFF}# of the container\r\n\r\n  TENTACLE_SERVICE_PORT = 3333 \nOCTOPUS_HOME=/env=home\nPATH=/x\nTENTACLE_NO_LISTEN=\n",
            "opt/.env"
        )
        let configuration = try self.configuration(scratch)
        #expect(configuration.homeDirectory == "/env=home")
        #expect(try configuration.integer(.port) == 2222)
        #expect(configuration.text(.noListen) == nil)
    }

    @Test("a line that is none is named")
    func badLine() throws {
        let scratch = try self.scratch([:])
        defer { scratch.remove() }
        scratch.host.programDirectory = scratch.path
        try scratch.write("# fine\nOCTOPUS_HOME=/h\nsecret words\n", ".env")
        let error = #expect(throws: ConfigurationError.self) { try self.configuration(scratch) }
        #expect(error?.message.hasPrefix("Line 3 is not formatted correctly") == true)
        #expect(error?.message.contains("\(scratch.path)/.env") == true)
        #expect(error?.message.contains("secret") == false)
        #expect(error?.code == .format)
    }

    @Test("secrets are plain there: a certificate, with or without its thumbprint, and passwords")
    func secrets() throws {
        let identity = try TLSIdentity.generate()
        let archive = Data(try identity.pkcs12()).base64EncodedString()
        let scratch = try self.scratch([
            "TENTACLE_CERTIFICATE": archive, "OCTOPUS_PROXY_PASSWORD": "hunter2", "OCTOPUS_PROXY_HOST": "proxy",
            "OCTOPUS_USE_DEFAULT_PROXY": "False",
        ])
        defer { scratch.remove() }
        let configuration = try self.configuration(scratch)
        #expect(try configuration.identity() == identity)
        #expect(configuration.thumbprint == identity.thumbprint.description)
        #expect(try configuration.proxy().password == "hunter2")
        let warnings = configuration.environment.warnings
        #expect(warnings.count == 1 && warnings[0].contains("OCTOPUS_PROXY_PASSWORD"))
        #expect(!warnings[0].contains("hunter2"))
        scratch.host.environment["TENTACLE_CERTIFICATE"] = "AAAA"
        let error = #expect(throws: ConfigurationError.self) { try self.configuration(scratch).identity() }
        let start = "The certificate in the environment (TENTACLE_CERTIFICATE) cannot be read"
        #expect(error?.message.hasPrefix(start) == true)
        scratch.host.environment["TENTACLE_CERTIFICATE"] = "%"
        #expect(throws: ConfigurationError.self) { try self.configuration(scratch).identity() }
    }

    @Test("a change of the file takes none of them along")
    func update() throws {
        let trusted = #"[{"Thumbprint":"ENV","CommunicationStyle":1}]"#
        let scratch = try self.scratch(["TENTACLE_TRUSTED_SERVERS": trusted, "TENTACLE_SERVICE_PORT": "2222"])
        defer { scratch.remove() }
        let path = scratch.path + "/x.config"
        try TentacleConfiguration.update(path, host: scratch.host) { configuration in
            let (servers, port) = (try configuration.trustedServers(), try configuration.integer(.port))
            #expect(servers == [] && port == 1111)
            configuration.set(.noListen, true)
        }
        #expect(try self.configuration(scratch).trustedServers().map(\.thumbprint) == ["ENV"])
        let text = try scratch.text("x.config")
        #expect(!text.contains("ENV") && !text.contains("2222") && text.contains("1111"))
    }
}
