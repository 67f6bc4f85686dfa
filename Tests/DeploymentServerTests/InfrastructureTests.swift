import DeploymentServer
import ServerDomain
import ServerStore
import Testing

/// Workers and all that agents refer to.
@Suite(.timeLimit(.minutes(4))) struct InfrastructureTests {
    private static let space = "/api/Spaces-1"

    static func worker(_ name: String, uri: String? = nil, thumbprint: String = "C") -> JSONValue {
        [
            "Name": .string(name), "WorkerPoolIds": ["workerpools-1"], "SkipInitialHealthCheck": true,
            "Endpoint": [
                "CommunicationStyle": .string(uri == nil ? "TentaclePassive" : "TentacleActive"),
                "Uri": .string(uri ?? "https://\(name):10933/"),
                "Thumbprint": .string(String(repeating: thumbprint, count: 40)),
            ],
        ]
    }

    private static func errors(_ answer: JSONValue) -> String {
        answer.members?["Errors"]?.texts?.joined(separator: "\n") ?? ""
    }

    // MARK: Workers

    @Test("a worker is stored, found, changed and deleted; the directory follows")
    func workers() async throws {
        try await TestServer.with(runTasks: false) { server in
            let path = "\(Self.space)/workers"
            let made = try await server.api("POST", path, Self.worker("build01"), expecting: 201).members
            #expect(made?.text("Id") == "Workers-1")
            // By the id that the pool has, not as it was written.
            #expect(made?["WorkerPoolIds"] == ["WorkerPools-1"])
            #expect(made?["EnvironmentIds"] == nil && made?["TenantIds"] == nil)
            #expect(made?.text("MachinePolicyId") == "MachinePolicies-1")
            #expect(server.gateway.agents.map(\.name) == ["build01"])
            let thumbprint = String(repeating: "c", count: 40)
            for (query, count) in [
                ("/all?thumbprint=\(thumbprint)", 1), ("/all?thumbprint=AA", 0), ("/all?name=BUILD01", 1),
                ("/all?workerPoolIds=WorkerPools-1", 1), ("/all?workerPoolIds=WorkerPools-2", 0),
                ("/all?commStyles=TentacleActive", 0),
            ] {
                #expect(try await server.api("GET", path + query).items?.count == count, "\(query)")
            }
            let page = try await server.api("GET", "\(Self.space)/workerpools/WorkerPools-1/workers").members
            #expect(page?["Items"]?.items?.first?.members?.text("Name") == "build01")
            let connection = try await server.api("GET", "\(path)/Workers-1/connection").members
            #expect(connection?.text("Status") == "Unknown")
            try await server.api("PUT", "\(path)/Workers-1", ["Name": "build02", "IsDisabled": true])
            #expect(try await server.api("GET", "\(path)/Workers-1").members?.text("Status") == "Disabled")
            try await server.api("DELETE", "\(path)/Workers-1")
            #expect(server.gateway.agents.isEmpty)
            try await server.api("GET", "\(path)/Workers-1", expecting: 404)
        }
    }

    @Test(
        "workers that cannot be right are refused",
        arguments: [
            ("WorkerPoolIds", []), ("WorkerPoolIds", ["WorkerPools-9"]), ("Name", ""), ("Endpoint", nil),
            ("MachinePolicyId", "MachinePolicies-9"),
            ("Endpoint", ["CommunicationStyle": "TentaclePassive", "Uri": "https://a:1/", "Thumbprint": "x"]),
            (
                "Endpoint",
                [
                    "CommunicationStyle": "TentaclePassive", "Uri": "https://a:1/", "ProxyId": "Proxies-9",
                    "Thumbprint": "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
                ]
            ),
        ] as [(String, JSONValue)]
    )
    func badWorkers(member: String, value: JSONValue) async throws {
        try await TestServer.with(runTasks: false) { server in
            var body = try #require(Self.worker("build01").members)
            body[member] = value
            let answer = try await server.api("POST", "\(Self.space)/workers", .object(body), expecting: 400)
            #expect(!Self.errors(answer).isEmpty)
            #expect(try await server.store.read { try $0.all(Worker.self) }.isEmpty)
            #expect(server.gateway.agents.isEmpty)
        }
    }

    @Test("a name and a subscription clash is refused, the latter across targets and workers")
    func clashes() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: ["same"])
            let path = "\(Self.space)/workers"
            try await server.api("POST", path, Self.worker("same", uri: "poll://one/"), expecting: 201)
            let again = try await server.api("POST", path, Self.worker("SAME"), expecting: 400)
            #expect(Self.errors(again).contains("A worker with this name already exists"))
            let other = Self.worker("other", uri: "poll://ONE", thumbprint: "D")
            let worker = try await server.api("POST", path, other, expecting: 400)
            #expect(Self.errors(worker).contains("belongs to the worker 'same'"))
            let target = TestServer.machine("other", style: "TentacleActive", uri: "poll://one/")
            let machine = try await server.api("POST", "\(Self.space)/machines", target, expecting: 400)
            #expect(Self.errors(machine).contains("belongs to the worker 'same'"))
        }
    }

    @Test("a worker is checked on registration and on demand")
    func health() async throws {
        try await TestServer.with { server in
            var body = try #require(Self.worker("build01").members)
            body["SkipInitialHealthCheck"] = nil
            try await server.api("POST", "\(Self.space)/workers", .object(body), expecting: 201)
            #expect(try await server.finished("ServerTasks-1").state == "Success")
            for arguments in [
                ["MachineIds": ["Workers-1"]], ["WorkerpoolId": "WorkerPools-1"], ["RestrictedTo": "Workers"],
            ] as [JSONValue] {
                let wish: JSONValue = ["Name": "Health", "Arguments": arguments]
                let task = try await server.api("POST", "\(Self.space)/tasks", wish, expecting: 201).members
                #expect(task?["Arguments"]?.members?["MachineIds"] == ["Workers-1"])
                #expect(try await server.finished(task?.text("Id") ?? "").state == "Success")
            }
            let worker = try await server.api("GET", "\(Self.space)/workers/Workers-1").members
            #expect(worker?.text("HealthStatus") == "Healthy")
            let tasks = try await server.api("GET", "\(Self.space)/workers/Workers-1/tasks").members
            #expect(tasks?["TotalResults"] == 4)
            // Nobody is a target.
            try await server.api("POST", "\(Self.space)/tasks", ["Name": "Health"], expecting: 400)
        }
    }

    // MARK: Pools and policies

    @Test("pools come and go; one in use and the default one stay")
    func pools() async throws {
        try await TestServer.with(runTasks: false) { server in
            let path = "\(Self.space)/workerpools"
            let first = try await server.api("GET", path).members?["Items"]?.items?.first?.members
            #expect(first?.text("Name") == "Default Worker Pool" && first?.flag("IsDefault") == true)
            let made = try await server.api("POST", path, ["Name": "Linux"], expecting: 201).members
            #expect(made?.text("Slug") == "linux" && made?.text("WorkerPoolType") == "StaticWorkerPool")
            try await server.api("POST", path, ["Name": "LINUX"], expecting: 400)
            let dynamic: JSONValue = ["Name": "Cloud", "WorkerPoolType": "DynamicWorkerPool"]
            try await server.api("POST", path, dynamic, expecting: 400)
            var body = try #require(Self.worker("build01").members)
            body["WorkerPoolIds"] = ["WorkerPools-2"]
            try await server.api("POST", "\(Self.space)/workers", .object(body), expecting: 201)
            let used = try await server.api("DELETE", "\(path)/WorkerPools-2", expecting: 400)
            #expect(Self.errors(used).contains("it is used by 'build01'"))
            let kept = try await server.api("DELETE", "\(path)/default-worker-pool", expecting: 400)
            #expect(Self.errors(kept).contains("it is the default one"))
            try await server.api("PUT", "\(path)/linux", ["IsDefault": true, "Description": "ours"])
            let defaults = try await server.api("GET", "\(path)/all").items?.filter {
                $0.members?.flag("IsDefault") == true
            }
            #expect(defaults?.compactMap { $0.members?.text("Name") } == ["Linux"])
            try await server.api("DELETE", "\(path)/WorkerPools-1")
        }
    }

    @Test("policies come and go; one in use and the default one stay")
    func policies() async throws {
        try await TestServer.with(runTasks: false) { server in
            let path = "\(Self.space)/machinepolicies"
            let connectivity: JSONValue = ["MachineConnectivityBehavior": "MayBeOfflineAndCanBeSkipped"]
            let wish: JSONValue = [
                "Name": "Lab", "MachineConnectivityPolicy": connectivity, "MachineUpdatePolicy": nil,
            ]
            let made = try await server.api("POST", path, wish, expecting: 201).members
            #expect(made?["MachineConnectivityPolicy"] == connectivity)
            #expect(made?["MachineUpdatePolicy"]?.members?.text("TentacleUpdateBehavior") == "NeverUpdate")
            #expect(made?.flag("IsDefault") == false)
            try await server.makeProject(machines: ["web01"])
            let machine = "\(Self.space)/machines/Machines-1"
            try await server.api("PUT", machine, ["MachinePolicyId": "machinepolicies-2"])
            #expect(try await server.api("GET", machine).members?.text("MachinePolicyId") == "MachinePolicies-2")
            try await server.api("PUT", machine, ["Name": "web02"])
            #expect(try await server.api("GET", machine).members?.text("MachinePolicyId") == "MachinePolicies-2")
            try await server.api("DELETE", "\(path)/MachinePolicies-2", expecting: 400)
            try await server.api("PUT", machine, ["MachinePolicyId": nil])
            try await server.api("DELETE", "\(path)/MachinePolicies-2")
            try await server.api("DELETE", "\(path)/MachinePolicies-1", expecting: 400)
        }
    }

    // MARK: Proxies

    @Test("a proxy's password is used, and never given back")
    func proxies() async throws {
        try await TestServer.with(runTasks: false) { server in
            let path = "\(Self.space)/proxies"
            let wish: JSONValue = [
                "Name": "Lab", "Host": "proxy.lab", "Port": 3128, "Username": "octo",
                "Password": ["HasValue": true, "NewValue": "hunter2"],
            ]
            let made = try await server.api("POST", path, wish, expecting: 201)
            #expect(made.members?["Password"] == ["HasValue": true, "NewValue": nil, "Hint": nil])
            let listed = try await server.api("GET", path)
            for answer in [made, listed] {
                #expect(!String(decoding: answer.serialized(), as: UTF8.self).contains("hunter2"))
            }
            #expect(server.gateway.proxies.map(\.password) == ["hunter2"])
            // What was read is sent back: the password stays, until it is cleared.
            try await server.api("PUT", "\(path)/Proxies-1", made)
            #expect(server.gateway.proxies.map(\.password) == ["hunter2"])
            try await server.makeProject(machines: [])
            var machine = try #require(TestServer.machine("web01").members)
            var endpoint = try #require(machine["Endpoint"]?.members)
            endpoint["ProxyId"] = "Proxies-1"
            machine["Endpoint"] = .object(endpoint)
            let target = try await server.api("POST", "\(Self.space)/machines", .object(machine), expecting: 201)
            #expect(target.members?["Endpoint"]?.members?.text("ProxyId") == "Proxies-1")
            let used = try await server.api("DELETE", "\(path)/Proxies-1", expecting: 400)
            #expect(Self.errors(used).contains("it is used by 'web01'"))
            try await server.api("PUT", "\(path)/Proxies-1", ["Password": ["HasValue": false]])
            #expect(server.gateway.proxies.map(\.password) == [nil])
            try await server.api("DELETE", "\(Self.space)/machines/Machines-1")
            try await server.api("DELETE", "\(path)/Proxies-1")
            #expect(server.gateway.proxies.isEmpty)
        }
    }

    @Test(
        "proxies that cannot be right are refused",
        arguments: [
            ("Host", ""), ("Host", "http://proxy"), ("Host", "a b"), ("Port", 0), ("Port", "x"), ("Port", 70_000),
            ("ProxyType", "SOCKS"), ("Username", nil),
        ] as [(String, JSONValue)]
    )
    func badProxies(member: String, value: JSONValue) async throws {
        try await TestServer.with(runTasks: false) { server in
            var body: JSONObject = [
                "Name": "Lab", "Host": "proxy", "Port": 3128, "Username": "u", "Password": "hunter2",
            ]
            body[member] = value
            let answer = try await server.api("POST", "\(Self.space)/proxies", .object(body), expecting: 400)
            #expect(!Self.errors(answer).isEmpty && !Self.errors(answer).contains("hunter2"))
            #expect(server.gateway.proxies.isEmpty)
        }
    }

    @Test("a polling endpoint cannot have a proxy")
    func pollingProxy() {
        let endpoint = AgentEndpoint(
            style: .polling,
            uri: "poll://a/",
            thumbprint: String(repeating: "A", count: 40),
            proxyID: "Proxies-1"
        )
        #expect(endpoint.problem?.contains("only a listening endpoint can have a proxy") == true)
    }

    // MARK: Tenants

    private static func makeTags(_ server: TestServer) async throws -> JSONObject {
        let wish: JSONValue = ["Name": "Region", "Tags": [["Name": "North", "Color": "#111111"], ["Name": "South"]]]
        return try #require(try await server.api("POST", "\(space)/tagsets", wish, expecting: 201).members)
    }

    @Test("targets keep tenants, tags and participation, by the names the server has for them")
    func tenants() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: [])
            let set = try await Self.makeTags(server)
            let canonical = set["Tags"]?.items?.compactMap { $0.members?.text("CanonicalTagName") }
            #expect(canonical == ["Region/North", "Region/South"])
            let tenant: JSONValue = ["Name": "Acme Corp", "TenantTags": ["region/south"]]
            let made = try await server.api("POST", "\(Self.space)/tenants", tenant, expecting: 201).members
            #expect(made?.text("Slug") == "acme-corp" && made?["TenantTags"] == ["Region/South"])
            var machine = try #require(TestServer.machine("web01").members)
            machine["TenantIds"] = ["tenants-1", "Tenants-1"]
            machine["TenantTags"] = ["REGION/north"]
            machine["TenantedDeploymentParticipation"] = "tenanted"
            let path = "\(Self.space)/machines"
            let stored = try await server.api("POST", path, .object(machine), expecting: 201).members
            #expect(stored?["TenantIds"] == ["Tenants-1"] && stored?["TenantTags"] == ["Region/North"])
            #expect(stored?.text("TenantedDeploymentParticipation") == "Tenanted")
            for (query, count) in [("tenantIds=Tenants-1", 1), ("tenantTags=Region%2FSouth", 0)] {
                #expect(try await server.api("GET", "\(Self.space)/machines/all?\(query)").items?.count == count)
            }
            for (query, count) in [
                ("tenants?tags=region/south", 1), ("tenants?tags=Region/South,Region/North", 0),
                ("tagsets?scopes=Tenant", 1), ("tagsets?scopes=Project", 0),
            ] {
                let page = try await server.api("GET", "\(Self.space)/\(query)").members
                #expect(page?["Items"]?.items?.count == count, "\(query)")
            }
            // In use.
            try await server.api("DELETE", "\(Self.space)/tenants/acme-corp", expecting: 400)
            try await server.api("DELETE", "\(Self.space)/tagsets/region", expecting: 400)
        }
    }

    @Test(
        "tenants, tags and participations that do not exist are refused",
        arguments: [
            ("TenantIds", ["Tenants-9"]), ("TenantTags", ["Region/West"]), ("TenantTags", ["North"]),
            ("TenantedDeploymentParticipation", "Sometimes"),
        ] as [(String, JSONValue)]
    )
    func badTenants(member: String, value: JSONValue) async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: [])
            _ = try await Self.makeTags(server)
            var machine = try #require(TestServer.machine("web01").members)
            machine[member] = value
            let answer = try await server.api("POST", "\(Self.space)/machines", .object(machine), expecting: 400)
            #expect(!Self.errors(answer).isEmpty)
            #expect(server.gateway.agents.isEmpty)
        }
    }

    @Test("a tag that gets another name is followed; one in use cannot be taken away")
    func renamedTags() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: [])
            var set = try await Self.makeTags(server)
            var machine = try #require(TestServer.machine("web01").members)
            machine["TenantTags"] = ["Region/North"]
            try await server.api("POST", "\(Self.space)/machines", .object(machine), expecting: 201)
            let path = "\(Self.space)/tagsets/TagSets-1"
            var tags = (set["Tags"]?.items ?? []).compactMap(\.members)
            try #require(tags.count == 2)
            tags[0]["Name"] = "Far north"
            (set["Name"], set["Tags"]) = ("Area", .array(tags.map(JSONValue.object)))
            let renamed = try await server.api("PUT", path, .object(set)).members
            #expect(renamed?["Tags"]?.items?.first?.members?.text("Color") == "#111111")
            let stored = try await server.api("GET", "\(Self.space)/machines/Machines-1").members
            #expect(stored?["TenantTags"] == ["Area/Far north"])
            set["Tags"] = .array([.object(tags[1])])
            let refused = try await server.api("PUT", path, .object(set), expecting: 400)
            #expect(Self.errors(refused).contains("'Area/Far north' cannot be deleted: it is used by 'web01'"))
            for bad: JSONValue in [[["Name": "a/b"]], [["Name": ""]], [["Name": "a"], ["Name": "A"]], "x", ["x"]] {
                try await server.api("PUT", path, ["Tags": bad], expecting: 400)
            }
            set["Tags"] = .array([.object(tags[0])])
            #expect(try await server.api("PUT", path, .object(set)).members?["Tags"]?.items?.count == 1)
        }
    }

    @Test(
        "a target for tenants only takes no untenanted deployment",
        arguments: DeploymentTarget.Participation.allCases
    )
    func untenanted(participation: DeploymentTarget.Participation) {
        let target = DeploymentTarget(
            id: "Machines-1",
            spaceID: "Spaces-1",
            name: "web01",
            slug: "web01",
            environmentIDs: ["Environments-1"],
            roles: ["web"],
            participation: participation,
            endpoint: AgentEndpoint(style: .polling, uri: "poll://a/", thumbprint: "")
        )
        #expect(target.matches(environmentID: "Environments-1", roles: ["web"]) == (participation != .tenanted))
    }
}
