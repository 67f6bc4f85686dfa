import AgentConfiguration
import OctopusClient

/// The options of every command that talks to a server's API (spec tentacle-cli.md 12.1), checked.
struct ServerOptions: Sendable {
    static let definitions = [
        OptionDefinition("server", help: "The Octopus Server - e.g., 'http://octopus'"),
        OptionDefinition(
            "apiKey",
            "api-key",
            help: "Your API key; you can get this from the Octopus web portal. Better given by --api-key-file or the "
                + "environment variable OCTOPUS_API_KEY: command lines can be seen by every user of the host",
            isSensitive: true
        ),
        OptionDefinition(
            "api-key-file",
            help: "File that holds your API key and nothing else; - for standard input"
        ),
        OptionDefinition(
            "bearerToken",
            help: "A Bearer Token which has access to your Octopus instance",
            isSensitive: true
        ),
        OptionDefinition("username", "u", "user", help: "If not using API keys, your username"),
        OptionDefinition("password", "p", help: "If not using API keys, your password", isSensitive: true),
        OptionDefinition(
            "ignoreSslErrors",
            kind: .flag,
            help:
                "Set this flag if your Octopus Server uses HTTPS but the certificate is not trusted on this machine. Any "
                + "certificate errors will be ignored. WARNING: this option may create a security vulnerability."
        ),
        OptionDefinition(
            "server-timeout",
            kind: .integer,
            help: "Seconds to keep trying while the server cannot be reached. Defaults to 60."
        ),
    ]

    static let keyVariable = "OCTOPUS_API_KEY"

    let address: ServerAddress
    /// As given, for its host name.
    let addressText: String
    let ignoresCertificateErrors: Bool
    private let credential: OctopusCredential
    private let patience: Duration

    /// Checks in the order of the spec; a key in the environment counts only when nothing else is given.
    init(_ options: ParsedOptions, _ context: CommandContext) throws {
        let credentials = try Self.credentials(options, context)
        guard credentials.count < 2 else {
            throw CommandError(
                "Please specify a Bearer Token, API Key or username and password - not multiple."
            )
        }
        if case .password(let username, let password) = credentials.first {
            guard !password.isEmpty else {
                throw CommandError("Please specify a password for the specified user account")
            }
            guard !username.isEmpty else {
                throw CommandError("Please specify a username for the specified password")
            }
        }
        guard let server = options.text("server") else {
            throw CommandError("Please specify an Octopus Server, e.g., --server=http://your-octopus-server")
        }
        let fromEnvironment = context.host.variable(Self.keyVariable).map { OctopusCredential.apiKey($0) }
        guard let credential = credentials.first ?? fromEnvironment else {
            throw CommandError(
                "Please specify an Octopus API key, a Bearer Token or a username and password. You can get an API key from the "
                    + "Octopus web portal. E.g., --apiKey=ABC1234"
            )
        }
        self.address = try ServerAddress(server)
        self.addressText = server
        self.credential = try Self.checked(credential)
        self.ignoresCertificateErrors = options.isSet("ignoreSslErrors")
        self.patience = options.integer("server-timeout").map { .seconds(max(0, $0)) } ?? OctopusSession.defaultPatience
    }

    private static func credentials(_ options: ParsedOptions, _ context: CommandContext) throws -> [OctopusCredential] {
        var result: [OctopusCredential] = []
        if let token = options.text("bearerToken") { result.append(.bearerToken(token)) }
        if let key = options.text("apiKey") { result.append(.apiKey(key)) }
        if let file = options.text("api-key-file") { result.append(.apiKey(try Self.key(in: file, context))) }
        let username = options.text("username")
        let password = options.text("password")
        if username != nil || password != nil {
            result.append(.password(username: username ?? "", password: password ?? ""))
        }
        return result
    }

    private static func key(in file: String, _ context: CommandContext) throws -> String {
        let key: String
        do throws(ConfigurationError) {
            key = try SecretFile.read(file, context).filter { !$0.isWhitespace && $0 != "\u{FEFF}" }
        } catch {
            throw CommandError("\(error.message) Give the file that holds the API key as --api-key-file.")
        }
        guard !key.isEmpty else { throw CommandError("The API key file '\(file)' is empty.") }
        return key
    }

    /// A key or token goes into a request header: a line end in it would be a header of its own.
    private static func checked(_ credential: OctopusCredential) throws(CommandError) -> OctopusCredential {
        switch credential {
        case .apiKey(let text), .bearerToken(let text):
            guard text.unicodeScalars.allSatisfy({ $0.isASCII && $0.value > 0x20 && $0.value != 0x7F }) else {
                throw CommandError(
                    "The API key contains blanks or characters that no key has. Check how it was copied."
                )
            }
        case .password: break
        }
        return credential
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
        let console = context.console
        session.onWaiting = { console.info($0) }
        return session
    }

    func transportOptions(_ proxy: TransportOptions.Proxy) -> TransportOptions {
        var options = TransportOptions()
        options.proxy = proxy
        options.acceptsAnyCertificate = self.ignoresCertificateErrors
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
