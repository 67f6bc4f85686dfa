/// Values that the environment, or a `.env` file, puts in front of an instance's configuration file (spec
/// tentacle-cli.md 10): for containers, whose configuration is made outside.
///
/// They are read only. What a command writes goes into the file, and none of these with it.
package struct EnvironmentSettings: Sendable {
    /// Turns the layer on.
    package static let variable = "OCTOPUS_CONTRIBUTE_ENV_SETTINGS"

    package static let keys: [(variable: String, key: ConfigurationKey)] = [
        ("OCTOPUS_HOME", .home),
        ("OCTOPUS_USE_DEFAULT_PROXY", .proxyUseDefault),
        ("OCTOPUS_PROXY_HOST", .proxyHost),
        ("OCTOPUS_PROXY_PORT", .proxyPort),
        ("OCTOPUS_PROXY_USER", .proxyUsername),
        ("OCTOPUS_PROXY_PASSWORD", .proxyPassword),
        ("TENTACLE_SERVICE_PORT", .port),
        ("TENTACLE_LISTEN_IP", .listenAddress),
        ("TENTACLE_NO_LISTEN", .noListen),
        ("TENTACLE_TRUSTED_SERVERS", .trustedServers),
        ("TENTACLE_APPLICATION_DIRECTORY", .applicationDirectory),
        ("TENTACLE_CERTIFICATE", .certificate),
        ("TENTACLE_CERTIFICATE_THUMBPRINT", .certificateThumbprint),
        ("TENTACLE_POLLING_USE_DEFAULT_PROXY", .pollingProxyUseDefault),
        ("TENTACLE_POLLING_CUSTOM_PROXY_HOST", .pollingProxyHost),
        ("TENTACLE_POLLING_CUSTOM_PROXY_PORT", .pollingProxyPort),
        ("TENTACLE_POLLING_CUSTOM_PROXY_USER", .pollingProxyUsername),
        ("TENTACLE_POLLING_CUSTOM_PROXY_PASSWORD", .pollingProxyPassword),
    ]

    /// The ones that hold a secret.
    package static let secretVariables: [SecretVariable] = [
        .settingProxyPassword, .settingCertificate, .settingPollingProxyPassword,
    ]

    private let values: [ConfigurationKey: String]

    /// Nothing in front of the file.
    package init() { self.values = [:] }

    /// - Throws: ``ConfigurationError`` for a `.env` file that cannot be read.
    package init(host: HostFiles) throws(ConfigurationError) {
        guard host.variable(Self.variable)?.lowercased() == "true" else {
            self.values = [:]
            return
        }
        let file = try host.programDirectory.map(Self.firstFile(from:)) ?? [:]
        var values: [ConfigurationKey: String] = [:]
        for (variable, key) in Self.keys { values[key] = host.variable(variable) ?? file[variable] }
        self.values = values
    }

    package subscript(key: ConfigurationKey) -> String? { self.values[key] }

    package var isEmpty: Bool { self.values.isEmpty }

    /// What to say of passwords that stand where other processes of the user can read them.
    package var warnings: [String] {
        [ConfigurationKey.proxyPassword, .pollingProxyPassword].filter { self.values[$0] != nil }.map { key in
            let variable = Self.keys.first { $0.key == key }?.variable ?? key.rawValue
            return "The proxy password comes from the environment (\(variable)), where other programs of this user can "
                + "read it. Better stored by the proxy and polling-proxy commands."
        }
    }

    // MARK: .env

    /// The first `.env` found on the way from a folder up to the root; empty when there is none.
    private static func firstFile(from directory: String) throws(ConfigurationError) -> [String: String] {
        var folder = directory
        while true {
            let path = (folder == "/" ? "" : folder) + "/.env"
            if DurableFile.exists(path) { return try Self.parse(try DurableFile.read(path), path: path) }
            guard folder != "/", folder.hasPrefix("/") else { return [:] }
            folder = FilePathText.directory(of: folder)
        }
    }

    /// `KEY=VALUE`, comments and blank lines; keys of other programs are left alone.
    ///
    /// - Throws: ``ConfigurationError`` that names the first line of another form, or says that it is no text.
    package static func parse(_ bytes: [UInt8], path: String) throws(ConfigurationError) -> [String: String] {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(.format, "The file '\(path)' is not UTF-8 text.")
        }
        var values: [String: String] = [:]
        let lines = text.trimmingPrefix("\u{FEFF}").split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let line = line.trimmed
            guard let first = line.first, first != "#" else { continue }
            guard let sign = line.firstIndex(of: "=") else {
                throw ConfigurationError(
                    .format,
                    "Line \(index + 1) is not formatted correctly: '\(path)' may hold lines of the form KEY=VALUE, "
                        + "comments that begin with #, and empty lines."
                )
            }
            let value = line[line.index(after: sign)...].trimmed
            if !value.isEmpty { values[String(line[..<sign].trimmed)] = String(value) }
        }
        return values
    }
}
