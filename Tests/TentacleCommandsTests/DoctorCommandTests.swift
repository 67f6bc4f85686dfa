import AgentConfiguration
import Foundation
import LauncherProtocol
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

/// Whatever answers on the network: one certificate, one clock, for every address but those that fail.
private struct FakeNetwork: HTTPTransport {
    var certificate: String?
    var date: Int?
    var failure: TransportError?
    var body = #"{"Version":"2025.4.1"}"#

    func send(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) -> HTTPResponse {
        if let failure { throw failure }
        var response = HTTPResponse(status: 200, body: Array(self.body.utf8))
        response.date = self.date
        if options.showsCertificate {
            response.certificate = self.certificate
            response.address = "192.0.2.7"
        }
        return response
    }
}

@Suite struct DoctorCommandTests {
    private struct Check: Decodable, Equatable {
        var check: String
        var outcome: String
        var detail: String
        var next: String?
    }

    private struct Report: Decodable {
        var instance: String?
        var configuration: String?
        var healthy: Bool
        var checks: [Check]

        func all(_ name: String) -> [Check] { self.checks.filter { $0.check == name } }

        func outcome(_ name: String) -> String? { self.all(name).first?.outcome }
    }

    private static let now: Int64 = 1_800_000_000

    private static func examine(_ world: TestWorld, _ options: String...) throws -> (report: Report, code: Int32) {
        let outcome = world.run(["doctor", "--format=json"] + options)
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        // Whoever reads it has a next step for every failure, and scripts have the exit code.
        for check in report.checks where check.outcome == "fail" || check.outcome == "warn" {
            #expect(check.next?.isEmpty == false, "\(check)")
        }
        #expect(report.healthy == (outcome.exitCode == 0))
        #expect(outcome.errors.isEmpty == report.healthy)
        return (report, outcome.exitCode)
    }

    /// An agent that runs, listens, and is trusted by one server that it polls.
    private static func withHealthyWorld(
        _ change: (inout FakeNetwork) -> Void = { _ in },
        _ body: (TestWorld) async throws -> Void
    ) async throws {
        let identity = try TestIdentity.shared.get()
        var network = FakeNetwork(certificate: try identity.pem(), date: Int(Self.now))
        change(&network)
        try await TestWorld.with(network) { world in
            try world.makeInstance()
            try DurableFile.makeDirectory(world.path + "/apps")
            #expect(world.run("configure", "--app", world.path + "/apps").exitCode == 0)
            try world.trust(
                TrustedServer(
                    thumbprint: identity.thumbprint.description,
                    communicationStyle: .polling,
                    address: "https://octopus.example.com:10943",
                    subscriptionID: "poll://bcdfghjkmnpqrstvwxyz/"
                )
            )
            try world.write("", "home/livez.heartbeat")
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: Double(Self.now - 3))],
                ofItemAtPath: world.path + "/home/livez.heartbeat"
            )
            try world.write("", "run/systemd/timesync/synchronized")
            world.context.now = { .init(sinceEpoch: Self.now * 1_000_000) }
            world.context.resolveName = { _ in nil }
            world.context.diskSpace = { _ in
                DiskSpace(freeBytes: 50 << 30, freeInodes: 1_000_000, hasInodes: true)
            }
            world.context.host.environment["TENTACLE_LAUNCHER"] = "/opt/octopus/tentacle/tentacle-launcher"
            world.context.runProgram = { _, _ in ProgramEnd(status: 0) }
            try await body(world)
        }
    }

    @Test("a healthy agent: every line passes, in an order that stays")
    func healthy() async throws {
        try await Self.withHealthyWorld { world in
            let (report, code) = try Self.examine(world, "--server=https://octopus.example.com")
            #expect(code == 0)
            #expect(
                report.checks.map(\.check) == [
                    "instance", "configuration", "permissions", "certificate", "trust", "home", "disk", "applications",
                    "launcher", "sandbox", "systemd", "agent", "clock", "server", "server clock", "port",
                    "web address", "server clock",
                ]
            )
            let others = report.checks.filter { $0.outcome != "pass" }
            #expect(others.map(\.check) == ["systemd"], "\(others)")
            #expect(report.instance == "Tentacle")
            #expect(report.configuration == world.path + "/home/x.config")
            // As text, the same lines.
            let text = world.run("doctor")
            #expect(text.exitCode == 0)
            #expect(text.output.hasPrefix("pass  instance       Tentacle\n"))
            #expect(text.output.hasSuffix("\n15 pass, 1 skip\n"))
            // No colours: nobody said that this is a terminal.
            #expect(!text.output.contains("\u{1B}"))
            world.context.console.usesColours = true
            #expect(world.run("doctor").output.hasPrefix("\u{1B}[32mpass\u{1B}[0m  instance       Tentacle\n"))
        }
    }

    @Test("nothing is configured: the host is looked at all the same")
    func nothing() async throws {
        try await TestWorld.with { world in
            let (report, code) = try Self.examine(world)
            #expect(code == 1)
            #expect(report.instance == nil)
            #expect(report.outcome("instance") == "fail")
            #expect(report.outcome("launcher") == "fail")
            #expect(report.outcome("agent") == "skip")
            let outcome = world.run("doctor", "--instance=nobody")
            #expect(outcome.exitCode == 1)
            #expect(outcome.output.contains("Instance nobody of Tentacle has not been configured on this machine."))
            #expect(outcome.errors == "2 of 6 checks failed.\n")
        }
    }

    @Test("the server's certificate is another one: update-trust is the next step, or somebody listens in")
    func wrongThumbprint() async throws {
        let other = try TLSIdentity.generate()
        let pem = try other.pem()
        try await Self.withHealthyWorld {
            $0.certificate = pem
        } _: { world in
            let (report, _) = try Self.examine(world)
            let server = try #require(report.all("server").first)
            #expect(server.outcome == "fail")
            #expect(server.detail.contains("(192.0.2.7) shows the certificate \(other.thumbprint)"))
            #expect(server.next?.contains("--newThumbprint=\(other.thumbprint)") == true)
            // Nor does the agent itself show its own.
            #expect(report.outcome("port") == "fail")
        }
    }

    @Test("polled servers are told apart as the agent does: by address and subscription")
    func severalSubscriptions() async throws {
        let (shown, other) = (try TestIdentity.shared.get().thumbprint.description, String(repeating: "A", count: 40))
        try await Self.withHealthyWorld { world in
            func entry(_ thumbprint: String, _ subscription: String?) -> TrustedServer {
                TrustedServer(
                    thumbprint: thumbprint,
                    communicationStyle: .polling,
                    address: "https://octopus.example.com:10943",
                    subscriptionID: subscription
                )
            }
            // A certificate that is about to change, another subscription that was left behind, and half an entry.
            try world.trust(
                entry(shown, "poll://one/"),
                entry(other, "poll://one/"),
                entry(other, "poll://two/"),
                entry(other, nil)
            )
            let (report, _) = try Self.examine(world)
            let servers = report.all("server")
            #expect(servers.map(\.outcome) == ["pass", "fail", "fail"], "\(servers)")
            #expect(servers[1].detail.contains("and \(other) is trusted"))
            #expect(servers[2].detail.contains("has no subscription"))
        }
    }

    @Test(
        "the network fails",
        arguments: [
            (TransportError(.unreachable, "Connection refused"), "Open port 10943"),
            (TransportError(.timedOut, "Timed out"), "drops what is sent to port 10943"),
            (TransportError(.tls, "wrong version number"), "no proxy may terminate it"),
        ]
    )
    func unreachable(failure: TransportError, advice: String) async throws {
        try await Self.withHealthyWorld {
            $0.failure = failure
        } _: { world in
            let (report, _) = try Self.examine(world, "--server=https://octopus.example.com")
            let server = try #require(report.all("server").first)
            #expect(server.detail == "https://octopus.example.com:10943: \(failure.message)")
            #expect(server.next?.contains(advice) == true)
            let port = try #require(report.all("port").first)
            #expect(port.outcome == "fail")
            // A port that is taken is another trouble than one where nobody is.
            let isTaken = failure.code == .tls
            #expect(port.detail.hasPrefix(isTaken ? "Somebody else listens on port 10933" : "Nobody answers on"))
            #expect(port.next?.hasPrefix(isTaken ? "ss -ltnp 'sport = :10933'" : "Start the agent") == true)
            #expect(report.outcome("web address") == "fail")
        }
    }

    @Test("behind a proxy it is the proxy that is to be looked at", arguments: [true, false])
    func proxyDown(hasProxy: Bool) async throws {
        try await Self.withHealthyWorld {
            $0.failure = TransportError(.unreachable, "Connection refused")
        } _: { world in
            if hasProxy { _ = world.run("polling-proxy", "--proxyEnable=true", "--proxyHost=gate", "--proxyPort=3128") }
            let next = try Self.examine(world).report.all("server").first?.next
            #expect(next?.hasPrefix("See that the proxy gate:3128 runs") == hasProxy)
            #expect(next?.contains("port 10943") == true)
        }
    }

    @Test("a file that is no configuration is to be mended, not looked for")
    func garbage() async throws {
        try await Self.withHealthyWorld { world in
            try world.write("<oct", "home/x.config")
            let configuration = try #require(try Self.examine(world).report.all("configuration").first)
            #expect(configuration.outcome == "fail")
            #expect(configuration.next?.hasPrefix("Mend the file or put a copy of it back") == true)
        }
    }

    @Test("a name that nobody knows, of the server and of a proxy")
    func unknownName() async throws {
        try await Self.withHealthyWorld { world in
            world.context.resolveName = { "\($0) is a mystery" }
            let (report, _) = try Self.examine(world)
            let server = try #require(report.all("server").first)
            #expect(server.outcome == "fail")
            #expect(server.detail.contains("The name octopus.example.com is not known"))
            #expect(
                world.run("polling-proxy", "--proxyEnable=true", "--proxyHost=gate", "--proxyPort=3128").exitCode == 0
            )
            let (behindProxy, _) = try Self.examine(world)
            #expect(behindProxy.outcome("polling proxy") == "fail")
            // The proxy looks the server's name up, not this host.
            #expect(behindProxy.outcome("server") == "pass")
        }
    }

    @Test("clocks that differ", arguments: [(60, "pass"), (61, "fail"), (-61, "fail")])
    func clocks(skew: Int, outcome: String) async throws {
        try await Self.withHealthyWorld {
            $0.date = Int(Self.now) - skew
        } _: { world in
            let (report, _) = try Self.examine(world)
            let clock = try #require(report.all("server clock").first)
            #expect(clock.outcome == outcome)
            #expect(clock.detail.contains("\(abs(skew)) s \(skew < 0 ? "behind" : "ahead of")"))
        }
    }

    @Test(
        "disks that are nearly full",
        arguments: [
            (DiskSpace(freeBytes: 127 << 20, freeInodes: 9, hasInodes: true), "fail"),
            (DiskSpace(freeBytes: 1023 << 20, freeInodes: 9, hasInodes: true), "warn"),
            (DiskSpace(freeBytes: 1 << 40, freeInodes: 0, hasInodes: true), "fail"),
            (DiskSpace(freeBytes: 1 << 40, freeInodes: 0, hasInodes: false), "pass"),
        ]
    )
    func disk(space: DiskSpace, outcome: String) async throws {
        try await Self.withHealthyWorld { world in
            world.context.diskSpace = { _ in space }
            let (report, _) = try Self.examine(world)
            #expect(report.outcome("disk") == outcome)
        }
    }

    @Test("what is wrong with the files of an instance")
    func files() async throws {
        try await Self.withHealthyWorld { world in
            let path = world.path + "/home/x.config"
            chmod(path, 0o644)
            #expect(try Self.examine(world).report.outcome("permissions") == "warn")
            chmod(path, 0o600)
            func outcome(_ check: String, _ key: ConfigurationKey, _ value: String?) throws -> String? {
                let before = try world.text("home/x.config")
                defer { try? world.write(before, "home/x.config") }
                try TentacleConfiguration.update(path, host: world.context.host) { $0.set(key, value) }
                return try Self.examine(world).report.outcome(check)
            }
            #expect(try outcome("configuration", .port, "many") == "fail")
            #expect(try outcome("certificate", .certificateThumbprint, nil) == "warn")
            #expect(try outcome("certificate", .certificateThumbprint, FakeOctopus.serverThumbprint) == "fail")
            #expect(try outcome("certificate", .certificate, "bm90IGEgc2VjcmV0") == "fail")
            #expect(try outcome("trust", .trustedServers, "[]") == "fail")
            #expect(try outcome("home", .home, world.path + "/nowhere") == "fail")
            #expect(try outcome("home", .home, nil) == "fail")
            #expect(try outcome("applications", .applicationDirectory, world.path + "/nowhere") == "warn")
            #expect(try outcome("sandbox", .sandboxPolicy, "none") == "warn")
            try world.trust(TrustedServer(thumbprint: FakeOctopus.serverThumbprint, communicationStyle: .listening))
            #expect(try Self.examine(world).report.outcome("trust") == "pass")
            #expect(try outcome("trust", .noListen, "true") == "fail")
        }
    }

    @Test("systemd: the unit of the stock name first, and how it stands")
    func systemd() async throws {
        try await Self.withHealthyWorld { world in
            try DurableFile.makeDirectory(world.path + "/run/systemd/system")
            for program in ["usr/bin/systemctl", "bin/bash"] {
                try world.write("", program)
                chmod("\(world.path)/\(program)", 0o755)
            }
            world.context.host.environment["PATH"] = world.path + "/usr/bin"
            let (bare, _) = try Self.examine(world)
            #expect(bare.all("systemd").first?.next?.contains("service --install") == true)
            try world.write("[Service]\nUser=root\n", "etc/systemd/system/Tentacle.service")
            let (running, _) = try Self.examine(world)
            #expect(
                running.all("systemd").first?.detail == "Tentacle.service runs, and starts with the machine"
            )
            world.context.runProgram = { _, arguments in ProgramEnd(status: arguments.first == "is-enabled" ? 1 : 0) }
            #expect(try Self.examine(world).report.outcome("systemd") == "warn")
            world.context.runProgram = { _, arguments in ProgramEnd(status: arguments.first == "is-active" ? 3 : 0) }
            #expect(try Self.examine(world).report.outcome("systemd") == "fail")
            // The socket of the package is installed and not there.
            try world.write("[Socket]\n", "usr/lib/systemd/system/tentacle-launcher.socket")
            #expect(try Self.examine(world).report.outcome("launcher") == "fail")
        }
    }

    @Test(
        "the sandbox",
        arguments: [
            (ProgramEnd(status: 0), "pass"), (ProgramEnd(status: 1), "warn"),
            (ProgramEnd(status: 1, errors: "no such policy\n"), "fail"), (nil, "fail"),
        ] as [(ProgramEnd?, String)]
    )
    func sandbox(end: ProgramEnd?, outcome: String) async throws {
        try await Self.withHealthyWorld { world in
            world.context.runProgram = { _, _ in end }
            let (report, _) = try Self.examine(world)
            #expect(report.outcome("sandbox") == outcome)
        }
    }

    @Test("an agent that does not run", arguments: [(31, "fail"), (-5, "pass"), (30, "pass")])
    func agent(age: Int64, outcome: String) async throws {
        try await Self.withHealthyWorld { world in
            world.context.now = { .init(sinceEpoch: (Self.now - 3 + age) * 1_000_000) }
            let (report, _) = try Self.examine(world)
            #expect(report.outcome("agent") == outcome)
            guard outcome == "fail" else { return }
            #expect(
                report.all("agent").first?.next
                    == "tentacle service --install --start --instance 'Tentacle', or tentacle agent in a terminal"
            )
            try world.write("[Service]\n", "etc/systemd/system/Tentacle.service")
            #expect(
                try Self.examine(world).report.all("agent").first?.next
                    == "systemctl start 'Tentacle.service', or tentacle agent in a terminal"
            )
        }
    }

    @Test("somebody who is no Octopus Server")
    func otherServer() async throws {
        try await Self.withHealthyWorld {
            $0.body = "<html>\u{1B}[2J</html>"
        } _: { world in
            let (report, _) = try Self.examine(world, "--server=https://example.com")
            #expect(report.outcome("web address") == "fail")
            #expect(try Self.examine(world, "--server=example.com").report.outcome("web address") == "fail")
        }
    }
}
