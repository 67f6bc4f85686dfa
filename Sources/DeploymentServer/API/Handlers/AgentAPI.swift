import Foundation
import HTTPTypes
import ServerDomain
import ServerStore

/// An agent as clients see it: targets below `machines`, workers below `workers` (rest-api.md 19).
protocol APIAgent: StoredAgent {
    static var path: String { get }
    static var itemType: String { get }
    /// In messages: `machine`.
    static var kind: String { get }
    /// Query parameters that only this kind has, comma-separated.
    static var ownFilters: String { get }

    /// An agent of which nothing is known yet.
    init(id: String, spaceID: String)
    /// Takes over the members that only this kind has.
    mutating func apply(_ body: JSONObject, _ tx: StoreTransaction) throws
    /// The values by which only this kind is filtered.
    var ownFilterValues: [(filter: String, values: [String])] { get }
    var ownJSON: JSONObject { get }
}

/// Deployment targets and workers (rest-api.md 19.2, 19.3): one handler, for what the server does with both is the same.
struct AgentAPI<Agent: APIAgent>: Sendable {
    let services: ServerServices

    func register(in routes: inout APIRoutes) {
        let path = Agent.path
        let filters = "skip,take,name,ids,partialName,isDisabled,healthStatuses,commStyles,thumbprint,shellNames"
        let template = "{/id}{?\(filters),\(Agent.ownFilters)}"
        routes.space(.get, path) { call in Self.page(try await agents(call), call, template: template) }
        routes.space(.get, "\(path)/all") { call in .json(.array(try await agents(call).map(Self.json))) }
        routes.space(.get, "\(path)/discover") { call in .json(try await discover(call)) }
        routes.space(.get, "\(path)/:id") { call in .json(Self.json(try await agent(call))) }
        routes.space(.post, path) { call in .json(Self.json(try await create(call)), .created) }
        routes.space(.put, "\(path)/:id") { call in .json(Self.json(try await update(call))) }
        routes.space(.delete, "\(path)/:id") { call in try await delete(call) }
        routes.space(.get, "\(path)/:id/connection") { call in .json(Self.connection(try await agent(call))) }
        routes.space(.get, "\(path)/:id/tasks") { call in .json(try await tasks(call)) }
    }

    /// Adds a route with the agents that belong to another document: `environments/:owner/machines`.
    func register<Owner: NamedDocument>(
        below path: String,
        of type: Owner.Type,
        in routes: inout APIRoutes,
        _ belongs: @escaping @Sendable (Agent, Owner) -> Bool
    ) {
        routes.space(.get, "\(path)/:owner/\(Agent.path)") { call in
            let (id, spaceID) = (call.parameter("owner"), call.spaceID)
            let owner = try await services.store.read { try $0.get(type, id, in: spaceID) }
            let items = try await agents(call).filter { belongs($0, owner) }
            return Self.page(items, call, template: "{?skip,take,partialName}")
        }
    }

    private static func page(_ agents: [Agent], _ call: APICall, template: String) -> APIAnswer {
        .json(APIPage.json(agents.map(json), of: Agent.itemType, call: call, template: template))
    }

    private func agent(_ call: APICall) async throws -> Agent {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.store.read { try $0.get(Agent.self, id, in: spaceID) }
    }

    private func agents(_ call: APICall) async throws -> [Agent] {
        let (spaceID, query) = (call.spaceID, call.query)
        let all = call.filtered(try await services.store.read { try $0.all(Agent.self, in: spaceID) })
        return all.filter { agent in
            let style = agent.endpoint.style.rawValue
            let common = [
                ("thumbprint", [agent.endpoint.thumbprint]),
                ("commStyles", [style]), ("deploymentTargetTypes", [style]),
                ("healthStatuses", [agent.health.rawValue]), ("isDisabled", [String(agent.isDisabled)]),
                ("shellNames", [agent.facts.shellName ?? "Unknown"]),
            ]
            return (common + agent.ownFilterValues).allSatisfy { filter, values in
                guard let wanted = query.list(filter) else { return true }
                return wanted.contains { text in values.contains { $0.equalsIgnoringASCIICase(text) } }
            }
        }
        .sorted { $0.name.lowercased() < $1.name.lowercased() }
    }

    /// An agent that is not stored, with the certificate that answers at an address (rest-api.md 19.4).
    private func discover(_ call: APICall) async throws -> JSONValue {
        let type = call.query["type"] ?? AgentEndpoint.Style.listening.rawValue
        guard type == AgentEndpoint.Style.listening.rawValue else {
            throw APIError.invalid("Only TentaclePassive machines can be discovered, not '\(type)'.")
        }
        guard let host = call.query["host"] else { throw APIError.invalid("Please specify a host.") }
        guard let port = Int(call.query["port"] ?? "10933"), (1...65_535).contains(port) else {
            throw APIError.invalid("The port must be a number from 1 to 65535.")
        }
        let spaceID = call.spaceID
        let wanted = call.query["proxyId"]
        let proxy = try await services.store.read { tx in
            try wanted.map { try tx.require(AgentProxy.self, id: $0, in: spaceID, as: "proxy") }
        }
        let thumbprint: String
        do { thumbprint = try await services.agents.discover(host: host, port: port, proxyID: proxy?.id) } catch {
            throw APIError.invalid("No agent could be discovered at \(host):\(port): \(error)")
        }
        var agent = Agent(id: "", spaceID: call.spaceID)
        agent.name = host
        agent.endpoint = AgentEndpoint(
            style: .listening,
            uri: "https://\(host):\(port)/",
            thumbprint: thumbprint,
            proxyID: proxy?.id
        )
        var json = Self.json(agent).members ?? [:]
        json["Id"] = .null
        json["Links"] = [:]
        return .object(json)
    }

    // MARK: Writing

    private func create(_ call: APICall) async throws -> Agent {
        let body = try call.body()
        let spaceID = call.spaceID
        let agent = try await services.writeAgents { tx -> Agent in
            var agent = Agent(id: try tx.nextID(Agent.self), spaceID: spaceID)
            guard body["Endpoint"] != nil else { throw APIError.invalid("Please specify an Endpoint.") }
            try Self.take(body, &agent, tx)
            try tx.insert(agent)
            if !body.flag("SkipInitialHealthCheck") {
                _ = try ServerTask.queue(
                    .health,
                    "Check the health of \(agent.name)",
                    arguments: ["MachineIds": JSONValue([agent.id])],
                    spaceID: spaceID,
                    tx
                )
            }
            return agent
        }
        services.runner.wake()
        return agent
    }

    private func update(_ call: APICall) async throws -> Agent {
        let body = try call.body()
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        return try await services.writeAgents { tx -> Agent in
            var agent = try tx.get(Agent.self, id, in: spaceID)
            try Self.take(body, &agent, tx)
            try tx.update(agent)
            return agent
        }
    }

    private func delete(_ call: APICall) async throws -> APIAnswer {
        let (id, spaceID) = (call.parameter("id"), call.spaceID)
        try await services.writeAgents { tx in
            try tx.delete(Agent.self, id: try tx.get(Agent.self, id, in: spaceID).id)
        }
        return .empty
    }

    /// Takes over what a body says, and refuses what cannot be.
    private static func take(_ body: JSONObject, _ agent: inout Agent, _ tx: StoreTransaction) throws {
        agent.name = body.text("Name") ?? agent.name
        if body["Endpoint"] != nil { agent.endpoint = try endpoint(body, in: agent.spaceID, tx) }
        agent.isDisabled = body["IsDisabled"]?.truth ?? agent.isDisabled
        if let policy = body["MachinePolicyId"] {
            // Null and empty mean the default one (rest-api.md 19.2).
            let id = policy.text.flatMap { $0.isEmpty ? nil : $0 } ?? MachinePolicy.defaultID
            let found = try tx.require(MachinePolicy.self, id: id, in: agent.spaceID, as: "machine policy")
            agent.machinePolicyID = found.id
        }
        try agent.apply(body, tx)
        let problems = agent.problems
        guard problems.isEmpty else { throw APIError.invalid(problems) }
        let name: [(column: String, value: StoreValue)] = [
            ("spaceId", .text(agent.spaceID)), ("name", .text(agent.name)),
        ]
        guard try !tx.exists(Agent.self, where: name, except: agent.id) else {
            throw APIError.invalid(
                "A \(Agent.kind) with this name already exists. Please choose a different name."
            )
        }
        agent.slug = try tx.slug(
            Agent.self,
            wanted: body.filled("Slug") ?? agent.slug,
            name: agent.name,
            in: agent.spaceID,
            except: agent.id
        )
        try checkSubscription(agent, tx)
    }

    /// A subscription belongs to one certificate: two could not be told apart (halibut.md 2.3).
    private static func checkSubscription(_ agent: Agent, _ tx: StoreTransaction) throws {
        guard agent.endpoint.style == .polling else { return }
        let others = try tx.agents(where: [("uri", .text(agent.endpoint.normalisedURI))])
        let other = others.first { $0.id != agent.id && $0.endpoint.thumbprint != agent.endpoint.thumbprint }
        guard let other else { return }
        throw APIError.invalid(
            "The subscription \(agent.endpoint.uri) belongs to the \(other is Worker ? "worker" : "machine") "
                + "'\(other.name)' with another certificate."
        )
    }

    private static func endpoint(
        _ body: JSONObject,
        in spaceID: String,
        _ tx: StoreTransaction
    ) throws -> AgentEndpoint {
        guard let endpoint = body["Endpoint"]?.members else { throw APIError.invalid("Please specify an Endpoint.") }
        let styleText = endpoint.text("CommunicationStyle") ?? ""
        guard let style = AgentEndpoint.Style(rawValue: styleText) else {
            throw APIError.invalid(
                "The communication style '\(styleText)' is not supported; use TentaclePassive or TentacleActive."
            )
        }
        return AgentEndpoint(
            style: style,
            uri: endpoint.filled("Uri") ?? body.text("Uri") ?? "",
            thumbprint: (endpoint.filled("Thumbprint") ?? body.text("Thumbprint") ?? "").uppercased(),
            proxyID: try endpoint.filled("ProxyId").map {
                try tx.require(AgentProxy.self, id: $0, in: spaceID, as: "proxy").id
            }
        )
    }

    // MARK: JSON

    private func tasks(_ call: APICall) async throws -> JSONValue {
        let agent = try await agent(call)
        let (tasks, deployments) = try await services.store.read {
            (try $0.all(ServerTask.self, newestFirst: true), try $0.all(Deployment.self))
        }
        let own = Set(deployments.filter { $0.deployedToMachineIDs.contains(agent.id) }.map(\.taskID))
        let items = tasks.filter { $0.machineIDs.contains(agent.id) || own.contains($0.id) }
        return APIPage.json(items.map(TaskAPI.json), of: "Task", call: call, template: "{?skip,take,type}")
    }

    private static func connection(_ agent: Agent) -> JSONValue {
        let lastChecked = WireTime.json(agent.lastChecked ?? Date(timeIntervalSince1970: 0))
        return [
            "MachineId": .string(agent.id), "Status": .string(agent.health.legacyStatus),
            "CurrentTentacleVersion": JSONValue(orNull: agent.facts.agentVersion), "LastChecked": lastChecked,
            "Logs": [
                [
                    "Category": "Info", "OccurredAt": lastChecked, "MessageText": .string(agent.healthSummary),
                    "Detail": nil,
                ]
            ], "Links": ["Self": "/api/\(agent.spaceID)/\(Agent.path)/\(agent.id)/connection"],
        ]
    }

    static func json(_ agent: Agent) -> JSONValue {
        let path = "/api/\(agent.spaceID)/\(Agent.path)/\(agent.id)"
        let facts = agent.facts
        let common: JSONObject = [
            "Id": .string(agent.id), "SpaceId": .string(agent.spaceID), "Name": .string(agent.name),
            "Slug": .string(agent.slug), "Thumbprint": .string(agent.endpoint.thumbprint),
            "Uri": .string(agent.endpoint.uri), "IsDisabled": .bool(agent.isDisabled),
            "MachinePolicyId": .string(agent.machinePolicyID),
            "Status": .string(agent.isDisabled ? "Disabled" : agent.health.legacyStatus),
            "HealthStatus": .string(agent.health.rawValue), "HasLatestCalamari": true,
            "StatusSummary": .string(agent.healthSummary), "IsInProcess": false, "SkipInitialHealthCheck": false,
            "Endpoint": endpoint(agent), "OperatingSystem": .string(facts.operatingSystem ?? "Unknown"),
            "OperatingSystemVersion": nil, "ShellName": .string(facts.shellName ?? "Unknown"),
            "ShellVersion": .string(facts.shellVersion ?? "Unknown"),
            "Architecture": JSONValue(orNull: facts.architecture),
            "Links": [
                "Self": .string(path), "Connection": "\(path)/connection",
                "TasksTemplate": "\(path)/tasks{?skip,take,type}",
            ],
        ]
        return .object(common.merging(agent.ownJSON))
    }

    private static func endpoint(_ agent: Agent) -> JSONValue {
        [
            "Id": nil, "CommunicationStyle": .string(agent.endpoint.style.rawValue),
            "Uri": .string(agent.endpoint.uri), "Thumbprint": .string(agent.endpoint.thumbprint),
            "ProxyId": JSONValue(orNull: agent.endpoint.proxyID), "CertificateSignatureAlgorithm": nil,
            "TentacleVersionDetails": [
                "UpgradeLocked": false, "Version": JSONValue(orNull: agent.facts.agentVersion),
                "UpgradeSuggested": false, "UpgradeRequired": false, "UpgradeAvailable": false,
            ], "Links": [:],
        ]
    }
}
