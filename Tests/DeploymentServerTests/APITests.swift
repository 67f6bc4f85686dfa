import DeploymentServer
import HTTPTypes
import Hummingbird
import ServerDomain
import ServerStore
import Testing

@Suite(.timeLimit(.minutes(4))) struct APITests {
    @Test("everything but the root needs a key")
    func authentication() async throws {
        try await TestServer.with(runTasks: false) { server in
            for path in ["/api", "/api/"] { #expect(await server.send("GET", path, key: nil).status == .ok) }
            for path in [
                "/api/users/me", "/api/Spaces-1", "/api/Spaces-1/environments", "/api/nowhere", "/api/tasks/x/raw",
            ] {
                for key in [nil, "API-WRONG", "junk", server.key.lowercased()] {
                    let response = await server.send("GET", path, key: key)
                    #expect(response.status == .unauthorized)
                    let text = try await response.text()
                    #expect(text.contains("You must be logged in"))
                }
            }
            let bearer = await server.send(
                "GET",
                "/api/users/me",
                headers: [.authorization: "Bearer \(server.key)"],
                key: nil
            )
            #expect(bearer.status == .ok)
        }
    }

    @Test("keys made over the API work, and stop working when they are deleted")
    func keys() async throws {
        try await TestServer.with(runTasks: false) { server in
            let made = try await server.api("POST", "/api/users/Users-1/apikeys", ["Purpose": "ci"], expecting: 201)
                .members
            let key = try #require(made?.text("ApiKey"))
            #expect(APIKey.isWellFormed(key))
            #expect(await server.send("GET", "/api/users/me", key: key).status == .ok)
            try await server.api("DELETE", "/api/users/Users-1/apikeys/\(made?.text("Id") ?? "")")
            #expect(await server.send("GET", "/api/users/me", key: key).status == .unauthorized)
            let digests = try await server.store.read { try $0.all(APIKey.self) }
            #expect(digests.allSatisfy { !$0.digest.contains("API-") && $0.digest.count == 64 })
        }
    }

    @Test("the three prefixes of a space mean the same", arguments: ["/api/Spaces-1", "/api/spaces/spaces-1", "/api"])
    func prefixes(prefix: String) async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.api("POST", "\(prefix)/environments", ["Name": "Test"], expecting: 201)
            let page = try await server.api("GET", "\(prefix)/environments").members
            #expect(page?["TotalResults"] == 1)
        }
    }

    @Test("unknown things are 404 without Errors; wrong methods 405")
    func notFound() async throws {
        try await TestServer.with(runTasks: false) { server in
            for path in [
                "/api/Spaces-1/environments/Environments-9", "/api/Spaces-9/environments", "/api/tasks/x", "/api/zzz",
            ] {
                let answer = try await server.api("GET", path, expecting: 404).members
                #expect(answer?["Errors"] == nil)
                #expect(answer?.text("ErrorMessage")?.isEmpty == false)
            }
            try await server.api("PATCH", "/api/Spaces-1/environments", [:], expecting: 405)
        }
    }

    @Test(
        "bad bodies are refused with a reason",
        arguments: [
            "", "{", "[]", "{\"Name\":\"\"}", "{\"Name\":\"a\\u0000b\"}", "{\"Name\":\"x\",\"Slug\":\"No Good\"}",
        ]
    )
    func badBodies(body: String) async throws {
        try await TestServer.with(runTasks: false) { server in
            let response = await server.send("POST", "/api/Spaces-1/environments", body, key: server.key)
            #expect(response.status == .badRequest)
            let answer = try JSONValue(parsing: try await response.text()).members
            #expect(answer?["Errors"]?.items?.isEmpty == false)
            #expect(try await server.store.read { try $0.all(DeploymentEnvironment.self) }.isEmpty)
        }
    }

    @Test("a body beyond the limit is refused")
    func tooLarge() async throws {
        try await TestServer.with(runTasks: false) { server in
            let body = "{\"Name\":\"" + String(repeating: "x", count: 4 * 1024 * 1024) + "\"}"
            let response = await server.send("POST", "/api/Spaces-1/environments", body, key: server.key)
            #expect(response.status == .contentTooLarge)
        }
    }

    @Test("PUT and DELETE in a POST with the override header")
    func methodOverride() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.api("POST", "/api/Spaces-1/environments", ["Name": "Test"], expecting: 201)
            let name = try #require(HTTPField.Name("X-HTTP-Method-Override"))
            let path = "/api/Spaces-1/environments/Environments-1"
            let put = await server.send("POST", path, "{\"Name\":\"Stage\"}", headers: [name: "PUT"], key: server.key)
            #expect(try await put.text().contains("\"Name\":\"Stage\""))
            let delete = await server.send("POST", path, headers: [name: "DELETE"], key: server.key)
            #expect(delete.status == .ok && delete.headers[.contentLength] == "0")
            try await server.api("GET", path, expecting: 404)
        }
    }

    @Test("pages link to the next one only when there is one, and keep the filter")
    func pages() async throws {
        try await TestServer.with(runTasks: false) { server in
            for index in 1...5 {
                try await server.api(
                    "POST",
                    "/api/Spaces-1/environments",
                    ["Name": "Env \(String(index))"],
                    expecting: 201
                )
            }
            var path: String? = "/api/Spaces-1/environments?partialName=env%20&take=2&Name="
            var names: [String] = []
            while let current = path {
                let page = try #require(try await server.api("GET", current).members)
                #expect(page["TotalResults"] == 5)
                names += page["Items"]?.items?.compactMap { $0.members?.text("Name") } ?? []
                path = page["Links"]?.members?.text("Page.Next")
                if let path { #expect(path.contains("partialName=env%20")) }
            }
            #expect(names == (1...5).map { "Env \($0)" })
            let huge = try await server.api("GET", "/api/Spaces-1/environments?take=9223372036854775807&skip=1").members
            #expect(huge?["Items"]?.items?.count == 4)
        }
    }

    @Test("an update of a process must name its version; ids given stay")
    func processVersion() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: [])
            let path = "/api/Spaces-1/deploymentprocesses/deploymentprocess-Projects-1"
            let current = try #require(try await server.api("GET", path).members)
            #expect(current["Version"] == 1)
            var stale = current
            stale["Version"] = 0
            try await server.api("PUT", path, .object(stale), expecting: 409)
            let updated = try await server.api("PUT", path, .object(current)).members
            #expect(updated?["Version"] == 2)
            #expect(updated?["Steps"] == current["Steps"])
        }
    }

    @Test("releases: versions count up, a second one of the same version is refused")
    func releases() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: [])
            let path = "/api/Spaces-1/releases/create/v1"
            for expected in ["0.0.1", "0.0.2"] {
                let answer = try await server.api("POST", path, ["projectName": "web"]).members
                #expect(answer?.text("ReleaseVersion") == expected)
            }
            let again: JSONValue = ["projectName": "Projects-1", "releaseVersion": "0.0.2"]
            let refused = try await server.api("POST", path, again, expecting: 400).members
            #expect(
                refused?["Errors"]?.texts?.first?.hasPrefix("Release 0.0.2 already exists for this project.") == true
            )
            var tolerated = try #require(again.members)
            tolerated["ignoreIfAlreadyExists"] = true
            #expect(try await server.api("POST", path, .object(tolerated)).members?.text("ReleaseId") == "Releases-2")
            try await server.api("POST", path, ["projectName": "nobody"], expecting: 404)
            let found = try await server.api("GET", "/api/Spaces-1/projects/web/releases/0.0.1").members
            #expect(found?.text("Id") == "Releases-1")
        }
    }

    @Test("a project without steps cannot be released")
    func emptyProcess() async throws {
        try await TestServer.with(runTasks: false) { server in
            let project: JSONValue = [
                "Name": "Web", "ProjectGroupId": "ProjectGroups-1", "LifecycleId": "Lifecycles-1",
            ]
            try await server.api("POST", "/api/Spaces-1/projects", project, expecting: 201)
            try await server.api("POST", "/api/Spaces-1/releases/create/v1", ["projectName": "Web"], expecting: 400)
        }
    }

    @Test(
        "machines that cannot be right are refused",
        arguments: [
            ("EnvironmentIds", []), ("EnvironmentIds", ["Environments-9"]), ("Roles", []), ("Roles", "web"),
            ("Name", ""),
            ("Endpoint", nil), ("Endpoint", ["CommunicationStyle": "Ssh", "Uri": "https://a:1/", "Thumbprint": "x"]),
        ] as [(String, JSONValue)]
    )
    func badMachines(member: String, value: JSONValue) async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: [])
            var body = try #require(TestServer.machine("web01").members)
            body[member] = value
            let answer = try await server.api("POST", "/api/Spaces-1/machines", .object(body), expecting: 400).members
            #expect(answer?["Errors"]?.items?.isEmpty == false)
            #expect(try await server.store.read { try $0.all(DeploymentTarget.self) }.isEmpty)
            #expect(server.gateway.agents.isEmpty)
        }
    }

    @Test("the directory of agents follows every change of machines")
    func directory() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: ["web01"])
            #expect(server.gateway.agents.map(\.name) == ["web01"])
            try await server.api("POST", "/api/Spaces-1/machines", TestServer.machine("WEB01"), expecting: 400)
            let other = TestServer.machine("web02", style: "TentacleActive", uri: "poll://ABC")
            let made = try await server.api("POST", "/api/Spaces-1/machines", other, expecting: 201).members
            #expect(made?["Endpoint"]?.members?.text("Uri") == "poll://ABC")
            #expect(Set(server.gateway.agents.map(\.name)) == ["web01", "web02"])
            try await server.api("PUT", "/api/Spaces-1/machines/Machines-1", ["Name": "renamed"])
            try await server.api("DELETE", "/api/Spaces-1/machines/Machines-2")
            #expect(server.gateway.agents.map(\.name) == ["renamed"])
            let byThumbprint = try await server.api(
                "GET",
                "/api/Spaces-1/machines/all?thumbprint=\(String(repeating: "B", count: 40))"
            )
            #expect(byThumbprint.items?.count == 1)
        }
    }

    @Test("discovery shows the certificate at an address, without storing anything")
    func discovery() async throws {
        try await TestServer.with(runTasks: false) { server in
            let path = "/api/Spaces-1/machines/discover"
            let found = try await server.api("GET", "\(path)?host=web01&port=10933&type=TentaclePassive").members
            #expect(found?["Id"] == JSONValue.null)
            #expect(found?["Endpoint"]?.members?.text("Uri") == "https://web01:10933/")
            for query in ["host=web01&type=Ssh", "host=web01&port=x", "port=1", "host=nowhere"] {
                try await server.api("GET", "\(path)?\(query)", expecting: 400)
            }
            #expect(try await server.store.read { try $0.all(DeploymentTarget.self) }.isEmpty)
        }
    }

    @Test("an environment in use is kept")
    func environmentInUse() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject()
            let answer = try await server.api("DELETE", "/api/Spaces-1/environments/Environments-1", expecting: 400)
                .members
            #expect(answer?["Errors"]?.texts?.first?.contains("1 machine(s)") == true)
        }
    }

    @Test("what registration asks for is there")
    func registration() async throws {
        try await TestServer.with(runTasks: false) { server in
            let root = try await server.api("GET", "/api").members
            let links = root?["Links"]?.members
            for name in [
                "Spaces", "SpaceHome", "CurrentUser", "SignIn", "CertificateConfiguration", "Machines", "Environments",
            ] {
                #expect(links?.text(name)?.isEmpty == false, "\(name)")
            }
            let me = try await server.api("GET", "/api/users/me").members
            let spaces = try await server.api("GET", try #require(me?["Links"]?.members?.text("Spaces")))
            #expect(spaces.items?.first?.members?.flag("IsDefault") == true)
            let certificate = try await server.api("GET", "/api/configuration/certificates/certificate-global").members
            #expect(certificate?.text("Thumbprint")?.count == 40)
            try await server.api("POST", "/api/Spaces-1/environments", ["Name": "Test"], expecting: 201)
            let environments = try await server.api("GET", "/api/Spaces-1/environments/v2?skip=0&take=2147483647")
                .members
            #expect(environments?["Items"]?.items?.first?.members?.text("Type") == "Static")
            for path in ["proxies", "machinepolicies", "workerpools", "tenants", "tagsets", "machines?name=web01"] {
                let page = try await server.api("GET", "/api/Spaces-1/\(path)").members
                #expect(page?["Items"]?.items != nil && page?["Links"]?.members != nil)
            }
        }
    }
}
