import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

/// Removing this agent from a server (spec tentacle-cli.md 14.1).
@Suite struct DeregisterCommandTests {
    private static let deregister = ["deregister-from", "--server=http://octopus.local", "--apiKey=API-GOOD"]

    private func machines(_ count: Int, worker: Bool = false) throws -> [JSONValue] {
        let thumbprint = try TestIdentity.shared.get().thumbprint.description
        let own = (0..<count).map {
            FakeOctopus.machine("Machines-\($0)", "m\($0)", thumbprint: thumbprint.lowercased(), worker: worker)
        }
        return own + [FakeOctopus.machine("Machines-9", "other", thumbprint: "BB", worker: worker)]
    }

    @Test("the own machine is deleted, trust stays")
    func deregister() async throws {
        let server = FakeOctopus(machines: try self.machines(1))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let before = try world.text("home/x.config")
            let outcome = world.run(Self.deregister)
            #expect(outcome.exitCode == 0)
            #expect(
                outcome.output == """
                    Deleting machine 'm0' from the Octopus Server...
                    The Octopus Server is still trusted. If you wish to remove trust for this Octopus Server, use \
                    'Tentacle configure --remove-trust=\(FakeOctopus.serverThumbprint) --instance Tentacle'
                    Machine deregistered successfully

                    """
            )
            let thumbprint = try TestIdentity.shared.get().thumbprint
            #expect(
                server.lines == [
                    "GET /api", "GET /api/users/me", "GET /api/users/Users-1/spaces", "GET /api/Spaces-1",
                    "GET /api/Spaces-1/machines/all?thumbprint=\(thumbprint)",
                    "DELETE /api/Spaces-1/machines/Machines-0",
                    "GET /api/configuration/certificates/certificate-global",
                ]
            )
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("several need --multiple")
    func multiple() async throws {
        let server = FakeOctopus(machines: try self.machines(2, worker: true))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let arguments = ["deregister-worker"] + Self.deregister.dropFirst()
            let outcome = world.run(arguments)
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("The worker matches more than one worker on the server."))
            #expect(!server.lines.contains { $0.hasPrefix("DELETE") })
            #expect(world.run(arguments + ["-m"]).output.hasSuffix("Worker deregistered successfully\n"))
            #expect(server.lines.filter { $0.hasPrefix("DELETE") }.count == 2)
        }
    }

    @Test("several targets need --multiple, too")
    func multipleTargets() async throws {
        try await TestWorld.with(FakeOctopus(machines: try self.machines(2))) { world in
            try world.makeInstance()
            let outcome = world.run(Self.deregister)
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors
                    == "The Tentacle matches more than one machine on the server. To deregister all of these machines "
                    + "specify the --multiple flag.\n"
            )
        }
    }

    @Test("what somebody else deleted meanwhile is gone as well; a failure says which was next and can be repeated")
    func failures() async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.oddities = ["DELETE /api/Spaces-1/machines/Machines-0": (404, #"{"ErrorMessage":"Gone."}"#)]
        try await TestWorld.with(FakeOctopus(behaviour, machines: try self.machines(2))) { world in
            try world.makeInstance()
            #expect(world.run(Self.deregister + ["--multiple"]).exitCode == 0)
        }
        behaviour.oddities = ["DELETE /api/Spaces-1/machines/Machines-1": (403, #"{"ErrorMessage":"Not you."}"#)]
        let server = FakeOctopus(behaviour, machines: try self.machines(2))
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            let outcome = world.run(Self.deregister + ["--multiple"])
            #expect(outcome.exitCode == 1)
            #expect(outcome.output.hasSuffix("Deleting machine 'm1' from the Octopus Server...\n"))
            #expect(outcome.errors.hasPrefix("Not you.\n"))
            // The first is gone, so --multiple is not needed any more.
            #expect(server.registered.compactMap { $0.text("Name") } == ["m1", "other"])
        }
    }

    @Test("a machine that is deleted is, whether the server tells its thumbprint or not")
    func silentServer() async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.oddities = [
            "GET /api/configuration/certificates/certificate-global": (500, #"{"ErrorMessage":"Oops."}"#)
        ]
        try await TestWorld.with(FakeOctopus(behaviour, machines: try self.machines(1))) { world in
            try world.makeInstance()
            let outcome = world.run(Self.deregister)
            #expect(outcome.exitCode == 0)
            let end = "still trusted. It did not tell its thumbprint: Oops.\nMachine deregistered successfully\n"
            #expect(outcome.output.hasSuffix(end))
        }
    }

    @Test("what a server finds wrong with another request than a registration is no controlled failure")
    func validation() async throws {
        var behaviour = FakeOctopus.Behaviour()
        behaviour.oddities = ["DELETE /api/Spaces-1/machines/Machines-0": (400, #"{"ErrorMessage":"Bad."}"#)]
        try await TestWorld.with(FakeOctopus(behaviour, machines: try self.machines(1))) { world in
            try world.makeInstance()
            let outcome = world.run(Self.deregister)
            #expect(outcome.exitCode == 100)
            #expect(outcome.errors == "Bad.\n")
        }
    }

    @Test("nothing to deregister")
    func none() async throws {
        try await TestWorld.with(FakeOctopus(machines: try self.machines(0))) { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            #expect(
                world.run(Self.deregister).errors
                    == "This Tentacle does not have a thumbprint. The Tentacle must have a thumbprint in order to "
                    + "deregister it.\n"
            )
            try world.makeInstance()
            #expect(
                world.run(Self.deregister)
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "No machine was found matching this Tentacle's thumbprint.\n"
                    )
            )
        }
    }
}
