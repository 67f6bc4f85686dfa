import AgentConfiguration

/// What `proxy` and `polling-proxy` do, each to its own keys (spec tentacle-cli.md 11.1).
struct ProxyChange {
    static let definitions = [
        OptionDefinition(
            "proxyEnable",
            kind: .boolean,
            help: "Whether to use a proxy; without this option none is used"
        ),
        OptionDefinition("proxyUsername", help: "Username to use when authenticating with the proxy"),
        OptionDefinition(
            "proxyPassword",
            help: "Password to use when authenticating with the proxy. \(Self.password.advice)",
            isSensitive: true
        ),
        Self.password.fileDefinition,
        OptionDefinition(
            "proxyHost",
            help:
                "The proxy host to use. Leave empty for the default: what the environment says for web requests, none for "
                + "polling"
        ),
        OptionDefinition(
            "proxyPort",
            kind: .integerOrBlank,
            help:
                "The proxy port to use in conjunction with the host set with proxyHost; the default is "
                + "\(ProxySettings.defaultPort)"
        ),
    ]

    private static let password = SecretOption.proxyPassword

    /// One of the two proxies in a configuration file.
    struct Keys {
        var useDefault: ConfigurationKey
        var host: ConfigurationKey
        var port: ConfigurationKey
        var username: ConfigurationKey
        var password: ConfigurationKey

        /// Handed to scripts, and used for the REST calls of a listening agent.
        static let scripts = Keys(
            useDefault: .proxyUseDefault,
            host: .proxyHost,
            port: .proxyPort,
            username: .proxyUsername,
            password: .proxyPassword
        )
        /// Between the agent and the servers that it polls.
        static let polling = Keys(
            useDefault: .pollingProxyUseDefault,
            host: .pollingProxyHost,
            port: .pollingProxyPort,
            username: .pollingProxyUsername,
            password: .pollingProxyPassword
        )
    }

    /// A value to store, nil to clear it.
    private enum Step {
        case username(String?)
        case password(String?)
        case port(Int, message: String?)
        case remark(String)
        case use(host: String?, useDefault: Bool)
    }

    private let options: ParsedOptions
    private let keys: Keys

    init(_ options: ParsedOptions, _ keys: Keys) {
        self.options = options
        self.keys = keys
    }

    func run(_ context: CommandContext) throws {
        let instance = try context.instance(self.options.selector)
        // Encrypting a password can make a key file: by then every value has to be right.
        let steps = try self.steps(context)
        let messages = try TentacleConfiguration.update(instance.configurationPath, host: context.host) {
            configuration in
            try steps.compactMap { try self.apply($0, to: &configuration) }
        }
        for message in messages { context.console.info(message) }
    }

    /// In command-line order, whether and which proxy is used at last.
    private func steps(_ context: CommandContext) throws -> [Step] {
        var steps: [Step] = []
        var host: String?
        for occurrence in self.options.occurrences {
            let value = occurrence.value
            let isBlank = value.allSatisfy(\.isWhitespace)
            switch occurrence.name {
            case "proxyUsername": steps.append(.username(isBlank ? nil : value))
            case "proxyPassword": steps.append(.password(isBlank ? nil : value))
            case "proxyHost":
                let parsed = isBlank ? nil : try ProxyHost(value)
                host = parsed?.name
                if let port = parsed?.ignoredPort, !self.options.isSet("proxyPort") {
                    steps.append(.remark("The port \(port) of --proxyHost is not used. Give it as --proxyPort=\(port)"))
                }
            case "proxyPort":
                let port = isBlank ? ProxySettings.defaultPort : OptionValue.integer(value) ?? 0
                guard (1...65535).contains(port) else {
                    throw CommandError("The port \(value) of --proxyPort is not valid. Give a port from 1 to 65535.")
                }
                steps.append(.port(port, message: host.map { _ in "Proxy port set to: \(port)" }))
            default: break
            }
        }
        let isEnabled = self.options.boolean("proxyEnable") ?? false
        if let password = try self.unspokenPassword(usesHost: isEnabled && host != nil, context) {
            steps.append(.password(password))
        }
        return steps + [.use(host: isEnabled ? host : nil, useDefault: isEnabled && host == nil)]
    }

    /// The password that is not on the command line; that of the environment is for a proxy that is used only.
    private func unspokenPassword(usesHost: Bool, _ context: CommandContext) throws -> String? {
        let isInFile = self.options.isSet(Self.password.fileName)
        guard isInFile || usesHost && !self.options.isSet(Self.password.name) else { return nil }
        return try Self.password.value(self.options, context)
    }

    private func apply(_ step: Step, to configuration: inout TentacleConfiguration) throws -> String? {
        switch step {
        case .username(let name):
            configuration.set(self.keys.username, name)
            return name.map { "Proxy username set to: \($0)" } ?? "Proxy username cleared"
        case .password(let password):
            try configuration.setSecret(self.keys.password, password)
            return password == nil ? "Proxy password cleared" : "Proxy password set to: *******"
        case .port(let port, let message):
            configuration.set(self.keys.port, port)
            return message
        case .remark(let text): return text
        case .use(let host, let useDefault):
            configuration.set(self.keys.host, host)
            configuration.set(self.keys.useDefault, useDefault)
            if let host { return "Using custom proxy at: \(host)" }
            return useDefault ? "Using Internet Explorer Proxy" : "Proxy use is disabled"
        }
    }
}

/// `proxy.example.com`, or the host of a whole address, of which nothing else counts.
private struct ProxyHost {
    var name: String
    /// Written behind the name.
    var ignoredPort: Int?

    init(_ text: String) throws(CommandError) {
        if LiteralAddress.isValid(text) {
            self.name = text
            return
        }
        let isWhole = text.contains("://")
        guard let address = NetworkAddress(isWhole ? text : "http://\(text)"), isWhole || address.path == "/" else {
            throw CommandError(
                "The proxy host '\(text)' is not valid. Give a host name or an IP address, e.g. "
                    + "--proxyHost=proxy.example.com"
            )
        }
        // As it is typed where it stands alone.
        self.name = text.lowercased() == address.host ? text : address.host
        let isUsual = address.port == NetworkAddress.defaultPort(of: address.scheme) || address.port < 0
        self.ignoredPort = isUsual ? nil : address.port
    }
}
