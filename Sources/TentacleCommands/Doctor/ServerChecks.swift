import AgentConfiguration
import FoundationEssentials
import LauncherProtocol
import OctopusClient
import SecureTransport

/// Whether those who are to reach each other do: names, ports, TLS, thumbprints, clocks.
struct ServerChecks {
    let configuration: TentacleConfiguration
    let context: CommandContext

    private static let patience = Duration.seconds(10)
    /// Certificates, tokens and logs bear with a minute; with more, the order of events is lost.
    private static let greatestSkewSeconds: Int64 = 60

    /// For each polled server once, for the own port, and for the web address of a server where one is given.
    func findings(web: String?) -> [Finding] {
        var findings = self.proxies()
        // As the agent does: one set of connections for an address and a subscription, whatever thumbprints are expected.
        let trusted = (try? self.configuration.trustedServers()) ?? []
        for (_, servers) in PollingContact.all(in: trusted) {
            findings += self.polledServer(servers[0].address ?? "", servers.map(\.thumbprint))
        }
        for server in trusted where server.communicationStyle == .polling {
            guard server.address == nil || server.effectiveSubscriptionID == nil else { continue }
            findings.append(self.incomplete(server))
        }
        findings.append(self.listener())
        if let web { findings += self.webAddress(web) }
        return findings
    }

    // MARK: Proxies

    private func proxies() -> [Finding] {
        let proxies = [
            ("proxy", "tentacle proxy", try? self.configuration.proxy()),
            ("polling proxy", "tentacle polling-proxy", try? self.configuration.pollingProxy()),
        ]
        return proxies.compactMap { check, command, settings in
            guard case .custom(let host, let port, let username, _) = settings else { return nil }
            let credentials = username.map { ", as \($0)" } ?? ""
            if let failure = self.unresolved(host) {
                return .fail(check, failure, next: "Correct it: \(command) --proxyEnable=true --proxyHost=HOST")
            }
            return .pass(check, "\(host):\(port)\(credentials)")
        }
    }

    private func unresolved(_ host: String) -> String? {
        let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        guard let reason = self.context.resolveName(name) else { return nil }
        return "The name \(name) is not known: \(reason)"
    }

    // MARK: Polling

    private func incomplete(_ server: TrustedServer) -> Finding {
        let lacks = server.address == nil ? "address" : "subscription"
        return .fail(
            "server",
            "The entry of the polled server \(server.address ?? server.thumbprint) has no \(lacks): the agent leaves it out",
            next: "Register again: tentacle register --comms-style=TentacleActive --force"
        )
    }

    private func polledServer(_ text: String, _ thumbprints: [String]) -> [Finding] {
        let check = "server"
        guard let address = NetworkAddress(text) else {
            return [
                .fail(
                    check,
                    "'\(text)' is no address",
                    next: "tentacle server-comms --style=TentacleActive --host=HOST"
                )
            ]
        }
        // wss:// is polled over web sockets, which start as https.
        let url = "https://\(address.host):\(address.port)/handshake"
        let proxy = (try? self.configuration.pollingProxy().forDirectRequests) ?? .direct
        if proxy == .direct, let failure = self.unresolved(address.host) {
            return [.fail(check, "\(text): \(failure)", next: "Check /etc/resolv.conf and the name in the address")]
        }
        let response: HTTPResponse
        do throws(TransportError) {
            response = try self.context.transport.send(HTTPRequest("POST", url), options: self.options(proxy))
        } catch {
            return [.fail(check, "\(text): \(error.message)", next: Self.advice(error, address.port, proxy))]
        }
        var findings = [self.thumbprint(of: response, text, expecting: thumbprints)]
        if let skew = self.clock(response, text) { findings.append(skew) }
        return findings
    }

    private func options(_ proxy: TransportOptions.Proxy) -> TransportOptions {
        var options = TransportOptions()
        options.proxy = proxy
        // Trust is by thumbprint, which is compared below.
        options.acceptsAnyCertificate = true
        options.showsCertificate = true
        options.connectTimeout = Self.patience
        options.requestTimeout = Self.patience
        return options
    }

    private static func advice(_ error: TransportError, _ port: Int, _ proxy: TransportOptions.Proxy) -> String {
        if case .custom(let host, let proxyPort, _, _) = proxy, error.code != .tls {
            return "See that the proxy \(host):\(proxyPort) runs, and that it lets this machine through to port "
                + "\(port); tentacle polling-proxy sets another"
        }
        return switch error.code {
        case .unreachable: "Open port \(port) in the firewalls between here and there, and see that the server runs"
        case .timedOut: "Something drops what is sent to port \(port): a firewall, most likely"
        case .tls: "Something between here and there speaks no TLS 1.2, or opens it: no proxy may terminate it"
        case .invalidURL, .other: "See the message of the network library"
        }
    }

    private func thumbprint(of response: HTTPResponse, _ address: String, expecting thumbprints: [String]) -> Finding {
        let check = "server"
        guard let shown = response.certificate.flatMap(Thumbprint.init(certificatePEM:)) else {
            return .fail(
                check,
                "\(address) showed no certificate",
                next: "See that the port is the one for polling, 10943"
            )
        }
        let place = response.address.map { " (\($0))" } ?? ""
        guard thumbprints.contains(where: { Thumbprint($0) == shown }) else {
            let old = thumbprints.first ?? ""
            return .fail(
                check,
                "\(address)\(place) shows the certificate \(shown), and \(thumbprints.joined(separator: " or ")) is trusted",
                next: "If the server's certificate was changed: tentacle update-trust --oldThumbprint=\(old) "
                    + "--newThumbprint=\(shown). Else somebody opens the connection"
            )
        }
        return .pass(check, "\(address)\(place) answers, with the trusted certificate \(shown)")
    }

    private func clock(_ response: HTTPResponse, _ address: String) -> Finding? {
        guard let date = response.date else { return nil }
        let skew = self.context.now().sinceEpoch / 1_000_000 - Int64(date)
        let text = "\(abs(skew)) s \(skew < 0 ? "behind" : "ahead of") \(address)"
        guard abs(skew) > Self.greatestSkewSeconds else { return .pass("server clock", "This clock is \(text)") }
        return .fail(
            "server clock",
            "This clock is \(text)",
            next: "Set it: timedatectl set-ntp true, or chrony; then look at the server's"
        )
    }

    // MARK: Listening

    private func listener() -> Finding {
        let check = "port"
        guard let noListen = try? self.configuration.boolean(.noListen) ?? false,
            let port = try? self.configuration.integer(.port) ?? AgentSettings.defaultPort
        else { return .skip(check, "The configuration cannot be read") }
        guard !noListen else { return .skip(check, "The agent does not listen") }
        let host = self.configuration.text(.listenAddress) ?? "127.0.0.1"
        let url = "https://\(host.contains(":") ? "[\(host)]" : host):\(port)/"
        do throws(TransportError) {
            let response = try self.context.transport.send(HTTPRequest("GET", url), options: self.options(.direct))
            let shown = response.certificate.flatMap(Thumbprint.init(certificatePEM:))
            let own = self.configuration.thumbprint.flatMap { Thumbprint($0) }
            guard let shown, shown == own else {
                return self.otherListener(
                    "Somebody else listens on port \(port), or an agent that was not restarted since its certificate was "
                        + "changed (it shows \(shown?.description ?? "no certificate"))",
                    port
                )
            }
            return .pass(check, "The agent listens on \(host):\(port), with its own certificate")
        } catch {
            guard error.code != .tls else {
                return self.otherListener("Somebody else listens on port \(port), without TLS: \(error.message)", port)
            }
            return .fail(
                check,
                "Nobody answers on \(host):\(port): \(error.message)",
                next: "Start the agent; its log says why it does not listen"
            )
        }
    }

    private func otherListener(_ detail: String, _ port: Int) -> Finding {
        .fail(
            "port",
            detail,
            next: "ss -ltnp 'sport = :\(port)' names it; restart the agent, or give it another port with "
                + "tentacle configure --port"
        )
    }

    // MARK: The server's web address

    /// With the certificates that this host believes: what `register` will see.
    private func webAddress(_ text: String) -> [Finding] {
        let check = "web address"
        let address: ServerAddress
        do throws(OctopusError) {
            address = try ServerAddress(text)
        } catch {
            return [.fail(check, error.message, next: "Give it as --server=https://octopus.example.com")]
        }
        var options = TransportOptions()
        options.proxy = (try? self.configuration.proxy().forRequests) ?? .fromEnvironment
        options.connectTimeout = Self.patience
        options.requestTimeout = Self.patience
        do throws(TransportError) {
            let response = try self.context.transport.send(
                HTTPRequest("GET", address.resolve("~/api"), headers: [("Accept", "application/json")]),
                options: options
            )
            let version = (try? JSONValue(bytes: response.body))?.text("Version")
            guard response.status == 200, let version else {
                return [
                    .fail(
                        check,
                        "\(text) answers with status \(response.status), and not as an Octopus Server does",
                        next: "Give the address of its web portal"
                    )
                ]
            }
            return [.pass(check, "\(text) is Octopus Server \(version)")]
                + [self.clock(response, text)].compactMap(\.self)
        } catch {
            let advice =
                error.code == .tls
                ? "Add its authority to /usr/local/share/ca-certificates and run update-ca-certificates"
                : "See that the address is right, and that a proxy is set if one is needed"
            return [.fail(check, "\(text): \(error.message)", next: advice)]
        }
    }
}

extension Thumbprint {
    /// Of a certificate as PEM; nil when it is none.
    init?(certificatePEM text: String) {
        guard let der = CertificateText.der(pem: text) else { return nil }
        self.init(certificateDER: der)
    }
}

/// Certificates as libcurl shows them.
enum CertificateText {
    static func der(pem text: String) -> [UInt8]? {
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("-----") }
        guard let der = Data(base64Encoded: lines.joined()), !der.isEmpty else { return nil }
        return Array(der)
    }

    /// `'CN=octopus' with the thumbprint AB…`; nil for what is no certificate.
    static func description(pem text: String) -> String? {
        guard let der = Self.der(pem: text) else { return nil }
        let certificate = PeerCertificate(der: der)
        return "'\(ReadableText.escapingControls(certificate.subject))' with the thumbprint \(certificate.thumbprint)"
    }
}
