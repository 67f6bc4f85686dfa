import AgentConfiguration
import OctopusClient

/// The options of every command that talks to a server's API (spec tentacle-cli.md 12.1), checked.
struct ServerOptions: Sendable {
    static let definitions = [
        OptionDefinition("server", help: "The Octopus Server - e.g., 'http://octopus'"),
        OptionDefinition(
            "apiKey",
            "api-key",
            help: "Your API key; you can get this from the Octopus web portal. \(Self.apiKey.advice)",
            isSensitive: true
        ),
        Self.apiKey.fileDefinition,
        OptionDefinition(
            "bearerToken",
            "bearer-token",
            help: "A Bearer Token which has access to your Octopus instance. \(Self.bearerToken.advice)",
            isSensitive: true
        ),
        Self.bearerToken.fileDefinition,
        OptionDefinition("username", "u", "user", help: "If not using API keys, your username"),
        OptionDefinition(
            "password",
            "p",
            help: "If not using API keys, your password. \(Self.password.advice)",
            isSensitive: true
        ),
        Self.password.fileDefinition,
        OptionDefinition(
            "ignoreSslErrors",
            kind: .flag,
            help:
                "Set this flag if your Octopus Server uses HTTPS but the certificate is not trusted on this machine. Any "
                + "certificate errors will be ignored. WARNING: this option may create a security vulnerability."
        ),
        OptionDefinition(
            "server-ca",
            "serverCa",
            help: "File with the certificates, in PEM form, of the authorities to trust for the connection to the "
                + "Octopus Server, instead of those of this machine"
        ),
        OptionDefinition(
            "server-timeout",
            kind: .integer,
            help: "Seconds to keep trying while the server cannot be reached. Defaults to 60."
        ),
    ]

    static let apiKey = SecretOption(
        name: "apiKey",
        spelling: "apiKey",
        fileName: "api-key-file",
        variable: .apiKey,
        noun: "API key",
        hasBlanks: false
    )
    static let bearerToken = SecretOption(
        name: "bearerToken",
        spelling: "bearerToken",
        fileName: "bearer-token-file",
        variable: .bearerToken,
        noun: "bearer token",
        hasBlanks: false
    )
    static let password = SecretOption(
        name: "password",
        spelling: "password",
        fileName: "password-file",
        variable: .password
    )

    let address: ServerAddress
    /// As given, for its host name.
    let addressText: String
    private let credential: OctopusCredential
    private let patience: Duration
    private let ignoresCertificateErrors: Bool
    private let authorities: String?

    /// Whether anything of it is on the command line; the environment alone asks for no server.
    static func isGiven(_ options: ParsedOptions) -> Bool {
        options.text("server") != nil || Self.hasCredential(options)
    }

    static func hasCredential(_ options: ParsedOptions) -> Bool {
        options.text("username") != nil
            || [Self.apiKey, Self.bearerToken, Self.password].contains { $0.isGiven(options) }
    }

    /// Checks in the order of the spec; what is in the environment counts only when nothing else is given.
    init(_ options: ParsedOptions, _ context: CommandContext) throws {
        try Self.checkCombinations(options, context)
        guard let server = options.text("server") else {
            throw CommandError("Please specify an Octopus Server, e.g., --server=http://your-octopus-server")
        }
        guard let credential = try Self.credential(options, context) else {
            throw CommandError(
                "Please specify an Octopus API key, a Bearer Token or a username and password. You can get an API key from the "
                    + "Octopus web portal. E.g., --apiKey=ABC1234"
            )
        }
        self.address = try ServerAddress(server)
        self.addressText = server
        self.credential = credential
        self.ignoresCertificateErrors = options.isSet("ignoreSslErrors")
        self.authorities = try Self.authorities(options, context)
        self.patience = options.integer("server-timeout").map { .seconds(max(0, $0)) } ?? OctopusSession.defaultPatience
    }

    private static func checkCombinations(_ options: ParsedOptions, _ context: CommandContext) throws(CommandError) {
        let hasUsername = options.text("username") != nil
        let hasPassword = Self.password.isGiven(options)
        let kinds = [Self.bearerToken.isGiven(options), Self.apiKey.isGiven(options), hasUsername || hasPassword]
        guard kinds.count(where: \.self) < 2 else {
            throw CommandError(
                "Please specify a Bearer Token, API Key or username and password - not multiple."
            )
        }
        if hasUsername, !hasPassword, context.host.variable(Self.password.variable) == nil {
            throw CommandError("Please specify a password for the specified user account")
        }
        if hasPassword, !hasUsername { throw CommandError("Please specify a username for the specified password") }
    }

    private static func credential(_ options: ParsedOptions, _ context: CommandContext) throws -> OctopusCredential? {
        if let username = options.text("username") {
            let password = try Self.password.value(options, context) ?? ""
            guard !password.isEmpty else {
                throw CommandError("Please specify a password for the specified user account")
            }
            return .password(username: username, password: password)
        }
        let keys = [(Self.apiKey, OctopusCredential.apiKey), (Self.bearerToken, OctopusCredential.bearerToken)]
        // What is given comes before what is only around.
        for (option, make) in keys where option.isGiven(options) {
            return make(try Self.checked(try option.value(options, context) ?? "", option.noun))
        }
        for (option, make) in keys {
            if let text = context.host.variable(option.variable) { return make(try Self.checked(text, option.noun)) }
        }
        return nil
    }

    /// A key or token goes into a request header: a line end in it would be a header of its own.
    private static func checked(_ text: String, _ noun: String) throws(CommandError) -> String {
        guard text.unicodeScalars.allSatisfy({ $0.isASCII && $0.value > 0x20 && $0.value != 0x7F }) else {
            throw CommandError(
                "The \(noun) contains blanks or characters that no \(noun) has. Check how it was copied."
            )
        }
        return text
    }

    /// The file itself is libcurl's to read; here only whether it can be meant.
    private static func authorities(_ options: ParsedOptions, _ context: CommandContext) throws -> String? {
        guard let file = options.text("server-ca") else { return nil }
        guard !options.isSet("ignoreSslErrors") else {
            throw CommandError("Please specify --server-ca, or --ignoreSslErrors - not both.")
        }
        let path = context.host.absolute(file)
        let text: String
        do throws(ConfigurationError) {
            text = String(decoding: try DurableFile.read(path), as: UTF8.self)
        } catch {
            throw CommandError(
                "\(error.message) Give the file with the certificates of the authorities as --server-ca."
            )
        }
        guard text.contains("-----BEGIN CERTIFICATE-----") else {
            throw CommandError(
                "The file '\(path)' holds no certificate in PEM form. Give the file with the certificates of the authorities "
                    + "as --server-ca; a DER file becomes one with: openssl x509 -inform DER -in FILE"
            )
        }
        return path
    }

    func session(_ context: CommandContext, proxy: TransportOptions.Proxy) -> OctopusSession {
        let session = OctopusSession(
            address: self.address,
            credential: self.credential,
            transport: context.transport,
            options: self.transportOptions(proxy),
            userAgent: "tentacle/\(ProductVersion.text) (Linux)",
            pause: context.pause
        )
        session.patience = self.patience
        session.describeCertificate = CertificateText.description
        let console = context.console
        session.onWaiting = { console.info($0) }
        return session
    }

    func transportOptions(_ proxy: TransportOptions.Proxy) -> TransportOptions {
        var options = TransportOptions()
        options.proxy = proxy
        options.acceptsAnyCertificate = self.ignoresCertificateErrors
        options.authorities = self.authorities
        return options
    }
}

extension ProxySettings {
    /// For REST calls, where the default means what the environment says (spec 11.3).
    var forRequests: TransportOptions.Proxy {
        switch self {
        case .systemDefault: .fromEnvironment
        case .direct: .direct
        case .custom(let host, let port, let username, let password):
            .custom(host: host, port: port, username: username, password: password)
        }
    }

    /// For deregistration and the connectivity check, where the default is no proxy.
    var forDirectRequests: TransportOptions.Proxy { self == .systemDefault ? .direct : self.forRequests }
}
