import Foundation
import HTTPTypes
import Hummingbird
import SecureTransport
import ServerDomain
import ServerStore
import Synchronization
import Testing

@testable import DeploymentServer

/// Signing in with a password.
@Suite(.timeLimit(.minutes(4))) struct SessionTests {
    /// One digest for all: it is slow on purpose.
    private static let digest = Result { try PasswordDigest(of: "correct horse") }

    private static func with(_ body: @Sendable @escaping (TestServer) async throws -> Void) async throws {
        let digest = try digest.get()
        try await TestServer.with(runTasks: false) { server in
            try await server.store.write { tx in
                guard var admin = try tx.all(User.self).first else { return }
                admin.password = digest
                try tx.update(admin)
            }
            try await body(server)
        }
    }

    private static func signIn(
        _ server: TestServer,
        _ password: String = "correct horse",
        as name: String = "Admin",
        secure: Bool = false
    ) async -> Response {
        let body = """
            {"Username":"\(name)","Password":"\(password)","RememberMe":false,"State":{"UsingSecureConnection":\(secure)}}
            """
        return await server.send("POST", "/api/users/login", body, key: nil)
    }

    /// The cookies of an answer as a client sends them back, and the one against forgery.
    private static func cookies(_ response: Response) throws -> (all: String, forgery: String) {
        let pairs = response.headers[values: .setCookie].map { String($0.prefix { $0 != ";" }) }
        let forgery = try #require(pairs.first { $0.hasPrefix("Octopus-Csrf-Token") })
        #expect(pairs.count == 2)
        return (pairs.joined(separator: "; "), String(forgery.drop { $0 != "=" }.dropFirst()))
    }

    @Test("a password starts a session: reads need its cookie, changes its second token, too")
    func session() async throws {
        try await Self.with { server in
            let response = await Self.signIn(server)
            #expect(response.status == .ok)
            #expect(try await response.text().contains("\"Username\":\"admin\""))
            let identity = try #require(response.headers[values: .setCookie].first)
            #expect(identity.hasPrefix("OctopusIdentificationToken_"))
            #expect(identity.contains("HttpOnly") && identity.contains("SameSite=Strict"))
            #expect(!identity.contains("Secure"))
            let (cookies, forgery) = try Self.cookies(response)
            let me = await server.send("GET", "/api/users/me", headers: [.cookie: cookies], key: nil)
            #expect(me.status == .ok)
            let header = try #require(HTTPField.Name("X-Octopus-Csrf-Token"))
            let environments = "/api/Spaces-1/environments"
            for headers: HTTPFields in [[.cookie: cookies], [.cookie: cookies, header: "x"], [header: forgery]] {
                let refused = await server.send("POST", environments, "{\"Name\":\"Test\"}", headers: headers, key: nil)
                #expect(refused.status == (headers[.cookie] == nil ? .unauthorized : .forbidden))
            }
            let whole: HTTPFields = [.cookie: cookies, header: forgery]
            let made = await server.send("POST", environments, "{\"Name\":\"Test\"}", headers: whole, key: nil)
            #expect(made.status == .created)
            // Out again.
            let out = await server.send("POST", "/api/users/logout", headers: whole, key: nil)
            #expect(out.status == .ok && out.headers[values: .setCookie].allSatisfy { $0.contains("Max-Age=0") })
            let after = await server.send("GET", "/api/users/me", headers: whole, key: nil)
            #expect(after.status == .unauthorized)
        }
    }

    @Test("a client behind TLS gets cookies that only travel there")
    func secure() async throws {
        try await Self.with { server in
            let response = await Self.signIn(server, secure: true)
            #expect(response.headers[values: .setCookie].allSatisfy { $0.contains("Secure") })
        }
    }

    @Test(
        "what is wrong is refused without saying whether the user exists",
        arguments: [("wrong", "admin"), ("wrong", "nobody"), ("correct horse", "nobody")]
    )
    func wrong(password: String, name: String) async throws {
        try await Self.with { server in
            let response = await Self.signIn(server, password, as: name)
            #expect(response.status == .unauthorized && response.headers[.setCookie] == nil)
            let text = try await response.text()
            #expect(text.contains("Invalid username or password") && !text.contains(password))
        }
    }

    @Test("a user without a password cannot sign in with any")
    func withoutPassword() async throws {
        try await TestServer.with(runTasks: false) { server in
            #expect(await Self.signIn(server, "x").status == .unauthorized)
            #expect(await Self.signIn(server, "").status == .badRequest)
            #expect(await Self.signIn(server, String(repeating: "x", count: 2000)).status == .badRequest)
        }
    }

    @Test("who fails often has to wait, longer each time, even with the right password")
    func slowed() async throws {
        let digest = try PasswordDigest(iterations: 1, salt: [], digest: Self.cheap("right"))
        let time = Mutex(Date(timeIntervalSince1970: 0))
        let check = PasswordCheck(now: { time.withLock { $0 } })
        func pass(_ seconds: TimeInterval) { time.withLock { $0 = $0.addingTimeInterval(seconds) } }
        for _ in 1...PasswordCheck.freeFailures {
            #expect(try await check.check("x", of: "admin", against: digest) == .wrong)
        }
        #expect(try await check.check("right", of: "ADMIN", against: digest) == .tooSoon(seconds: 1))
        // Others do not wait.
        #expect(try await check.check("right", of: "other", against: digest) == .right)
        pass(1)
        #expect(try await check.check("x", of: "admin", against: digest) == .wrong)
        #expect(try await check.check("right", of: "admin", against: digest) == .tooSoon(seconds: 2))
        for _ in 0..<10 {
            pass(60)
            #expect(try await check.check("x", of: "admin", against: digest) == .wrong)
        }
        #expect(try await check.check("right", of: "admin", against: digest) == .tooSoon(seconds: 60))
        pass(60)
        #expect(try await check.check("right", of: "admin", against: digest) == .right)
        #expect(try await check.check("x", of: "admin", against: digest) == .wrong)
    }

    /// PBKDF2-HMAC-SHA256 of one iteration and no salt, for a test that checks many times.
    private static func cheap(_ password: String) throws -> [UInt8] {
        try Cryptography.pbkdf2SHA256(password: Array(password.utf8), salt: [], iterations: 1, keyBytes: 32)
    }

    @Test("passwords are stored as slow, salted digests")
    func stored() throws {
        let (one, other) = (try PasswordDigest(of: "secret"), try PasswordDigest(of: "secret"))
        #expect(one.iterations >= 600_000 && one.salt.count == 16 && one.digest.count == 32)
        #expect(one.salt != other.salt && one.digest != other.digest)
        #expect(try one.matches("secret") && !one.matches("Secret"))
    }

    @Test("the administrator's password comes from a file that only its owner reads")
    func adminPassword() async throws {
        try await TestServer.with(runTasks: false) { server in
            let file = FileManager.default.temporaryDirectory.appendingPathComponent("password-\(UUID().uuidString)")
                .path
            defer { try? FileManager.default.removeItem(atPath: file) }
            func apply(_ text: String, mode: Int) async throws {
                try Data(text.utf8).write(to: URL(fileURLWithPath: file))
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
                try await AdminPassword.apply(file: file, to: server.store)
            }
            for (text, mode, reason) in [
                ("long enough\n", 0o644, "chmod 600"), ("short\n", 0o600, "at least 8"), ("", 0o600, "at least 8"),
                ("two long\nlines here\n", 0o600, "one line"), (String(repeating: "x", count: 2000), 0o600, "1024"),
            ] {
                let error = await #expect(throws: ServerStartError.self) { try await apply(text, mode: mode) }
                #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
            }
            let missing = await #expect(throws: ServerStartError.self) {
                try await AdminPassword.apply(file: "/nowhere/password", to: server.store)
            }
            #expect(missing?.description.contains("/nowhere/password") == true)
            #expect(await Self.signIn(server, "long enough").status == .unauthorized)
            try await apply("long enough\n", mode: 0o600)
            #expect(await Self.signIn(server, "long enough").status == .ok)
        }
    }
}
