import FoundationEssentials
package import SecureTransport

/// Names of the values in a configuration file (spec tentacle-cli.md 6.3).
package enum ConfigurationKey: String, Sendable {
    case home = "Octopus.Home"
    case squid = "Octopus.Communications.Squid"
    case port = "Tentacle.Services.PortNumber"
    case listenAddress = "Tentacle.Services.ListenIP"
    case noListen = "Tentacle.Services.NoListen"
    case applicationDirectory = "Tentacle.Deployment.ApplicationDirectory"
    case certificate = "Tentacle.Certificate"
    case certificateThumbprint = "Tentacle.CertificateThumbprint"
    case trustedServers = "Tentacle.Communication.TrustedOctopusServers"
    case pollingConnectionCount = "Tentacle.Communication.PollingConnectionCount"
    case proxyUseDefault = "Octopus.Proxy.UseDefaultProxy"
    case proxyHost = "Octopus.Proxy.ProxyHost"
    case proxyPort = "Octopus.Proxy.ProxyPort"
    case proxyUsername = "Octopus.Proxy.ProxyUsername"
    case proxyPassword = "Octopus.Proxy.ProxyPassword"
    case pollingProxyUseDefault = "Octopus.Server.Proxy.UseDefaultProxy"
    case pollingProxyHost = "Octopus.Server.Proxy.ProxyHost"
    case pollingProxyPort = "Octopus.Server.Proxy.ProxyPort"
    case pollingProxyUsername = "Octopus.Server.Proxy.ProxyUsername"
    case pollingProxyPassword = "Octopus.Server.Proxy.ProxyPassword"
    /// Ours, as the next one; the stock agent keeps what it does not know.
    case sandboxPolicy = "Tentacle.Sandbox.Policy"
    case secretForm = "Tentacle.Security.SecretFormat"
    /// Ours, while a certificate is being changed: the one to come, sealed like the present one; see `CertificateOverlap`.
    case nextCertificate = "Tentacle.Certificate.Next"
    case nextCertificateThumbprint = "Tentacle.Certificate.NextThumbprint"
    case nextCertificateKnownBy = "Tentacle.Certificate.NextKnownBy"

    /// Values that are encrypted in the file (spec 7).
    package static let protected: [ConfigurationKey] = [
        .certificate, .nextCertificate, .proxyPassword, .pollingProxyPassword,
    ]
}

/// The configuration file of one instance: read whole, changed in memory, written back at once.
///
/// The command line changes it inside `update`, which keeps other processes out; the daemon only takes `settings()`.
package struct TentacleConfiguration: Sendable {
    package let path: String
    package var document: SettingsDocument
    /// What is read in place of the file's values; never written.
    package private(set) var environment = EnvironmentSettings()
    private let secrets: SecretProtection

    /// The file holds the private key: nobody but its owner reads it.
    package static let fileMode: UInt32 = 0o600

    package init(path: String, document: SettingsDocument, host: HostFiles) {
        self.path = path
        self.document = document
        self.secrets = SecretProtection(host: host, configurationPath: path)
    }

    /// What the file says, for whoever is going to change it.
    package static func load(from path: String, host: HostFiles) throws(ConfigurationError) -> TentacleConfiguration {
        let bytes = try DurableFile.read(path)
        do throws(ConfigurationError) {
            return TentacleConfiguration(path: path, document: try SettingsDocument(bytes: bytes), host: host)
        } catch {
            throw ConfigurationError(error.code, "Could not read '\(path)': \(error.message).")
        }
    }

    /// What the agent goes by: the file with the values of the environment in front of it (spec 10).
    package static func effective(
        from path: String,
        host: HostFiles
    ) throws(ConfigurationError) -> TentacleConfiguration {
        var configuration = try Self.load(from: path, host: host)
        configuration.environment = try EnvironmentSettings(host: host)
        return configuration
    }

    package func save() throws(ConfigurationError) {
        try DurableFile.write(self.document.encoded(), to: self.path, mode: Self.fileMode)
    }

    /// The present content, safe on disk and waiting for its `commit`.
    package func stage() throws(ConfigurationError) -> StagedFile {
        try StagedFile(self.document.encoded(), for: self.path, mode: Self.fileMode)
    }

    /// Runs `body` with what the file says, while no other process changes it; nothing is saved.
    package static func withLock<Result>(
        on path: String,
        host: HostFiles,
        _ body: (TentacleConfiguration) throws -> Result
    ) throws -> Result {
        try DurableFile.withLock(onDirectoryOf: path) {
            StagedFile.removeLeftovers(of: path)
            return try body(try Self.load(from: path, host: host))
        }
    }

    /// Reads, changes and saves the file while no other process changes it; nothing is written when `change` throws or
    /// changes nothing.
    package static func update<Result>(
        _ path: String,
        host: HostFiles,
        _ change: (inout TentacleConfiguration) throws -> Result
    ) throws -> Result {
        try Self.withLock(on: path, host: host) { current in
            var configuration = current
            let result = try change(&configuration)
            if configuration.document != current.document { try configuration.save() }
            return result
        }
    }

    // MARK: Plain values

    package func text(_ key: ConfigurationKey) -> String? { self.environment[key] ?? self.document[key.rawValue] }

    package mutating func set(_ key: ConfigurationKey, _ value: String?) { self.document[key.rawValue] = value }

    /// Leaves no trace of it, where `set` leaves an empty element.
    package mutating func remove(_ key: ConfigurationKey) { self.document.remove(key.rawValue) }

    package func integer(_ key: ConfigurationKey) throws(ConfigurationError) -> Int? {
        guard let value = self.text(key) else { return nil }
        guard let number = Int32(value.filter { !$0.isWhitespace }) else { throw Self.unparsable(key, "Int32", value) }
        return Int(number)
    }

    package mutating func set(_ key: ConfigurationKey, _ value: Int) { self.set(key, "\(value)") }

    package func boolean(_ key: ConfigurationKey) throws(ConfigurationError) -> Bool? {
        guard let value = self.text(key) else { return nil }
        switch value.lowercased().filter({ !$0.isWhitespace }) {
        case "true": return true
        case "false": return false
        default: throw Self.unparsable(key, "Boolean", value)
        }
    }

    package mutating func set(_ key: ConfigurationKey, _ value: Bool) { self.set(key, value ? "true" : "false") }

    /// Encrypted in the file, as it is in the environment.
    package func secret(_ key: ConfigurationKey) throws(ConfigurationError) -> String? {
        if let plain = self.environment[key] { return plain }
        guard let value = self.text(key) else { return nil }
        return try self.secrets.decrypt(value)
    }

    package mutating func setSecret(_ key: ConfigurationKey, _ value: String?) throws {
        let form = try self.secretForm()
        self.set(key, try value.map { try self.secrets.encrypt($0, form: form) })
    }

    /// In what form secrets are written; both are read.
    ///
    /// Where nobody chose one, that of the secrets that are there: what a newer stock agent has sealed does not go back to
    /// a weaker form.
    package func secretForm() throws(ConfigurationError) -> SecretProtection.Form {
        guard let name = self.text(.secretForm) else {
            return self.sealedSecrets.map(SecretProtection.Form.init(of:)).contains(.versioned) ? .versioned : .legacy
        }
        guard let form = SecretProtection.Form(named: name) else {
            throw Self.unparsable(.secretForm, "SecretFormat", name)
        }
        return form
    }

    private var sealedSecrets: [String] { ConfigurationKey.protected.compactMap { self.document[$0.rawValue] } }

    /// Key files that whoever reads this file's secrets has to read, too.
    package var machineKeyFiles: [String] { Set(self.sealedSecrets.compactMap(self.secrets.keyFile)).sorted() }

    /// Chooses the form, and rewrites every secret that is there.
    package mutating func setSecretForm(_ form: SecretProtection.Form) throws {
        var plain: [(ConfigurationKey, String?)] = []
        for key in ConfigurationKey.protected where self.text(key) != nil {
            plain.append((key, key == .certificate ? try self.certificateText() : try self.secret(key)))
        }
        if form == .legacy { self.remove(.secretForm) } else { self.set(.secretForm, form.rawValue) }
        for (key, value) in plain { self.set(key, try value.map { try self.secrets.encrypt($0, form: form) }) }
    }

    private static func unparsable(_ key: ConfigurationKey, _ type: String, _ value: String) -> ConfigurationError {
        let shown = ConfigurationKey.protected.contains(key) ? "" : " Value was '\(value)'."
        return ConfigurationError(
            .format,
            "Unable to parse configuration key '\(key.rawValue)' as a '\(type)'.\(shown)"
        )
    }

    // MARK: Directories

    /// Nil when the agent has no home yet; relative paths start at the configuration file.
    package var homeDirectory: String? {
        guard let home = self.text(.home) else { return nil }
        return FilePathText.normalized(
            home.hasPrefix("/") ? home : FilePathText.directory(of: self.path) + "/" + home
        )
    }

    // MARK: Trusted servers

    package func trustedServers() throws(ConfigurationError) -> [TrustedServer] {
        guard let text = self.text(.trustedServers) else { return [] }
        let legacy = self.text(.squid).map { "poll://\($0.lowercased())/" }
        do {
            return try JSONDecoder().decode([TrustedServer].self, from: Data(text.utf8)).map { server in
                var server = server
                server.legacySubscriptionID = legacy
                return server
            }
        } catch {
            throw Self.unparsable(.trustedServers, "TrustedOctopusServers", text)
        }
    }

    package mutating func setTrustedServers(_ servers: [TrustedServer]) {
        self.set(.trustedServers, OrderedJSON.array(servers.map(\.json)).compact)
    }

    // MARK: Certificate

    /// Thumbprint as stored; without it the certificate counts as absent.
    ///
    /// The environment can give a certificate alone: then its thumbprint is what counts, not that of another one.
    package var thumbprint: String? {
        if self.environment[.certificate] != nil, self.environment[.certificateThumbprint] == nil {
            return (try? self.identity())?.thumbprint.description
        }
        return self.text(.certificateThumbprint)
    }

    package func identity() throws -> TLSIdentity? {
        let isGiven = self.environment[.certificate] != nil
        guard isGiven || self.thumbprint != nil, let text = try self.certificateText() else { return nil }
        return try self.identity(text, isGiven ? "the environment (TENTACLE_CERTIFICATE)" : "'\(self.path)'")
    }

    /// The certificate in a key of the file.
    func identity(in key: ConfigurationKey) throws -> TLSIdentity? {
        guard let sealed = self.text(key) else { return nil }
        return try self.identity(try self.archive(sealed), "'\(self.path)'")
    }

    private func identity(_ text: String, _ place: String) throws -> TLSIdentity {
        guard let archive = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
            throw ConfigurationError(.secret, "The certificate in \(place) is not base64.")
        }
        do {
            return try TLSIdentity(pkcs12: Array(archive), password: "")
        } catch {
            throw ConfigurationError(
                .secret,
                "The certificate in \(place) cannot be read (\(error)). Run new-certificate or import-certificate."
            )
        }
    }

    /// Base64 of the archive.
    private func certificateText() throws(ConfigurationError) -> String? {
        if let plain = self.environment[.certificate] { return plain }
        guard let sealed = self.text(.certificate) else { return nil }
        return try self.archive(sealed)
    }

    private func archive(_ sealed: String) throws(ConfigurationError) -> String {
        try self.secrets.decrypt(sealed) { text in
            // Every PKCS#12 file is a DER sequence.
            Data(base64Encoded: text, options: .ignoreUnknownCharacters)?.first == 0x30
        }
    }

    /// Puts a certificate in place; a change that was under way is over then.
    package mutating func setIdentity(_ identity: TLSIdentity) throws {
        try self.setIdentity(identity, in: .certificate)
        self.set(.certificateThumbprint, identity.thumbprint.description)
        self.abandonOverlap()
    }

    mutating func setIdentity(_ identity: TLSIdentity, in key: ConfigurationKey) throws {
        let archive = Data(try identity.pkcs12(password: "")).base64EncodedString()
        try self.setSecret(key, archive)
    }
}
