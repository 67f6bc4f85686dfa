import DeploymentServer
import HTTPTypes
import Hummingbird
import NIOCore
import ServerDomain
import ServerStore
import Synchronization
import TentacleContracts
import Testing

@Suite(.timeLimit(.minutes(4))) struct PortalTests {
    @Test("nothing is shown without signing in", arguments: ["/", "/tasks/ServerTasks-1", "/tasks/ServerTasks-1/log"])
    func signedOut(path: String) async throws {
        try await TestServer.with(runTasks: false) { server in
            let response = await server.send("GET", path, key: nil)
            #expect(response.status == .seeOther)
            #expect(response.headers[.location]?.hasPrefix("/login") == true)
            let text = try await response.text()
            #expect(text.isEmpty)
        }
    }

    @Test("the events need a session, too")
    func events() async throws {
        try await TestServer.with(runTasks: false) { server in
            let response = await server.send(
                "GET",
                "/tasks/ServerTasks-1/events",
                headers: [.accept: "text/event-stream"],
                key: nil
            )
            #expect(response.status == .unauthorized)
        }
    }

    static func signIn(_ server: TestServer, next: String = "/") async -> Response {
        await server.send("POST", "/login", "apikey=\(server.key)&next=\(next)", key: nil)
    }

    @Test("signing in sets a cookie that scripts and other sites cannot use")
    func cookie() async throws {
        try await TestServer.with(runTasks: false) { server in
            let wrong = await server.send("POST", "/login", "apikey=API-WRONG", key: nil)
            #expect(wrong.status == .unauthorized && wrong.headers[.setCookie] == nil)
            let response = await Self.signIn(server, next: "/tasks/ServerTasks-1")
            #expect(response.status == .seeOther && response.headers[.location] == "/tasks/ServerTasks-1")
            let cookie = try #require(response.headers[.setCookie])
            #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(server.key))
            let token = String(cookie.prefix { $0 != ";" })
            let index = await server.send("GET", "/", headers: [.cookie: token], key: nil)
            #expect(index.status == .ok)
            #expect(index.headers[.contentSecurityPolicy]?.contains("default-src 'none'") == true)
            _ = await server.send("POST", "/logout", headers: [.cookie: token], key: nil)
            #expect(await server.send("GET", "/", headers: [.cookie: token], key: nil).status == .seeOther)
        }
    }

    @Test(
        "signing in leads nowhere else",
        arguments: ["https://evil.example/", "//evil.example", "/%5Cevil.example", "x"]
    )
    func openRedirect(next: String) async throws {
        try await TestServer.with(runTasks: false) { server in
            let response = await Self.signIn(server, next: next)
            #expect(response.headers[.location] == "/")
        }
    }

    @Test("names and texts are escaped")
    func escaped() async throws {
        try await TestServer.with(runTasks: false) { server in
            try await server.makeProject(machines: ["<script>alert(1)</script>"])
            let page = try await server.send("GET", "/", key: server.key).text()
            #expect(!page.contains("<script>alert"))
            #expect(page.contains("&lt;script&gt;alert(1)"))
        }
    }

    @Test("the live log has every line once, and ends with the task")
    func liveLog() async throws {
        let started = CancelSignal()
        let mayEnd = CancelSignal()
        let gateway = FakeGateway(start: { command, _ in
            started.cancel()
            await mayEnd.wait()
            return .complete(command.scriptTicket, ["Hello <b>", "two"])
        })
        try await TestServer.with(gateway) { server in
            try await server.makeProject()
            let id = try await server.deploy()
            await started.wait()
            let response = await server.send("GET", "/tasks/\(id)/events", key: server.key)
            #expect(response.headers[.contentType]?.hasPrefix("text/event-stream") == true)
            let text = Mutex("")
            let writer = BodyCollector { part in
                text.withLock { $0 += String(buffer: part) }
                // The first part came while the script was still running: only now it may end.
                mayEnd.cancel()
            }
            // Returns by itself: the stream ends with the task.
            try await response.body.write(writer)
            let events = text.withLock { $0 }
            #expect(events.contains(#""text":"Hello <b>""#))
            #expect(
                events.split(separator: "\n").filter { $0.hasPrefix("id: ") }.count
                    == Set(events.split(separator: "\n").filter { $0.hasPrefix("id: ") }).count
            )
            #expect(events.contains("event: end\ndata: {\"state\":\"Success\""))
            #expect(server.runner.hub.readerCount == 0)
        }
    }

    @Test("a reader that comes back gets only what it has not seen")
    func resumed() async throws {
        try await TestServer.with { server in
            try await server.makeProject()
            let id = try await server.deploy()
            _ = try await server.finished(id)
            let last = try await server.store.read { try $0.lastSequence(taskID: id) }
            let name = try #require(HTTPField.Name("Last-Event-ID"))
            let response = await server.send(
                "GET",
                "/tasks/\(id)/events",
                headers: [name: "\(last - 1)"],
                key: server.key
            )
            let events = try await response.text()
            #expect(events.split(separator: "\n").filter { $0.hasPrefix("id: ") } == ["id: \(last)"])
        }
    }
}
