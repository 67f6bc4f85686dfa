import AgentConfiguration
import FoundationEssentials
import Glibc
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

/// A registration may be cut at every point; the same command again brings it to its end.
@Suite struct InterruptedRegistrationTests {
    struct Form: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var arguments: [String]
        var machines: [JSONValue] = []
    }

    private static let server = ["--server=http://octopus.local", "--apiKey=API-GOOD", "--server-timeout=0"]
    private static let target = ["register-with"] + server + ["--environment=Test", "--role=web-server"]
    private static let worker = ["register-worker"] + server + ["--workerpool=Default Worker Pool"]

    static let forms = [
        Form(testDescription: "listening target", arguments: target),
        Form(testDescription: "polling target", arguments: target + ["--comms-style=TentacleActive"]),
        Form(testDescription: "listening worker", arguments: worker),
        Form(testDescription: "polling worker", arguments: worker + ["--comms-style=TentacleActive"]),
        Form(
            testDescription: "changed target",
            arguments: target + ["--force"],
            machines: [FakeOctopus.machine("Machines-5", "web01")]
        ),
        Form(
            testDescription: "user and password",
            arguments: target.filter { !$0.hasPrefix("--apiKey") } + ["-u=admin", "-p=pass word"]
        ),
    ]

    @Test("the connection is lost before or after each request", arguments: forms)
    func lostConnection(form: Form) async throws {
        let count = try await Self.requests(form)
        #expect(count > 8)
        for cut in (0..<count).flatMap({
            [FakeOctopus.Cut(request: $0, isAfter: false), .init(request: $0, isAfter: true)]
        }) {
            let server = FakeOctopus(machines: form.machines)
            try await TestWorld.with(server) { world in
                try world.makeInstance()
                let before = try world.text("home/x.config")
                server.lose(cut)
                let first = world.run(form.arguments)
                if first.exitCode != 0 {
                    // Whatever the server knows, this host is as it was.
                    #expect(first.exitCode == 100, "\(cut): \(first)")
                    #expect(try world.text("home/x.config") == before, "\(cut)")
                    server.lose(nil)
                    // A polling agent would make up another subscription now.
                    world.context.makeSubscriptionID = { "poll://second/" }
                    let second = world.run(form.arguments)
                    #expect(second.exitCode == 0, "\(cut): \(second)")
                }
                #expect(world.names(in: "home") == ["x.config"])
                let machine = try #require(server.registered.first)
                #expect(server.registered.count == 1)
                let trusted = try #require(try world.trustedServers().first)
                #expect(trusted.thumbprint == FakeOctopus.serverThumbprint)
                // Both sides mean the same subscription.
                if trusted.communicationStyle == .polling {
                    #expect(machine["Endpoint"]?.text("Uri") == trusted.subscriptionID)
                }
            }
        }
    }

    private static func requests(_ form: Form) async throws -> Int {
        let server = FakeOctopus(machines: form.machines)
        return try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(form.arguments).exitCode == 0)
            return server.lines.count
        }
    }

    @Test("only what is half done goes on without --force")
    func complete() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            #expect(world.run(Self.target).exitCode == 0)
            // Done: as with the stock agent, the name is taken.
            #expect(world.run(Self.target).errors.hasPrefix("A machine named 'web01' already exists"))
            // This host forgets the server: the machine can only be from a registration that was cut short.
            try world.trust()
            let again = world.run(Self.target)
            #expect(again.exitCode == 0)
            #expect(
                again.output.contains(
                    "The server knows this agent already, from a registration that was cut short; it is completed now.\n"
                )
            )
            #expect(server.lines.contains("PUT /api/Spaces-1/machines/Machines-1"))
            // Another address or another style is not the same registration.
            for change in [["--publicHostName=other"], ["--comms-style=TentacleActive"]] {
                try world.trust()
                #expect(world.run(Self.target + change).errors.hasPrefix("A machine named 'web01' already exists"))
            }
        }
    }

    /// When the command is killed: just before the server does what it is told, or just after.
    static let moments = [false, true]

    @Test("killed around the request that registers", arguments: moments)
    func killed(isAfter: Bool) async throws {
        let path = TestWorld.newPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, isAfter = isAfter as Bool] in
            var behaviour = FakeOctopus.Behaviour()
            let end: @Sendable () -> Void = { kill(getpid(), SIGKILL) }
            if isAfter { behaviour.afterWrite = end } else { behaviour.beforeWrite = end }
            let world = try TestWorld(at: path, transport: FakeOctopus(behaviour))
            try world.makeInstance()
            _ = world.run(InterruptedRegistrationTests.target)
        }
        let thumbprint = try TestIdentity.shared.get().thumbprint.description
        let half = FakeOctopus.machine("Machines-1", "web01", thumbprint: thumbprint).replacing([
            "Endpoint": .object([
                "Thumbprint": .string(thumbprint), "CommunicationStyle": .string("TentaclePassive"),
                "Uri": .string("https://web01:10933/"),
            ])
        ])
        let server = FakeOctopus(machines: isAfter ? [half] : [])
        let world = try TestWorld(at: path, transport: server)
        // The new file was safe beside the old one, as secret as it, and is not left there.
        #expect(world.names(in: "home").count == 2)
        try TentacleConfiguration.update(path + "/home/x.config", host: world.context.host) {
            try $0.setIdentity(TestIdentity.shared.get())
        }
        #expect(world.run(Self.target).exitCode == 0)
        #expect(world.names(in: "home") == ["x.config"])
        #expect(server.registered.count == 1)
        #expect(try world.trustedServers().map(\.thumbprint) == [FakeOctopus.serverThumbprint])
    }
}
