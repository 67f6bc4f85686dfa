import AgentConfiguration
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

/// `new-certificate --overlap`, `tell-certificate` and what ends a change.
@Suite struct CertificateChangeTests {
    private static let server = FakeOctopus.serverThumbprint
    private static let tell = [
        "tell-certificate", "--server=http://octopus.local", "--apiKey=API-GOOD", "--server-timeout=0",
    ]
    private static let listening = TrustedServer(thumbprint: server, communicationStyle: .listening)
    private static let other = TrustedServer(
        thumbprint: String(repeating: "C", count: 40),
        communicationStyle: .polling,
        address: "https://other:10943",
        subscriptionID: "poll://x/"
    )
    private static let advice =
        "Tell each server with 'tell-certificate --server=URL --api-key-file=FILE'; when all know the new certificate, it "
        + "takes the old one's place. A running agent needs no restart.\n"

    private static func present() throws -> String { try TestIdentity.shared.get().thumbprint.description }

    private static func octopus(_ thumbprint: String? = nil) throws -> FakeOctopus {
        let own = try thumbprint ?? Self.present()
        return FakeOctopus(machines: [
            FakeOctopus.machine("Machines-5", "web01", thumbprint: own),
            FakeOctopus.machine("Machines-6", "web02", thumbprint: "BB"),
            FakeOctopus.machine("Workers-7", "work\u{1b}er", thumbprint: own.lowercased(), worker: true),
        ])
    }

    @Test("a change begins beside the present certificate, and the same command shows how far it is")
    func begin() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.listening, Self.other)
            let first = world.run("new-certificate", "--overlap")
            let next = try #require(try world.configuration().nextThumbprint)
            #expect(try world.configuration().thumbprint == Self.present())
            let rest =
                "\(next)\nNot told: listening tentacle \(Self.server)\nNot told: https://other:10943 "
                + "\(Self.other.thumbprint)\n\(Self.advice)"
            #expect(
                first
                    == .init(
                        exitCode: 0,
                        output: "A new certificate has been generated beside the present one. Thumbprint:\n\(rest)",
                        errors: ""
                    )
            )
            let file = try world.text("home/x.config")
            let second = world.run("new-certificate", "--overlap")
            #expect(second.output == "A new certificate is waiting beside the present one. Thumbprint:\n\(rest)")
            #expect(try world.text("home/x.config") == file)
            #expect(world.run("show-thumbprint").output == (try Self.present()))
        }
    }

    @Test("without a server that could know the old one, the new certificate is in place at once")
    func nobodyToTell() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let outcome = world.run("new-certificate", "--overlap")
            let thumbprint = try #require(try world.configuration().thumbprint)
            #expect(thumbprint != (try Self.present()))
            #expect(
                outcome.output
                    == "No server knows this Tentacle yet: the new certificate is in place at once. Thumbprint:\n"
                    + "\(thumbprint)\nThese changes require a restart of the Tentacle.\n"
            )
        }
    }

    @Test("a server is told of all its machines and workers; the last one completes the change")
    func tellServers() async throws {
        let octopus = try Self.octopus()
        try await TestWorld.with(octopus) { world in
            try world.makeInstance()
            try world.trust(Self.listening)
            _ = world.run("new-certificate", "--overlap")
            let next = try #require(try world.configuration().nextThumbprint)
            let outcome = world.run(Self.tell)
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output:
                            "Told: machine 'web01' in space 'Default'\nTold: worker 'work\\u001ber' in space 'Default'\n"
                            + "All trusted servers know the new certificate: it has taken the old one's place. Thumbprint:\n"
                            + "\(next)\n",
                        errors: ""
                    )
            )
            #expect(octopus.lines.filter { $0.hasPrefix("PUT") }.map { $0.suffix(10) } == ["Machines-5", "/Workers-7"])
            for body in try octopus.writes {
                #expect(body["Endpoint"]?.text("Thumbprint") == next)
                #expect(body.text("Custom") == "kept")
                #expect(body["Endpoint"]?.text("CommunicationStyle") == "TentaclePassive")
            }
            #expect(try world.configuration().thumbprint == next)
            #expect(try world.configuration().nextThumbprint == nil)
            #expect(
                world.run(Self.tell).output == "The server knows this Tentacle's certificate. No change is under way.\n"
            )
        }
    }

    @Test("one of two servers told: the present certificate stays; the end by hand puts the new one in place")
    func oneOfTwo() async throws {
        try await TestWorld.with(try Self.octopus()) { world in
            try world.makeInstance()
            try world.trust(Self.listening, Self.other)
            _ = world.run("new-certificate", "--overlap")
            let next = try #require(try world.configuration().nextThumbprint)
            let outcome = world.run(Self.tell)
            #expect(
                outcome.output.contains("Knows it: listening tentacle \(Self.server)\nNot told: https://other:10943")
            )
            #expect(try world.configuration().thumbprint == Self.present())
            let again = world.run(Self.tell)
            #expect(again.exitCode == 0)
            #expect(again.output.hasPrefix("The server has been told before.\nKnows it: "))
            let refused = world.run("new-certificate", "--abandon-overlap")
            #expect(refused.exitCode == 1)
            #expect(
                refused.errors
                    == "The server with the thumbprint \(Self.server) knows the new certificate already and would not find "
                    + "this Tentacle any more. End the change with --end-overlap, or give --force and register again.\n"
            )
            let ended = world.run("new-certificate", "--end-overlap")
            #expect(
                ended.output == "The new certificate has taken the old one's place. Thumbprint:\n\(next)\n"
            )
            #expect(try world.configuration().thumbprint == next)
        }
    }

    @Test(
        "the new certificate can be dropped until somebody knows it, and by force after that",
        arguments: [false, true]
    )
    func abandon(isTold: Bool) async throws {
        try await TestWorld.with(try Self.octopus()) { world in
            try world.makeInstance()
            try world.trust(Self.listening, Self.other)
            _ = world.run("new-certificate", "--overlap")
            if isTold { _ = world.run(Self.tell) }
            let outcome = world.run(["new-certificate", "--abandon-overlap"] + (isTold ? ["--force"] : []))
            #expect(
                outcome.output
                    == "The new certificate has been dropped; the present one stays. Thumbprint:\n\(try Self.present())\n"
            )
            #expect(try world.configuration().nextThumbprint == nil)
            #expect(!(try world.text("home/x.config")).contains("Next"))
        }
    }

    @Test("the connection is lost before or after each request: the same command again brings it to its end")
    func interrupted() async throws {
        let whole = try Self.octopus()
        try await TestWorld.with(whole) { world in
            try world.makeInstance()
            try world.trust(Self.listening)
            _ = world.run("new-certificate", "--overlap")
            #expect(world.run(Self.tell).exitCode == 0)
        }
        #expect(whole.lines.count > 8)
        for cut in whole.lines.indices.flatMap({
            [FakeOctopus.Cut(request: $0, isAfter: false), .init(request: $0, isAfter: true)]
        }) {
            let octopus = try Self.octopus()
            try await TestWorld.with(octopus) { world in
                try world.makeInstance()
                try world.trust(Self.listening)
                _ = world.run("new-certificate", "--overlap")
                let next = try #require(try world.configuration().nextThumbprint)
                let before = try world.text("home/x.config")
                octopus.lose(cut)
                let first = world.run(Self.tell)
                if first.exitCode != 0 {
                    #expect(try world.text("home/x.config") == before, "\(cut)")
                    octopus.lose(nil)
                    let second = world.run(Self.tell)
                    #expect(second.exitCode == 0, "\(cut): \(second)")
                }
                #expect(try world.configuration().thumbprint == next, "\(cut)")
                #expect(world.names(in: "home") == ["x.config"], "\(cut)")
            }
        }
    }

    @Test("registering during a change names the new certificate, and counts for a new server")
    func register() async throws {
        let octopus = FakeOctopus()
        try await TestWorld.with(octopus) { world in
            try world.makeInstance()
            try world.trust(Self.other)
            _ = world.run("new-certificate", "--overlap")
            let next = try #require(try world.configuration().nextThumbprint)
            let options = Self.tell.dropFirst() + ["--environment=Test", "--role=web-server"]
            #expect(world.run(["register-with"] + options).exitCode == 0)
            #expect(try octopus.writes.first?["Endpoint"]?.text("Thumbprint") == next)
            #expect(try world.configuration().serversToTell() == [Self.other])
        }
    }

    @Test("deregistering during a change finds the machine by either thumbprint")
    func deregister() async throws {
        let octopus = try Self.octopus()
        try await TestWorld.with(octopus) { world in
            try world.makeInstance()
            try world.trust(Self.listening, Self.other)
            _ = world.run("new-certificate", "--overlap")
            #expect(world.run(Self.tell).exitCode == 0)
            let outcome = world.run(["deregister-from"] + Self.tell.dropFirst())
            #expect(outcome.exitCode == 0, "\(outcome)")
        }
    }

    @Test("what cannot be, says so and changes nothing")
    func errors() async throws {
        try await TestWorld.with(try Self.octopus("EE")) { world in
            try world.makeInstance()
            let notUnderWay =
                "No change of the certificate is under way. Start one with 'new-certificate --overlap'.\n"
            try world.trust(Self.other)
            for arguments in [
                ["new-certificate", "--end-overlap"], ["new-certificate", "--abandon-overlap"], Self.tell,
            ] {
                #expect(world.run(arguments) == .init(exitCode: 1, output: "", errors: notUnderWay))
            }
            for (options, error) in [
                (["--overlap", "--if-blank"], "--overlap and --if-blank cannot be specified together"),
                (["--overlap", "--end-overlap"], "--overlap and --end-overlap cannot be specified together"),
                (["--end-overlap", "--export-pfx=x"], "--end-overlap and --export-pfx cannot be specified together"),
                (["--overlap", "--force"], "--force can only be specified with --abandon-overlap"),
                (["--force"], "--force can only be specified with --abandon-overlap"),
            ] {
                let outcome = world.run(["new-certificate"] + options)
                #expect(outcome == .init(exitCode: 1, output: "", errors: "Invalid command: \(error)\n"))
            }
            _ = world.run("new-certificate", "--overlap")
            let next = try #require(try world.configuration().nextThumbprint)
            let file = try world.text("home/x.config")
            #expect(
                world.run("new-certificate").errors
                    == "A change of the certificate to \(next) is under way. End it with 'new-certificate --end-overlap' or "
                    + "'new-certificate --abandon-overlap' first.\n"
            )
            #expect(
                world.run(Self.tell).errors
                    == "The Octopus Server with the thumbprint '\(Self.server)' is not trusted by this Tentacle: it needs not "
                    + "be told. Check the server URL.\n"
            )
            #expect(try world.text("home/x.config") == file)
            try world.trust(Self.listening)
            #expect(
                world.run(Self.tell).errors
                    == "The server knows no machine and no worker by this Tentacle's certificate. Register it, or remove the "
                    + "trust with 'configure --remove-trust=\(Self.server)'.\n"
            )
            #expect(try world.configuration().nextThumbprint == next)
        }
    }

    @Test("a server that is about to change its certificate is trusted by both thumbprints until the change is over")
    func serverChanges() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.trust(Self.listening, Self.other)
            let new = String(repeating: "D", count: 40)
            let change = ["update-trust", "--oldThumbprint", Self.other.thumbprint, "--newThumbprint", new]
            var renewed = Self.other
            renewed.thumbprint = new
            let outcome = world.run(change + ["--overlap"])
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output:
                            "Trusting the Octopus servers thumbprint \(new) beside \(Self.other.thumbprint):\n"
                            + "Ignoring listening tentacle  \(Self.server) - does not match old thumbprint\n"
                            + "Updating polling tentacle https://other:10943 \(Self.other.thumbprint) - trusting \(new), too\n"
                            + "A running agent trusts both at once. When the server has changed its certificate, run "
                            + "update-trust again without --overlap.\n",
                        errors: ""
                    )
            )
            #expect(try world.trustedServers() == [Self.listening, Self.other, renewed])
            _ = world.run(change + ["--overlap"])
            #expect(try world.trustedServers() == [Self.listening, Self.other, renewed])
            _ = world.run(change)
            #expect(try world.trustedServers() == [Self.listening, renewed])
        }
    }
}
