import OctopusClient
import Synchronization

/// As much of a server as registration sees (spec rest-api.md 20.1), with one space, two environments and one machine.
final class FakeOctopus: HTTPTransport {
    struct Behaviour: Sendable {
        var apiKey = "API-GOOD"
        var bearerToken = "TOKEN-GOOD"
        var password = "pass word"
        var version = "2025.4.10680"
        var hasSpaces = true
        var hasEnvironmentsV2 = true
        /// Status for creating or changing machines, 0 for a lost connection.
        var writeStatus = 201
        /// Status of the handshake of polling agents, 0 for nobody there.
        var handshakeStatus = 400
        var isReachable = true
        /// Called before a write is answered.
        var beforeWrite: @Sendable () -> Void = {}
        /// Called when a write is done, before it is answered.
        var afterWrite: @Sendable () -> Void = {}
        /// Answers that are not what they should be: by `METHOD path`, query left out.
        var oddities: [String: (status: Int, body: String)] = [:]
    }

    /// The connection is lost at a request, counted from 0.
    struct Cut: Sendable, CustomStringConvertible {
        var request: Int
        /// The server has done what was asked, its answer is lost.
        var isAfter: Bool
        var description: String { "\(self.isAfter ? "after" : "before") request \(self.request)" }
    }

    static let serverThumbprint = "B8ECF9A2D4A1F0E34C5D6B7A8990A1B2C3D4E5F6"

    private let behaviour: Behaviour
    private let log = Mutex<[(line: String, request: HTTPRequest)]>([])
    private let machines: Mutex<[JSONValue]>
    private let cut = Mutex<Cut?>(nil)
    private let usedOptions = Mutex<[TransportOptions]>([])

    init(_ behaviour: Behaviour = Behaviour(), machines: [JSONValue] = []) {
        self.behaviour = behaviour
        self.machines = Mutex(machines)
    }

    /// `METHOD path` of everything asked.
    var lines: [String] { self.log.withLock { $0.map(\.line) } }

    /// How each request left the host.
    var options: [TransportOptions] { self.usedOptions.withLock { $0 } }

    var requests: [HTTPRequest] { self.log.withLock { $0.map(\.request) } }

    var registered: [JSONValue] { self.machines.withLock { $0 } }

    /// From now on, counted anew.
    func lose(_ cut: Cut?) {
        self.log.withLock { $0 = [] }
        self.cut.withLock { $0 = cut }
    }

    var writes: [JSONValue] {
        get throws {
            try self.log.withLock { entries in
                try entries.filter { ["POST", "PUT"].contains($0.request.method) && $0.request.body != nil }
                    .map { try JSONValue(bytes: $0.request.body ?? []) }
            }
        }
    }

    static func machine(_ id: String, _ name: String, thumbprint: String = "AA", worker: Bool = false) -> JSONValue {
        .object([
            "Id": .string(id), "Name": .string(name), "Custom": .string("kept"),
            "EnvironmentIds": .strings(["Environments-9"]), "MachinePolicyId": .string("MachinePolicies-7"),
            "Endpoint": .object(["Thumbprint": .string(thumbprint), "CommunicationStyle": .string("TentaclePassive")]),
            "Links": .object(["Self": .string("/api/Spaces-1/\(worker ? "workers" : "machines")/\(id)")]),
        ])
    }

    func send(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) -> HTTPResponse {
        self.usedOptions.withLock { $0.append(options) }
        let index = self.log.withLock { $0.count }
        let cut = self.cut.withLock { $0?.request == index ? $0 : nil }
        let lost = TransportError(.unreachable, "Connection reset by peer")
        if cut?.isAfter == false {
            self.log.withLock { $0.append(("\(request.method) lost", request)) }
            throw lost
        }
        let response = try self.exchange(request)
        guard cut == nil else { throw lost }
        return response
    }

    private func exchange(_ request: HTTPRequest) throws(TransportError) -> HTTPResponse {
        let path =
            request.url.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
            .last.map { $0.drop { $0 != "/" } }.map(String.init) ?? ""
        if path == "/handshake" {
            self.log.withLock { $0.append(("\(request.method) \(request.url)", request)) }
            guard self.behaviour.handshakeStatus != 0 else { throw TransportError(.unreachable, "Connection refused") }
            return HTTPResponse(status: self.behaviour.handshakeStatus)
        }
        guard self.behaviour.isReachable else { throw TransportError(.unreachable, "Connection refused") }
        guard let response = self.answer(request, path: path) else {
            throw TransportError(.unreachable, "Connection reset by peer")
        }
        return response
    }

    /// For `SocketServer`, where the address is a path.
    func answer(_ request: HTTPRequest) -> HTTPResponse {
        self.answer(request, path: request.url) ?? HTTPResponse(status: 500)
    }

    private func answer(_ request: HTTPRequest, path: String) -> HTTPResponse? {
        self.log.withLock { $0.append(("\(request.method) \(path)", request)) }
        if let odd = self.behaviour.oddities["\(request.method) \(path.prefix { $0 != "?" })"] {
            return Self.response(odd.status, odd.body)
        }
        if path == "/api/users/login" { return self.signIn(request) }
        guard path == "/api" || self.isAllowed(request) else {
            return Self.response(401, #"{"ErrorMessage":"You must be logged in to perform this action."}"#)
        }
        if request.method == "GET" { return self.document(path) }
        self.behaviour.beforeWrite()
        switch self.behaviour.writeStatus {
        case 0: return nil
        case 200...299:
            let response = self.write(request, path: path)
            self.behaviour.afterWrite()
            return response
        case let status:
            return Self.response(status, #"{"ErrorMessage":"There was a problem.","Errors":["No such role."]}"#)
        }
    }

    private static let forgeryToken = "forgery-token"

    private func isAllowed(_ request: HTTPRequest) -> Bool {
        func header(_ name: String) -> String? { request.headers.first { $0.name == name }?.value }
        if header("X-Octopus-ApiKey") == self.behaviour.apiKey { return true }
        if header("Authorization") == "Bearer \(self.behaviour.bearerToken)" { return true }
        let cookies = header("Cookie") ?? ""
        return cookies.contains("OctopusIdentificationToken_1=me")
            && cookies.contains("Octopus-Csrf-Token_1=\(Self.forgeryToken)")
            && header("X-Octopus-Csrf-Token") == Self.forgeryToken
    }

    private func signIn(_ request: HTTPRequest) -> HTTPResponse {
        let body = (try? JSONValue(bytes: request.body ?? [])) ?? .null
        guard body.text("Username") == "admin", body.text("Password") == self.behaviour.password else {
            return Self.response(401, #"{"ErrorMessage":"Invalid username or password."}"#)
        }
        return HTTPResponse(
            status: 200,
            cookies: [
                "OctopusIdentificationToken_1=me; HttpOnly; path=/",
                "Octopus-Csrf-Token_1=\(Self.forgeryToken); path=/",
            ],
            body: Array("{}".utf8)
        )
    }

    private func write(_ request: HTTPRequest, path: String) -> HTTPResponse {
        if request.method == "DELETE" {
            self.machines.withLock { $0.removeAll { $0.link("Self") == path } }
            return HTTPResponse(status: 200)
        }
        let body = (try? JSONValue(bytes: request.body ?? [])) ?? .null
        let link = request.method == "PUT" ? path : path + "/Machines-1"
        let isTaken = self.machines.withLock { machines in
            machines.contains { $0.link("Self") != link && $0.text("Name") == body.text("Name") }
        }
        guard !isTaken else {
            return Self.response(400, #"{"ErrorMessage":"There was a problem.","Errors":["The name is taken."]}"#)
        }
        let machine = body.replacing([
            "Id": .string(String(link[(link.lastIndex(of: "/") ?? link.startIndex)...].dropFirst())),
            "Links": .object(["Self": .string(link)]),
        ])
        self.machines.withLock { machines in
            machines.removeAll { $0.link("Self") == link }
            machines.append(machine)
        }
        return HTTPResponse(status: 201, body: (try? machine.encoded()) ?? [])
    }

    private func document(_ path: String) -> HTTPResponse {
        let query = path.firstIndex(of: "?").map { String(path[$0...]) } ?? ""
        switch String(path.prefix { $0 != "?" }) {
        case "/api": return Self.response(200, self.root)
        case "/api/users/me":
            return Self.response(200, #"{"Id":"Users-1","Links":{"Spaces":"/api/users/Users-1/spaces"}}"#)
        case "/api/users/Users-1/spaces": return Self.response(200, Self.spaces)
        case "/api/Spaces-1", "/api/Spaces-2": return Self.response(200, Self.spaceRoot(String(path.dropFirst(5))))
        case "/api/configuration/certificates/certificate-global":
            return Self.response(200, #"{"Thumbprint":"\#(Self.serverThumbprint)"}"#)
        case "/api/Spaces-1/environments/v2", "/api/Spaces-2/environments/v2":
            guard self.behaviour.hasEnvironmentsV2 else { return Self.response(404, #"{"ErrorMessage":"none"}"#) }
            return Self.response(200, Self.environments)
        case "/api/Spaces-1/environments": return Self.response(200, Self.environments)
        case "/api/Spaces-2/machines/all", "/api/Spaces-2/workers/all": return Self.response(200, "[]")
        case "/api/Spaces-1/machines/all", "/api/Spaces-1/workers/all":
            return self.list(path.contains("workers"), bare: true)
        case "/api/Spaces-1/machines", "/api/Spaces-2/machines", "/api/Spaces-1/workers":
            return self.list(path.contains("workers"), bare: false)
        case "/api/Spaces-1/machinepolicies/MachinePolicies-7":
            return Self.response(200, #"{"Id":"MachinePolicies-7","Name":"Careful"}"#)
        case "/api/Spaces-1/machinepolicies": return Self.page("MachinePolicies", "Default Machine Policy")
        case "/api/Spaces-1/proxies": return Self.page("Proxies", "Proxy ABC")
        case "/api/Spaces-1/workerpools": return Self.page("WorkerPools", "Default Worker Pool")
        case "/api/Spaces-1/tenants": return Self.page("Tenants", "Acme")
        case "/api/Spaces-1/tagsets":
            return Self.response(200, #"{"Items":[{"Tags":[{"CanonicalTagName":"Customer/VIP"}]}],"Links":{}}"#)
        default: return self.machine(path, query)
        }
    }

    private func machine(_ path: String, _ query: String) -> HTTPResponse {
        let machine = self.machines.withLock { $0.first { $0.link("Self") == path } }
        guard let machine, let body = try? machine.encoded() else {
            return Self.response(404, #"{"ErrorMessage":"The resource '\#(path)\#(query)' was not found."}"#)
        }
        return HTTPResponse(status: 200, body: body)
    }

    private func list(_ workers: Bool, bare: Bool) -> HTTPResponse {
        let items = self.machines.withLock { $0.filter { ($0.link("Self") ?? "").contains("workers") == workers } }
        let document = bare ? JSONValue.array(items) : .object(["Items": .array(items), "Links": .object([:])])
        return HTTPResponse(status: 200, body: (try? document.encoded()) ?? [])
    }

    private static func response(_ status: Int, _ body: String) -> HTTPResponse {
        HTTPResponse(status: status, body: Array(body.utf8))
    }

    private static func page(_ kind: String, _ name: String) -> HTTPResponse {
        let slug = name.lowercased().replacing(" ", with: "-")
        return self.response(200, #"{"Items":[{"Id":"\#(kind)-1","Name":"\#(name)","Slug":"\#(slug)"}],"Links":{}}"#)
    }

    private var root: String {
        let spaces = self.behaviour.hasSpaces ? #""Spaces":"/api/spaces{/id}{?name,skip,ids,take,partialName}","# : ""
        return """
            {"Application":"Octopus Deploy","Version":"\(self.behaviour.version)","ApiVersion":"3.0.0","Links":{\(spaces)
            "CurrentUser":"/api/users/me","SignIn":"/api/users/login{?returnUrl}","SpaceHome":"/api/{spaceId}",
            "CertificateConfiguration":"/api/configuration/certificates{/id}{?skip,take,ids,partialName}"}}
            """
    }

    private static let spaces = """
        [{"Id":"Spaces-1","Name":"Default","Slug":"default","IsDefault":true,"Links":{"SpaceHome":"/api/Spaces-1"}},
        {"Id":"Spaces-2","Name":"Finance","Slug":"finance","IsDefault":false,"Links":{"SpaceHome":"/api/Spaces-2"}}]
        """

    private static let environments = """
        {"Items":[{"Id":"Environments-1","Name":"Test","Slug":"test","Type":"Static"},
        {"Id":"Environments-2","Name":"Production","Slug":"prod","Type":"Static"}],"Links":{}}
        """

    private static func spaceRoot(_ id: String) -> String {
        let links = [
            "Machines", "Workers", "Environments", "Tenants", "TagSets", "MachinePolicies", "Proxies", "WorkerPools",
        ]
        .map { #""\#($0)":"/api/\#(id)/\#($0.lowercased()){/id}{?skip,take,name,ids,partialName,thumbprint}""# }
        return #"{"Id":"\#(id)","Links":{\#(links.joined(separator: ","))}}"#
    }
}
