/// Who is asking.
package enum OctopusCredential: Hashable, Sendable {
    case apiKey(String)
    case bearerToken(String)
    case password(username: String, password: String)
}

/// A conversation with one server as one user; the root document is read once.
///
/// Not shared between threads: a command asks one question after the other.
package final class OctopusSession {
    /// Without an answer for this long, the server counts as not there (spec 12.2).
    package static let defaultPatience = Duration.seconds(60)

    package let address: ServerAddress
    /// How long the first request is repeated.
    package var patience = OctopusSession.defaultPatience
    /// More than a whole registration needs: each page of a collection may be as large as one answer.
    package var maximumBytes = 2 * CurlTransport.maximumResponseBytes
    /// Told once, when the first try failed and more follow.
    package var onWaiting: (String) -> Void = { _ in }
    /// Told what is asked or said next, for those who want to see it.
    package var onStep: (String) -> Void = { _ in }

    /// Subject and thumbprint of a certificate in PEM form; nil for what is none.
    package var describeCertificate: (String) -> String? = { _ in nil }

    private let credential: OctopusCredential
    private let transport: any HTTPTransport
    private let options: TransportOptions
    private let userAgent: String
    private let pause: (Duration) -> Void
    private var cookies: [String: String] = [:]
    private var cachedRoot: JSONValue?
    private var receivedBytes = 0

    /// More pages than any collection has: a server whose last page has a next one would never let go.
    package static let maximumPages = 1000
    private static let retryPause = Duration.seconds(1)
    private static let busyRetryPause = Duration.milliseconds(500)
    private static let shortestTry = Duration.seconds(10)

    package init(
        address: ServerAddress,
        credential: OctopusCredential,
        transport: any HTTPTransport,
        options: TransportOptions,
        userAgent: String,
        pause: @escaping (Duration) -> Void
    ) {
        self.address = address
        self.credential = credential
        self.transport = transport
        self.options = options
        self.userAgent = userAgent
        self.pause = pause
    }

    // MARK: Documents

    /// `GET /api`, repeated while the server starts; with a password, signs in.
    package func root() throws(OctopusError) -> JSONValue {
        if let cachedRoot { return cachedRoot }
        let root = try self.document(try self.patiently("~/api"))
        guard Self.speaksOurs(root.text("ApiVersion")) else {
            throw OctopusError(
                .unreadable,
                "The server at \(self.address) did not answer as an Octopus Server (its API version is "
                    + "\(root.text("ApiVersion") ?? "missing")). Check the server URL and try again."
            )
        }
        try self.signInIfNeeded(root)
        self.cachedRoot = root
        return root
    }

    /// 3.0.0 to 3.0.99 (spec 12.2).
    private static func speaksOurs(_ version: String?) -> Bool {
        let parts = (version ?? "").split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        return parts.prefix(2) == [3, 0] && (parts.count < 3 || (0...99).contains(parts[2] ?? -1))
    }

    package func get(_ link: String, _ parameters: [String: String] = [:]) throws(OctopusError) -> JSONValue {
        try self.document(try self.send("GET", link, parameters))
    }

    package func send(_ method: String, _ link: String, body: JSONValue) throws(OctopusError) -> JSONValue {
        try self.document(try self.send(method, link, [:], body: body))
    }

    package func delete(_ link: String) throws(OctopusError) {
        _ = try self.checked(try self.send("DELETE", link, [:]))
    }

    /// All items of a paged collection, or of a bare array.
    package func items(_ link: String, _ parameters: [String: String] = [:]) throws(OctopusError) -> [JSONValue] {
        var page = try self.get(link, parameters)
        if let all = page.items { return all }
        var result: [JSONValue] = []
        for _ in 0..<Self.maximumPages {
            guard let items = page["Items"]?.items, !items.isEmpty else { return result }
            result += items
            guard let next = page.link("Page.Next") else { return result }
            page = try self.get(next)
        }
        throw OctopusError(
            .unreadable,
            "The server at \(self.address) answers \(LinkTemplate.expand(link)) with more than \(Self.maximumPages) "
                + "pages. Check the server URL, and what stands between."
        )
    }

    // MARK: Requests

    private func patiently(_ link: String) throws(OctopusError) -> HTTPResponse {
        let clock = ContinuousClock()
        var waited = Duration.zero
        var options = self.options
        while true {
            let start = clock.now
            // A server that takes the question and never answers is one that is not there, too.
            options.requestTimeout = min(self.options.requestTimeout, max(self.patience - waited, Self.shortestTry))
            let failure: OctopusError
            var delay = Self.retryPause
            do throws(TransportError) {
                let response = try self.exchange("GET", self.address.resolve(link), body: nil, options)
                guard response.status == 503 else { return response }
                failure = OctopusError(.unreachable, self.unreachable("it answers that it is not available (503)"))
                delay = Self.busyRetryPause
            } catch {
                failure = self.explained(error)
                guard failure.code == .unreachable else { throw failure }
            }
            let isFirst = waited == .zero
            waited += clock.now - start + delay
            guard waited <= self.patience else { throw failure }
            if isFirst {
                self.onWaiting("\(failure.message) Trying again for up to \(self.patience.components.seconds) seconds.")
            }
            self.pause(delay)
        }
    }

    private func send(
        _ method: String,
        _ link: String,
        _ parameters: [String: String],
        body: JSONValue? = nil
    ) throws(OctopusError) -> HTTPResponse {
        let bytes: [UInt8]?
        do {
            bytes = try body?.encoded()
        } catch {
            throw OctopusError(.server, "The request could not be put together: \(error).")
        }
        let url = self.address.resolve(LinkTemplate.expand(link, parameters))
        guard self.address.isAuthority(of: url) else {
            throw OctopusError(
                .unreadable,
                "The server at \(self.address) gives a link that leads elsewhere: \(Self.readable(url)). The credentials are "
                    + "not sent there. Check the server URL, and what stands between."
            )
        }
        do throws(TransportError) {
            return try self.exchange(method, url, body: bytes, self.options)
        } catch {
            throw self.explained(error)
        }
    }

    private func exchange(
        _ method: String,
        _ url: String,
        body: [UInt8]?,
        _ options: TransportOptions
    ) throws(TransportError) -> HTTPResponse {
        var headers = [("Accept", "application/json"), ("User-Agent", self.userAgent)]
        switch self.credential {
        case .apiKey(let key): headers.append(("X-Octopus-ApiKey", key))
        case .bearerToken(let token): headers.append(("Authorization", "Bearer \(token)"))
        case .password:
            if !self.cookies.isEmpty {
                let pairs = self.cookies.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                headers.append(("Cookie", pairs.joined(separator: "; ")))
            }
            if let token = self.cookies.first(where: { $0.key.hasPrefix(Self.forgeryCookie) })?.value {
                headers.append(("X-Octopus-Csrf-Token", token))
            }
        }
        if body != nil { headers.append(("Content-Type", "application/json; charset=utf-8")) }
        let response = try self.transport.send(
            HTTPRequest(method, url, headers: headers, body: body),
            options: options
        )
        self.receivedBytes += response.body.count
        guard self.receivedBytes <= self.maximumBytes else {
            throw TransportError(.other, "its answers are too large")
        }
        for cookie in response.cookies {
            let pair = cookie.prefix { $0 != ";" }
            guard let equals = pair.firstIndex(of: "=") else { continue }
            self.cookies[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
        }
        return response
    }

    private static let forgeryCookie = "Octopus-Csrf-Token"

    private func signInIfNeeded(_ root: JSONValue) throws(OctopusError) {
        guard case .password(let username, let password) = self.credential else { return }
        let body = JSONValue.object([
            "Username": .string(username), "Password": .string(password), "RememberMe": .bool(false),
            "State": .object(["UsingSecureConnection": .bool(self.address.isSecure)]),
        ])
        self.onStep("Signing in as '\(username)'...")
        self.cookies = [:]
        _ = try self.checked(
            try self.send("POST", root.link("SignIn") ?? "~/api/users/login", [:], body: body)
        )
        guard self.cookies.keys.count(where: { $0.hasPrefix(Self.forgeryCookie) }) == 1 else {
            throw OctopusError(.security, "The server at \(self.address) did not start a session for '\(username)'.")
        }
    }

    // MARK: Answers

    private func document(_ response: HTTPResponse) throws(OctopusError) -> JSONValue {
        let body = try self.checked(response)
        do {
            return try JSONValue(bytes: body)
        } catch {
            throw OctopusError(
                .unreadable,
                "The server at \(self.address) did not appear to be an Octopus Server: its answer is not JSON. "
                    + "Check the server URL and try again."
            )
        }
    }

    private func checked(_ response: HTTPResponse) throws(OctopusError) -> [UInt8] {
        guard !(200...299).contains(response.status) else { return response.body }
        let body = try? JSONValue(bytes: response.body)
        let text = body?.text("ErrorMessage").map(Self.readable)
        switch response.status {
        case 300...399:
            throw OctopusError(
                .server,
                "The server at \(self.address) redirects to \(response.location.map(Self.readable) ?? "another place"). "
                    + "Give that address as --server."
            )
        case 400, 409:
            let errors = (body?["Errors"]?.items ?? []).prefix(Self.maximumErrors).compactMap(\.string)
                .map { " - \(Self.readable($0))" }
            let lines = [text ?? "The server refused the request.", ""] + errors
            throw OctopusError(.validation, errors.isEmpty ? lines[0] : lines.joined(separator: "\n"))
        case 401:
            throw OctopusError(
                .security,
                (text ?? "Please provide a valid API key or log in again.")
                    + "\nThe Octopus Server at \(self.address) did not accept the credentials (401). "
                    + "Check the API key, the token or the password."
            )
        case 403:
            throw OctopusError(
                .security,
                (text ?? "You do not have permission to perform this action.")
                    + "\nThe Octopus Server at \(self.address) does not allow this user to do it (403). "
                    + "Use the API key of a user who may."
            )
        case 404:
            throw OctopusError(
                .notFound,
                text ?? "The server at \(self.address) does not know what was asked for (404)."
            )
        default:
            throw OctopusError(
                .server,
                text ?? "The server at \(self.address) answered with status \(response.status)."
            )
        }
    }

    private static let maximumErrors = 50
    private static let maximumErrorCharacters = 4000

    /// What a server says goes to a terminal: without its control characters, and not without end.
    private static func readable(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(Self.maximumErrorCharacters)
            .filter { $0 == "\n" || $0 == "\t" || $0.properties.generalCategory != .control }
        return String(String.UnicodeScalarView(scalars))
    }

    private func unreachable(_ reason: String) -> String {
        "Unable to connect to the Octopus Deploy server at \(self.address): \(reason). "
            + "Check the server URL, the network and the proxy settings."
    }

    /// Which certificate it is that is not trusted: asked for without the credentials, over a connection that is not used.
    private func certificateShown() -> String {
        guard self.address.isSecure else { return "" }
        var options = self.options
        options.acceptsAnyCertificate = true
        options.authorities = nil
        options.showsCertificate = true
        options.connectTimeout = Self.certificatePatience
        options.requestTimeout = Self.certificatePatience
        let request = HTTPRequest("GET", self.address.resolve("~/api"), headers: [("User-Agent", self.userAgent)])
        let response = try? self.transport.send(request, options: options)
        guard let text = response?.certificate.flatMap(self.describeCertificate) else { return "" }
        return " The server shows the certificate \(text)."
    }

    private static let certificatePatience = Duration.seconds(10)

    private func explained(_ error: TransportError) -> OctopusError {
        switch error.code {
        case .unreachable, .timedOut: OctopusError(.unreachable, self.unreachable(error.message))
        case .tls:
            OctopusError(
                .tls,
                "No trusted connection to \(self.address): \(error.message).\(self.certificateShown()) "
                    + "Use a server URL that matches its certificate, give the certificate of its authority as "
                    + "--server-ca, or pass --ignoreSslErrors."
            )
        case .invalidURL: OctopusError(.invalidAddress, "The Octopus Server URI '\(self.address)' is invalid.")
        case .other: OctopusError(.server, "The request to \(self.address) failed: \(error.message).")
        }
    }
}
