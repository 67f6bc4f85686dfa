import AgentConfiguration
import FoundationEssentials
import Glibc
import SecureTransport
import Testing

@Suite struct TentacleConfigurationTests {
    private func configuration(
        _ scratch: Scratch,
        _ text: String = "<octopus-settings/>"
    ) throws -> TentacleConfiguration {
        try TentacleConfiguration.load(from: try scratch.write(text, "x.config"), host: scratch.host)
    }

    private func settings(_ configuration: TentacleConfiguration) throws -> AgentSettings {
        try configuration.settings(of: TentacleInstance(name: nil, configurationPath: configuration.path))
    }

    @Test("defaults of an empty file")
    func defaults() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let settings = try self.settings(try self.configuration(scratch))
        #expect(settings.port == 10933)
        #expect(settings.applicationDirectory == "/home/Octopus/Applications")
        #expect(!settings.noListen)
        #expect(settings.homeDirectory == nil && settings.identity == nil && settings.listenAddress == nil)
        #expect(settings.trustedServers.isEmpty)
        #expect(settings.proxy == .systemDefault && settings.pollingProxy == .systemDefault)
        #expect(settings.pollingConnectionCount == nil)
        #expect(settings.effectivePollingConnectionCount(host: scratch.host) == 1)
    }

    @Test(
        "the environment overrides the number of polling connections, inside the limits",
        arguments: zip(["3", "0", "9999", "x"], [3, 1, 512, 7])
    )
    func pollingConnectionCount(variable: String, expected: Int) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        configuration.set(.pollingConnectionCount, 7)
        scratch.host.environment["TentaclePollingConnectionCount"] = variable
        #expect(try self.settings(configuration).effectivePollingConnectionCount(host: scratch.host) == expected)
    }

    @Test("a file of the stock agent")
    func stockFile() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let settings = try self.settings(try self.configuration(scratch, SettingsDocumentTests.stockFile))
        #expect(settings.homeDirectory == "/etc/octopus/Tentacle")
        #expect(settings.noListen)
        #expect(settings.proxy == .direct)
        #expect(
            settings.trustedServers == [
                TrustedServer(
                    thumbprint: "9CF3",
                    communicationStyle: .polling,
                    address: "https://octopus.example.com:10943",
                    subscriptionID: "poll://k7fw/"
                )
            ]
        )
    }

    @Test(
        "a relative home starts at the configuration file",
        arguments: zip([".", "h/../k", "/abs"], ["", "/k", "/abs"])
    )
    func relativeHome(home: String, expected: String) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        configuration.set(.home, home)
        #expect(configuration.homeDirectory == (home.hasPrefix("/") ? expected : scratch.path + expected))
    }

    @Test(
        "what root makes in somebody's folder is theirs, and stays unreadable to others",
        .enabled(if: geteuid() == 0, "only root can give files away")
    )
    func ownerOfFolder() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let home = scratch.path + "/home"
        try DurableFile.makeDirectory(home)
        try #require(chown(home, 4711, 4712) == 0)
        try scratch.write("<octopus-settings/>", "home/a/b/tentacle.config")
        for name in ["home/a", "home/a/b", "home/a/b/tentacle.config"] {
            var information = stat()
            try #require(stat(scratch.path + "/" + name, &information) == 0)
            #expect(information.st_uid == 4711 && information.st_gid == 4712, "\(name)")
        }
        #expect(try scratch.mode("home/a/b/tentacle.config") == 0o600)
    }

    @Test("a certificate is kept as the stock agent keeps it")
    func certificate() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        let identity = try TLSIdentity.generate()
        try configuration.setIdentity(identity)
        try configuration.save()
        let read = try TentacleConfiguration.load(from: configuration.path, host: scratch.host)
        #expect(try read.identity()?.thumbprint == identity.thumbprint)
        #expect(read.thumbprint == identity.thumbprint.description)
        // Two layers of base64 around the encryption (spec 7).
        let sealed = try #require(read.text(.certificate))
        let inner = try scratch.secrets.decrypt(sealed)
        #expect(Data(base64Encoded: inner)?.first == 0x30)
    }

    @Test("a certificate without thumbprint counts as none")
    func certificateWithoutThumbprint() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        try configuration.setIdentity(try TLSIdentity.generate())
        configuration.set(.certificateThumbprint, nil)
        #expect(try configuration.identity() == nil)
    }

    @Test(
        "values that cannot be read are named",
        arguments: zip([ConfigurationKey.port, .noListen, .trustedServers], ["abc", "maybe", "[{]"])
    )
    func unparsable(key: ConfigurationKey, value: String) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        configuration.set(key, value)
        let error = #expect(throws: ConfigurationError.self) { try self.settings(configuration) }
        #expect(error?.message.hasPrefix("Unable to parse configuration key '\(key.rawValue)' as a '") == true)
        #expect(error?.message.hasSuffix("Value was '\(value)'.") == true)
    }

    @Test("what is wrong with a protected value does not show it")
    func unreadableSecret() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        configuration.set(.proxyUseDefault, false)
        configuration.set(.proxyHost, "proxy")
        configuration.set(.proxyPassword, "not base64, hunter2")
        let error = #expect(throws: ConfigurationError.self) { try self.settings(configuration) }
        #expect(error?.message.hasPrefix("A protected value of the configuration cannot be decrypted") == true)
        #expect(error?.message.contains("hunter2") == false)
    }

    @Test("secrets are written in the form that the file asks for, and rewritten when it changes")
    func secretForms() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        let identity = try TLSIdentity.generate()
        try configuration.setIdentity(identity)
        try configuration.setSecret(.proxyPassword, "s3cret!")
        let legacy = configuration.document
        #expect(configuration.text(.proxyPassword) == "MV+cOX5JK2ZBY5jKjyREmg==")
        try configuration.setSecretForm(.versioned)
        try configuration.setSecret(.pollingProxyPassword, "other")
        // No certificate is being changed here.
        for key in ConfigurationKey.protected where key != .nextCertificate {
            #expect(configuration.text(key)?.hasPrefix("$OctopusMachineKeyV1$") == true, "\(key)")
        }
        #expect(try configuration.secret(.proxyPassword) == "s3cret!" && configuration.identity() == identity)
        configuration.set(.pollingProxyPassword, nil)
        try configuration.setSecretForm(.legacy)
        configuration.document.remove(ConfigurationKey.pollingProxyPassword.rawValue)
        #expect(configuration.document == legacy)
        configuration.set(.secretForm, "rot13")
        let error = #expect(throws: ConfigurationError.self) { try configuration.setSecret(.proxyPassword, "x") }
        #expect(
            error?.message
                == "Unable to parse configuration key 'Tentacle.Security.SecretFormat' as a 'SecretFormat'. "
                + "Value was 'rot13'."
        )
    }

    @Test("what a newer stock agent has sealed stays in its form, without a word about it in the file")
    func sealedByNewerAgent() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        let secrets = SecretProtection(host: scratch.host, configurationPath: configuration.path)
        configuration.set(.proxyPassword, try secrets.encrypt("s3cret!", form: .versioned))
        #expect(try configuration.secret(.proxyPassword) == "s3cret!")
        #expect(configuration.machineKeyFiles == [scratch.path + "/machinekey.v1"])
        try configuration.setIdentity(try TLSIdentity.generate())
        #expect(configuration.text(.certificate)?.hasPrefix("$OctopusMachineKeyV1$") == true)
        #expect(configuration.text(.secretForm) == nil)
        try configuration.setSecretForm(.legacy)
        #expect(try configuration.secretForm() == .legacy && configuration.machineKeyFiles.isEmpty)
        #expect(configuration.text(.proxyPassword) == "MV+cOX5JK2ZBY5jKjyREmg==")
    }

    @Test("proxies with their protected password")
    func proxies() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        var configuration = try self.configuration(scratch)
        configuration.set(.pollingProxyUseDefault, false)
        configuration.set(.pollingProxyHost, "proxy.local")
        configuration.set(.pollingProxyUsername, "me")
        try configuration.setSecret(.pollingProxyPassword, "s3cret!")
        #expect(configuration.text(.pollingProxyPassword) == "MV+cOX5JK2ZBY5jKjyREmg==")
        #expect(
            try configuration.pollingProxy()
                == .custom(host: "proxy.local", port: 80, username: "me", password: "s3cret!")
        )
    }

    // MARK: Saving

    @Test("an update is written with mode 0600 and leaves no other file")
    func update() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = try scratch.write("<octopus-settings/>", "d/x.config")
        try TentacleConfiguration.update(path, host: scratch.host) { $0.set(.port, 1234) }
        #expect(try TentacleConfiguration.load(from: path, host: scratch.host).integer(.port) == 1234)
        #expect(try scratch.mode("d/x.config") == 0o600)
        #expect(scratch.names(in: "d") == ["x.config"])
    }

    @Test("an update that throws writes nothing")
    func failedUpdate() throws {
        struct Stop: Error {}
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = try scratch.write("<octopus-settings/>", "d/x.config")
        #expect(throws: Stop.self) {
            try TentacleConfiguration.update(path, host: scratch.host) { configuration in
                configuration.set(.port, 1234)
                throw Stop()
            }
        }
        #expect(try scratch.text("d/x.config") == "<octopus-settings/>")
    }

    @Test("a staged file that is dropped leaves nothing behind, one that is committed replaces the target of a link")
    func staged() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = try scratch.write("<octopus-settings/>", "d/x.config")
        try FileManager.default.createSymbolicLink(atPath: scratch.path + "/d/link", withDestinationPath: path)
        let configuration = try TentacleConfiguration.load(from: scratch.path + "/d/link", host: scratch.host)
        do {
            _ = try configuration.stage()
        }
        #expect(scratch.names(in: "d") == ["link", "x.config"])
        #expect(try scratch.text("d/x.config") == "<octopus-settings/>")
        try configuration.stage().commit()
        #expect(try scratch.text("d/x.config").contains("xmlns:xsd"))
        #expect(scratch.names(in: "d") == ["link", "x.config"])
    }

    @Test("a file that cannot be read says which and why")
    func unreadable() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let error = #expect(throws: ConfigurationError.self) {
            try TentacleConfiguration.load(from: "/no/such/file", host: scratch.host)
        }
        #expect(error?.message == "Could not read '/no/such/file': No such file or directory.")
        let path = try scratch.write("hello", "x")
        let format = #expect(throws: ConfigurationError.self) {
            try TentacleConfiguration.load(from: path, host: scratch.host)
        }
        #expect(format?.message.hasPrefix("Could not read '\(path)': it is not a configuration file: line 1:") == true)
    }

    @Test("concurrent updates all arrive")
    func concurrent() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = try scratch.write("<octopus-settings/>", "d/x.config")
        let host = scratch.host
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<16 {
                group.addTask {
                    try TentacleConfiguration.update(path, host: host) { $0.document["Key\(number)"] = "\(number)" }
                }
            }
            try await group.waitForAll()
        }
        #expect(try TentacleConfiguration.load(from: path, host: host).document.keys.count == 16)
    }
}

@Suite struct TrustedServerTests {
    private func decode(_ text: String) throws -> [TrustedServer] {
        try JSONDecoder().decode([TrustedServer].self, from: Data(text.utf8))
    }

    @Test("members keep the stock agent's order, unknown ones are kept")
    func json() throws {
        let text =
            #"[{"Thumbprint":"9CF3","CommunicationStyle":9,"KubernetesTentacleCommunicationMode":"Polling","Address":"https://h:10943","Squid":null,"SubscriptionId":"poll://a/"}]"#
        let servers = try self.decode(text)
        #expect(OrderedJSON.array(servers.map(\.json)).compact == text)
    }

    @Test(
        "numbers and names of styles, any case of members",
        arguments: ["2", "\"TentacleActive\"", "\"tentacleactive\""]
    )
    func styles(style: String) throws {
        let server = try #require(try self.decode(#"[{"thumbprint":" ab ","communicationstyle":\#(style)}]"#).first)
        #expect(server.communicationStyle == .polling)
        #expect(server.thumbprint == "ab")
    }

    @Test("an upsert replaces the same thumbprint and address in any spelling")
    func upsert() {
        var servers = [
            TrustedServer(thumbprint: "AA", communicationStyle: .polling, address: "https://Host:443"),
            TrustedServer(thumbprint: "AA", communicationStyle: .listening),
            TrustedServer(thumbprint: "BB", communicationStyle: .listening),
        ]
        servers.upsert(
            TrustedServer(
                thumbprint: "aa",
                communicationStyle: .polling,
                address: "https://host/",
                subscriptionID: "poll://x/"
            )
        )
        #expect(servers.map(\.thumbprint) == ["AA", "BB", "aa"])
        servers.upsert(TrustedServer(thumbprint: "aa", communicationStyle: .listening))
        #expect(servers.map(\.thumbprint) == ["BB", "aa", "aa"])
    }

    @Test("an agent of before subscriptions polls under its own squid, and the file stays as it is")
    func squid() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let first = #"{"Thumbprint":"A","CommunicationStyle":2,"Address":"https://o:10943","Squid":"SQ-SERVER","#
        let second = #"{"Thumbprint":"B","CommunicationStyle":2,"Address":"https://p:10943","Squid":null,"#
        let entries = #"[\#(first)"SubscriptionId":null},\#(second)"SubscriptionId":"poll://own/"}]"#
        let file = """
            <octopus-settings>
            <set key="Octopus.Communications.Squid">SQ-AGENT</set>
            <set key="Tentacle.Communication.TrustedOctopusServers">\(entries)</set>
            </octopus-settings>
            """
        let path = try scratch.write(file, "x.config")
        var configuration = try TentacleConfiguration.load(from: path, host: scratch.host)
        let servers = try configuration.trustedServers()
        #expect(servers.map(\.effectiveSubscriptionID) == ["poll://sq-agent/", "poll://own/"])
        configuration.setTrustedServers(servers)
        #expect(configuration.text(.trustedServers) == entries)
        configuration.set(.squid, nil)
        #expect(try configuration.trustedServers().map(\.effectiveSubscriptionID) == [nil, "poll://own/"])
    }
}

@Suite struct NetworkAddressTests {
    @Test(
        "addresses as .NET prints them",
        arguments: [
            ("https://Host:443", "https://host/"), ("https://host:10943/", "https://host:10943/"),
            ("HTTP://h", "http://h/"), ("https://[::1]:10933/a", "https://[::1]:10933/a"),
            ("poll://Abc/", "poll://abc/"),
            ("https://h:", "https://h/"),
        ]
    )
    func description(text: String, expected: String) {
        #expect(NetworkAddress(text)?.description == expected)
    }

    @Test(
        "what is no address",
        arguments: ["host:443", "", "https://", "https://h:0", "https://h:70000", "https://a b/", "://h"]
    )
    func invalid(text: String) {
        #expect(NetworkAddress(text) == nil)
    }
}
