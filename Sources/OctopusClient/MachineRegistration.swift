/// What a command wants to register.
package struct MachineRegistration: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case target(
            environments: [String],
            roles: [String],
            tenants: [String],
            tenantTags: [String],
            participation: String
        )
        case worker(pools: [String])
    }

    package var kind: Kind
    package var name: String
    package var force: Bool
    package var policy: String?
    /// Server-side proxy through which a listening agent is reached, by name.
    package var proxy: String?
    package var space: String?
    /// `TentaclePassive` or `TentacleActive`.
    package var communicationStyle: String
    /// `https://host:port/` or `poll://…/`.
    package var uri: String
    package var thumbprint: String
    /// Thumbprints of the servers that this host remembers from a registration like this one, complete to the end.
    package var completedWith: [String]

    package init(
        kind: Kind,
        name: String,
        force: Bool = false,
        policy: String? = nil,
        proxy: String? = nil,
        space: String? = nil,
        communicationStyle: String,
        uri: String,
        thumbprint: String,
        completedWith: [String] = []
    ) {
        self.kind = kind
        self.name = name
        self.force = force
        self.policy = policy
        self.proxy = proxy
        self.space = space
        self.communicationStyle = communicationStyle
        self.uri = uri
        self.thumbprint = thumbprint
        self.completedWith = completedWith
    }

    var collection: String { self.isWorker ? "Workers" : "Machines" }

    /// Whether a machine on the server is reached where this one will be, by the same certificate.
    fileprivate func describes(_ endpoint: JSONValue?) -> Bool {
        guard let endpoint, endpoint.text("Thumbprint")?.comparable == self.thumbprint.comparable,
            endpoint.text("CommunicationStyle")?.comparable == self.communicationStyle.comparable
        else { return false }
        // A polling agent's address is its subscription, which may have been a made-up one.
        return self.communicationStyle == "TentacleActive" || endpoint.text("Uri")?.comparable == self.uri.comparable
    }

    var isWorker: Bool {
        if case .worker = self.kind { return true }
        return false
    }
}

/// A registration of which everything is known and checked; nothing has been changed yet.
package struct PreparedRegistration: Sendable {
    package enum Occasion: Hashable, Sendable {
        case new
        /// `--force`: a machine of this name is changed.
        case change
        /// A registration of this very agent that was cut short is brought to its end.
        case completion
    }

    package var method: String
    package var link: String
    package var body: JSONValue
    package var serverThumbprint: String
    package var spaceName: String?
    package var occasion: Occasion
    /// The environments, tenants or worker pools by the names that the server has for them.
    package var names: [String: [String]]
}

extension OctopusSession {
    /// Asks the server for all that the registration needs, in the order of spec 13.3, rows 1 to 17.
    package func prepare(
        _ registration: MachineRegistration,
        agentMajorVersion: Int
    ) throws(OctopusError) -> PreparedRegistration {
        self.onStep("Asking the server for the space and its certificate...")
        let space = try self.space(registration.space)
        try self.checkVersion(agentMajorVersion: agentMajorVersion)
        let serverThumbprint = try self.serverThumbprint()
        self.onStep("Looking up the name '\(registration.name)' and what it will belong to...")
        let existing = try self.machine(named: registration.name, in: space.link(registration.collection))
        let occasion = try Self.occasion(of: registration, existing, serverThumbprint)
        var members: [String: JSONValue] = [:]
        var proxyID: String?
        if let proxy = registration.proxy {
            proxyID = try self.identifier(named: proxy, of: "proxy name", in: space.link("Proxies"))
        }
        if let policy = registration.policy {
            members["MachinePolicyId"] = .string(
                try self.identifier(named: policy, of: "machine policy", in: space.link("MachinePolicies"))
            )
        } else if existing == nil {
            members["MachinePolicyId"] = .null
        }
        let scope = try self.scope(of: registration.kind, in: space)
        members.merge(scope.members) { $1 }
        members["Name"] = .string(registration.name)
        members["Endpoint"] = Self.endpoint(of: registration, proxyID: proxyID, existing: existing?["Endpoint"])
        if let id = space.id { members["SpaceId"] = .string(id) }
        if existing == nil { members["SkipInitialHealthCheck"] = .bool(false) }
        let target = existing?.link("Self")
        return PreparedRegistration(
            method: target == nil ? "POST" : "PUT",
            link: target ?? space.link(registration.collection),
            body: (existing ?? .object([:])).replacing(members),
            serverThumbprint: serverThumbprint,
            spaceName: space.name,
            occasion: occasion,
            names: scope.names
        )
    }

    /// Registers, rows 18 and 19; the answer is the machine as the server has it now.
    package func commit(_ registration: PreparedRegistration) throws(OctopusError) -> JSONValue {
        self.onStep("Telling the server...")
        let answer: JSONValue
        do throws(OctopusError) {
            answer = try self.send(registration.method, registration.link, body: registration.body)
        } catch {
            guard error.code == .unreachable || error.code == .unreadable else { throw error }
            throw OctopusError(
                error.code,
                "\(error.message)\nThe server may have registered this agent all the same. Repeat the command; "
                    + "add --force should it say that the name is taken."
            )
        }
        guard let link = answer.link("Self") else { return answer }
        // The machine is registered by now: a lost answer to this question changes nothing.
        return (try? self.get(link)) ?? answer
    }

    /// Where a prepared registration goes, for people to read.
    package func url(of registration: PreparedRegistration) -> String {
        self.address.resolve(LinkTemplate.expand(registration.link))
    }

    /// A name that is taken is refused without `--force`, but for one case.
    ///
    /// When the machine is this very agent, and this host does not remember the server, an earlier registration was cut
    /// short between the two, and goes on.
    private static func occasion(
        of registration: MachineRegistration,
        _ existing: JSONValue?,
        _ serverThumbprint: String
    ) throws(OctopusError) -> PreparedRegistration.Occasion {
        guard let existing else { return .new }
        guard !registration.force else { return .change }
        let isComplete = registration.completedWith.contains { $0.comparable == serverThumbprint.comparable }
        guard !isComplete, registration.describes(existing["Endpoint"]) else { throw Self.alreadyExists(registration) }
        return .completion
    }

    private func checkVersion(agentMajorVersion: Int) throws(OctopusError) {
        guard let version = try self.root().text("Version"), let major = version.split(separator: ".").first else {
            throw OctopusError(.refused, "Unable to determine the Octopus Server version.")
        }
        guard major != "1", major != "2" else {
            throw OctopusError(
                .refused,
                "You cannot register a \(agentMajorVersion).* Octopus Tentacle with a \(major).* Octopus Server."
            )
        }
    }

    private func machine(named name: String, in link: String) throws(OctopusError) -> JSONValue? {
        do throws(OctopusError) {
            return try self.items(link, ["name": name]).first { $0.text("Name")?.comparable == name.comparable }
        } catch {
            // As the stock agent has it; the server refuses a name twice itself.
            guard error.code == .unreadable else { throw error }
            return nil
        }
    }

    private static func alreadyExists(_ registration: MachineRegistration) -> OctopusError {
        let kind = registration.isWorker ? "worker" : "machine"
        return OctopusError(
            .refused,
            "A \(kind) named '\(registration.name)' already exists in the environment. "
                + "Use the 'force' parameter if you intended to update the existing \(kind)."
        )
    }

    private static func endpoint(
        of registration: MachineRegistration,
        proxyID: String?,
        existing: JSONValue?
    ) -> JSONValue {
        var members: [String: JSONValue] = [
            "CommunicationStyle": .string(registration.communicationStyle),
            "Uri": .string(registration.uri),
            "Thumbprint": .string(registration.thumbprint),
        ]
        if registration.communicationStyle == "TentaclePassive" { members["ProxyId"] = .string(orNull: proxyID) }
        // The endpoint is replaced, except for what only the server knows of it.
        if let id = existing?["Id"] { members["Id"] = id }
        return .object(members)
    }

    // MARK: Names to ids

    private typealias Scope = (members: [String: JSONValue], names: [String: [String]])
    private typealias Named = (id: String, name: String)

    private func scope(
        of kind: MachineRegistration.Kind,
        in space: OctopusSpace
    ) throws(OctopusError) -> Scope {
        switch kind {
        case .worker(let wanted):
            let pools = try self.found(wanted, of: "worker pool", in: space.link("WorkerPools"))
            return (["WorkerPoolIds": .strings(pools.map(\.id))], ["WorkerPools": pools.map(\.name)])
        case .target(let wanted, let roles, let wantedTenants, let tenantTags, let participation):
            let tags = tenantTags.isEmpty ? [] : try self.canonicalTags(tenantTags, in: space.link("TagSets"))
            let environments = try self.environments(wanted, in: space)
            let tenants =
                wantedTenants.isEmpty ? [] : try self.found(wantedTenants, of: "tenant", in: space.link("Tenants"))
            let members: [String: JSONValue] = [
                "EnvironmentIds": .strings(environments.map(\.id)), "Roles": .strings(roles),
                "TenantIds": .strings(tenants.map(\.id)), "TenantTags": .strings(tags),
                "TenantedDeploymentParticipation": .string(participation),
            ]
            return (members, ["Environments": environments.map(\.name), "Tenants": tenants.map(\.name)])
        }
    }

    private func environments(_ names: [String], in space: OctopusSpace) throws(OctopusError) -> [Named] {
        if let id = space.id {
            do throws(OctopusError) {
                let items = try self.items("~/api/\(id)/environments/v2?skip=0&take=2147483647")
                return try Self.found(names, among: items, type: "environment")
            } catch {
                // Servers before dynamic environments do not know the route.
                guard error.code == .notFound else { throw error }
            }
        }
        return try self.found(names, of: "environment", in: space.link("Environments"))
    }

    private func found(_ names: [String], of type: String, in link: String) throws(OctopusError) -> [Named] {
        var items = try self.items(link)
        let unknown = names.filter { Self.found($0, among: items) == nil }
        if !unknown.isEmpty {
            // An id of something that the list leaves out.
            items += try self.items(link, ["ids": unknown.joined(separator: ",")])
        }
        return try Self.found(names, among: items, type: type)
    }

    private static func found(
        _ names: [String],
        among items: [JSONValue],
        type: String
    ) throws(OctopusError) -> [Named] {
        let unknown = names.filter { Self.found($0, among: items) == nil }
        guard unknown.isEmpty else {
            throw OctopusError(
                .refused,
                unknown.count == 1
                    ? "Could not find the \(type) with name, slug or Id \(unknown[0]) on the Octopus Server. "
                        + "Ensure the \(type) exists and you have permission to access it."
                    : "Could not find the \(type)s with names, slugs or Ids: \(unknown.joined(separator: ", ")) on the "
                        + "Octopus Server. Ensure the \(type)s exist and you have permission to access them."
            )
        }
        var result: [Named] = []
        for item in names.compactMap({ Self.found($0, among: items) }) {
            if !result.contains(where: { $0.id == item.id }) { result.append(item) }
        }
        return result
    }

    /// By name, then by slug, then by id.
    private static func found(_ name: String, among items: [JSONValue]) -> Named? {
        for member in ["Name", "Slug", "Id"] {
            guard let item = items.first(where: { $0.text(member)?.comparable == name.comparable }) else { continue }
            return item.text("Id").map { ($0, item.text("Name") ?? $0) }
        }
        return nil
    }

    private func identifier(named name: String, of type: String, in link: String) throws(OctopusError) -> String {
        let item = try self.items(link).first { $0.text("Name")?.comparable == name.comparable }
        guard let id = item?.text("Id") else { throw Self.notFound(type, name) }
        return id
    }

    private func canonicalTags(_ tags: [String], in link: String) throws(OctopusError) -> [String] {
        let known = try self.items(link).flatMap { $0["Tags"]?.items ?? [] }.compactMap { $0.text("CanonicalTagName") }
        return try tags.map { tag throws(OctopusError) in
            guard let canonical = known.first(where: { $0.comparable == tag.comparable }) else {
                throw Self.notFound("tag", tag)
            }
            return canonical
        }
    }

    private static func notFound(_ type: String, _ name: String) -> OctopusError {
        let thing = type == "proxy name" ? "proxy" : type
        return OctopusError(
            .refused,
            "Could not find the \(type) named \(name) on the Octopus Server. "
                + "Ensure the \(thing) exists and you have permission to access it."
        )
    }
}
