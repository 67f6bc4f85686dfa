import OctopusClient
import Synchronization
import Testing

/// Answers from a table of "METHOD path" and remembers what was asked.
final class TableTransport: HTTPTransport {
    private let table: [String: (Int, String)]
    private let log = Mutex<[HTTPRequest]>([])

    init(_ table: [String: (Int, String)]) { self.table = table }

    var requests: [HTTPRequest] { self.log.withLock { $0 } }

    func send(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) -> HTTPResponse {
        self.log.withLock { $0.append(request) }
        let path = request.url.replacing("http://server/octo", with: "~").replacing("http://server", with: "")
        guard let (status, body) = self.table["\(request.method) \(path)"] else {
            return HTTPResponse(status: 404, body: Array(#"{"ErrorMessage":"no \#(path)"}"#.utf8))
        }
        guard status != 0 else { throw TransportError(.unreachable, "refused") }
        let cookies = path == "/api/users/login" && status == 200 ? ["Octopus-Csrf-Token_1=tok; path=/", "id=1"] : []
        return HTTPResponse(status: status, cookies: cookies, body: Array(body.utf8))
    }
}

/// Remembers how long an answer may take.
final class DeadlineTransport: HTTPTransport {
    let deadlines = Mutex<[Duration]>([])

    func send(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) -> HTTPResponse {
        self.deadlines.withLock { $0.append(options.requestTimeout) }
        return HTTPResponse(status: 200, body: Array(#"{"ApiVersion":"3.0.0"}"#.utf8))
    }
}

@Suite struct JSONValueTests {
    private func nested(_ depth: Int, _ inner: String = "") -> [UInt8] {
        Array((String(repeating: "[", count: depth) + inner + String(repeating: "]", count: depth)).utf8)
    }

    @Test("documents are not deeper than any server's")
    func depth() throws {
        _ = try JSONValue(bytes: self.nested(JSONValue.maximumDepth))
        #expect(throws: (any Error).self) { try JSONValue(bytes: self.nested(JSONValue.maximumDepth + 1)) }
        #expect(throws: (any Error).self) { try JSONValue(bytes: self.nested(100_000)) }
    }

    @Test("brackets in texts are no depth")
    func texts() throws {
        let text = String(repeating: #"[{\"[\\"#, count: 100)
        let value = try JSONValue(bytes: self.nested(JSONValue.maximumDepth - 1, "[\"\(text)\"]"))
        #expect(throws: Never.self) { try value.encoded() }
        _ = try JSONValue(bytes: Array(("[" + String(repeating: "[[[]]],", count: 100) + "1]").utf8))
    }
}

@Suite struct LinkTemplateTests {
    @Test(
        "templates of the server's documents",
        arguments: [
            ("/api/machines{/id}{?skip,take,name}", ["name": "web 01", "unknown": "x"], "/api/machines?name=web%2001"),
            ("/api/machines{/id}{?thumbprint}", ["id": "all", "Thumbprint": "AB"], "/api/machines/all?thumbprint=AB"),
            ("/api/{spaceId}", ["spaceid": "Spaces-1"], "/api/Spaces-1"),
            ("/api/x{?ids,name}", ["ids": "a,b", "name": ""], "/api/x?ids=a%2Cb"),
            ("/api/x?take=1{&skip}", ["skip": "2"], "/api/x?take=1&skip=2"),
            ("/api/plain", ["id": "1"], "/api/plain"), ("/x{", [:], "/x{"),
        ]
    )
    func expand(template: String, parameters: [String: String], expected: String) {
        #expect(LinkTemplate.expand(template, parameters) == expected)
    }
}

@Suite struct ServerAddressTests {
    @Test(
        "what people give as server",
        arguments: [
            ("http://h", "http://h/", "http://h/api"),
            ("https://H:8443/octo/", "https://h:8443/octo/", "https://h:8443/octo/api"),
            ("http://h/api", "http://h/", "http://h/api"),
            ("http://h/octo/api/", "http://h/octo/", "http://h/octo/api"),
            ("http://h/apis", "http://h/apis/", "http://h/apis/api"),
            (" http://[::1]:80 ", "http://[::1]:80/", "http://[::1]:80/api"),
        ]
    )
    func forms(text: String, description: String, root: String) throws {
        let address = try ServerAddress(text)
        #expect(address.description == description)
        #expect(address.resolve("~/api") == root)
        #expect(address.resolve("/x").hasSuffix("/x") && !address.resolve("/x").contains("octo"))
    }

    @Test(
        "what is no server",
        arguments: ["", "octopus", "ftp://h", "http://", "http://h:0", "http://h:x", "http://u@h", "http://a b"]
    )
    func invalid(text: String) {
        let error = #expect(throws: OctopusError.self) { try ServerAddress(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains("'\(text)'") == true)
    }
}

@Suite struct OctopusSessionTests {
    private static let root =
        #"{"ApiVersion":"3.0.0","Version":"2025.4","Links":{"SignIn":"/api/users/login{?returnUrl}"}}"#

    private func session(
        _ transport: any HTTPTransport,
        _ credential: OctopusCredential = .apiKey("API-KEY")
    ) throws -> OctopusSession {
        OctopusSession(
            address: try ServerAddress("http://server/octo"),
            credential: credential,
            transport: transport,
            options: TransportOptions(),
            userAgent: "test",
            pause: { _ in }
        )
    }

    @Test("pages are followed to the end")
    func pages() throws {
        let transport = TableTransport([
            "GET /api/x?name=a": (200, #"{"Items":[{"Id":"1"}],"Links":{"Page.Next":"/api/x?skip=1"}}"#),
            "GET /api/x?skip=1": (200, #"{"Items":[{"Id":"2"}],"Links":{"Page.Next":"/api/x?skip=2"}}"#),
            "GET /api/x?skip=2": (200, #"{"Items":[],"Links":{"Page.Next":"/api/x?skip=3"}}"#),
        ])
        let items = try self.session(transport).items("/api/x{?name}", ["name": "a"])
        #expect(items.map { $0.text("Id") } == ["1", "2"])
    }

    @Test("pages without an end come to one")
    func endlessPages() throws {
        let transport = TableTransport([
            "GET /api/x": (200, #"{"Items":[{"Id":"1"}],"Links":{"Page.Next":"/api/x"}}"#)
        ])
        let error = #expect(throws: OctopusError.self) { try self.session(transport).items("/api/x{?name}") }
        #expect(error?.code == .unreadable)
        #expect(error?.message.contains("/api/x with more than 1000 pages") == true)
        #expect(transport.requests.count == OctopusSession.maximumPages + 1)
    }

    @Test("a password that is wrong, and a server that starts no session", arguments: [401, 200])
    func noSession(status: Int) throws {
        let transport = TableTransport([
            "GET ~/api": (200, #"{"ApiVersion":"3.0.0","Links":{"SignIn":"/api/sign-in"}}"#),
            "POST /api/sign-in": (status, #"{"ErrorMessage":"Invalid username or password."}"#),
        ])
        let session = try self.session(transport, .password(username: "me", password: "pw"))
        let error = #expect(throws: OctopusError.self) { try session.root() }
        #expect(error?.code == .security)
        let message =
            status == 401
            ? "Invalid username or password.\n" : "The server at http://server/octo/ did not start a session for 'me'."
        #expect(error?.message.hasPrefix(message) == true)
    }

    @Test("the key goes along with every request, below the virtual directory")
    func headers() throws {
        let transport = TableTransport(["GET ~/api": (200, Self.root)])
        _ = try self.session(transport).root()
        let request = try #require(transport.requests.first)
        #expect(request.url == "http://server/octo/api")
        let headers = Dictionary(uniqueKeysWithValues: request.headers.map { ($0.name, $0.value) })
        #expect(headers == ["Accept": "application/json", "User-Agent": "test", "X-Octopus-ApiKey": "API-KEY"])
    }

    @Test("signing in sets cookies and the forgery token")
    func password() throws {
        let transport = TableTransport([
            "GET ~/api": (200, Self.root), "POST /api/users/login": (200, "{}"), "GET /api/y": (200, "{}"),
        ])
        let session = try self.session(transport, .password(username: "me", password: "pw"))
        _ = try session.root()
        _ = try session.get("/api/y")
        let last = try #require(transport.requests.last)
        #expect(last.headers.contains { $0 == ("Cookie", "Octopus-Csrf-Token_1=tok; id=1") })
        #expect(last.headers.contains { $0 == ("X-Octopus-Csrf-Token", "tok") })
        let body = String(decoding: transport.requests[1].body ?? [], as: UTF8.self)
        #expect(
            body == #"{"Password":"pw","RememberMe":false,"State":{"UsingSecureConnection":false},"Username":"me"}"#
        )
    }

    @Test(
        "the credentials do not follow a link to another place",
        arguments: [
            "http://evil/api/users/me", "https://server/api/users/me", "http://server:81/api/users/me",
            "http://server.evil/api/users/me", "@evil/api/users/me", ".evil/api/users/me", "http://server@evil/x",
            "evil", "file:///etc/passwd",
        ]
    )
    func foreignLink(link: String) throws {
        let transport = TableTransport([
            "GET ~/api": (
                200, #"{"ApiVersion":"3.0.0","Links":{"Spaces":"~/api/spaces","CurrentUser":"\#(link)"}}"#
            )
        ])
        let error = #expect(throws: OctopusError.self) { try self.session(transport).space(nil) }
        #expect(error?.code == .unreadable)
        #expect(error?.message.contains("a link that leads elsewhere: ") == true)
        #expect(transport.requests.map(\.url) == ["http://server/octo/api"])
    }

    @Test("a whole URL of the server itself is a link as any other", arguments: ["http://server", "HTTP://Server"])
    func ownLink(authority: String) throws {
        let transport = TableTransport(["GET \(authority == "http://server" ? "" : authority)/api/x": (200, "[1]")])
        #expect(try self.session(transport).get("\(authority)/api/x") == .array([.integer(1)]))
    }

    @Test("answers that are too large together come to an end")
    func largePages() throws {
        let transport = TableTransport([
            "GET ~/api/x": (200, #"{"Items":[1],"Links":{"Page.Next":"~/api/x"}}"#)
        ])
        let session = try self.session(transport)
        session.maximumBytes = 450
        let error = #expect(throws: OctopusError.self) { try session.items("~/api/x") }
        #expect(error?.message == "The request to http://server/octo/ failed: its answers are too large.")
        #expect(transport.requests.count == 11)
    }

    @Test(
        "a server that is silent gets no more time than one that is away",
        arguments: [(60, 60), (3600, 600), (0, 10)]
    )
    func silence(patience: Int, expected: Int) throws {
        let transport = DeadlineTransport()
        let session = try self.session(transport)
        session.patience = .seconds(patience)
        _ = try session.root()
        _ = try session.get("~/api/x")
        #expect(transport.deadlines.withLock { $0 } == [.seconds(expected), .seconds(600)])
    }

    @Test("nobody is told of tries that will not be", arguments: [0, 1])
    func noMoreTries(patience: Int) throws {
        let session = try self.session(TableTransport(["GET ~/api": (0, "")]))
        session.patience = .seconds(patience)
        let told = Mutex(0)
        session.onWaiting = { _ in told.withLock { $0 += 1 } }
        // A second's pause and the first try itself are more than a second.
        #expect(throws: OctopusError.self) { try session.root() }
        #expect(told.withLock { $0 } == 0)
    }

    @Test("a server that starts is waited for, a second a try, and told of once", arguments: zip([0, 503], [60, 120]))
    func waiting(status: Int, tries: Int) throws {
        let pauses = Mutex<[Duration]>([])
        let transport = TableTransport(["GET ~/api": (status, "")])
        let session = OctopusSession(
            address: try ServerAddress("http://server/octo"),
            credential: .bearerToken("t"),
            transport: transport,
            options: TransportOptions(),
            userAgent: "test",
            pause: { duration in pauses.withLock { $0.append(duration) } }
        )
        let told = Mutex(0)
        session.onWaiting = { _ in told.withLock { $0 += 1 } }
        let error = #expect(throws: OctopusError.self) { try session.root() }
        #expect(error?.code == .unreachable)
        #expect(
            error?.message.hasPrefix("Unable to connect to the Octopus Deploy server at http://server/octo/: ") == true
        )
        // The time of the tries themselves counts too, so one fewer may fit.
        #expect((tries - 1...tries).contains(pauses.withLock { $0.count }))
        #expect(told.withLock { $0 } == 1)
    }

    @Test(
        "statuses become errors of one kind each",
        arguments: [
            (
                400, #"{"ErrorMessage":"Bad.","Errors":["one","two"]}"#, OctopusError.Code.validation,
                "Bad.\n\n - one\n - two"
            ),
            (
                401, #"{"ErrorMessage":"Log in."}"#, .security,
                "Log in.\nThe Octopus Server at http://server/octo/ did not accept the credentials (401). Check the API key, the token or the password."
            ),
            (
                403, "", .security,
                "You do not have permission to perform this action.\nThe Octopus Server at http://server/octo/ does not allow this user to do it (403). Use the API key of a user who may."
            ),
            (404, #"{"ErrorMessage":"Gone."}"#, .notFound, "Gone."),
            (500, "<html>", .server, "The server at http://server/octo/ answered with status 500."),
            (
                302, "", .server,
                "The server at http://server/octo/ redirects to another place. Give that address as --server."
            ),
            (
                200, "<html>", .unreadable,
                "The server at http://server/octo/ did not appear to be an Octopus Server: its answer is not JSON. Check the server URL and try again."
            ),
        ]
    )
    func errors(status: Int, body: String, code: OctopusError.Code, message: String) throws {
        let session = try self.session(TableTransport(["GET /api/z": (status, body)]))
        let error = #expect(throws: OctopusError.self) { try session.get("/api/z") }
        #expect(error == OctopusError(code, message))
    }

    @Test(
        "a server of another API version is none of ours",
        arguments: ["{}", #"{"ApiVersion":"4.0.0"}"#, #"{"ApiVersion":"3.0.100"}"#]
    )
    func apiVersion(root: String) throws {
        let session = try self.session(TableTransport(["GET ~/api": (200, root)]))
        let error = #expect(throws: OctopusError.self) { try session.root() }
        #expect(error?.message.contains("did not answer as an Octopus Server") == true)
    }
}

@Suite struct ConnectivityCheckTests {
    @Test("200 and 400 are success", arguments: [200, 400])
    func success(status: Int) throws {
        let transport = TableTransport(["POST https://h:10943/handshake": (status, "")])
        try ConnectivityCheck(transport: transport, options: TransportOptions(), pause: { _ in }).run("https://h:10943")
        #expect(transport.requests.count == 1)
    }

    @Test("five tries with growing pauses")
    func failure() {
        let pauses = Mutex<[Duration]>([])
        let transport = TableTransport(["POST https://h:10943/handshake": (0, "")])
        let check = ConnectivityCheck(transport: transport, options: TransportOptions()) { duration in
            pauses.withLock { $0.append(duration) }
        }
        let error = #expect(throws: OctopusError.self) { try check.run("https://h:10943") }
        #expect(
            error?.message
                == "Checking that server communications are open failed with message refused after 5 retries."
        )
        #expect(transport.requests.count == 5)
        #expect(
            pauses.withLock { $0 } == [
                .milliseconds(750), .milliseconds(1125), .milliseconds(1687), .milliseconds(2531),
            ]
        )
    }
}
