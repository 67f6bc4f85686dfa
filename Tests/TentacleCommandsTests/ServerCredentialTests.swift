import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

private let server = ["--server=http://octopus.local", "--apiKey=API-GOOD"]
private let target = server + ["--env=Test", "--role=web-server"]

/// Keys, tokens, passwords and authorities, from wherever they come (issue 6, item 8).
@Suite struct ServerCredentialTests {
    private static let bare = ["register-with", "--server=http://octopus.local", "--env=Test", "--role=r", "--force"]

    @Test("a token or a password from an option, a file, standard input or the environment")
    func sources() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            try world.write("\u{FEFF}TOKEN-GOOD \r\n", "cwd/token")
            try world.write("pass word\n", "cwd/password")
            let bytes = Array("pass word\n".utf8)
            world.context.readStandardInput = { bytes }
            for options in [
                ["--bearerToken=TOKEN-GOOD"], ["--bearer-token-file=token"], ["-u=admin", "--password=pass word"],
                ["--username=admin", "--password-file", "password"], ["--user=admin", "--password-file=-"],
            ] {
                let outcome = world.run(Self.bare + options)
                #expect(outcome.exitCode == 0, "\(options): \(outcome)")
            }
            #expect(world.run(Self.bare + ["--user=admin"]).exitCode == 1)
            world.context.host.environment["OCTOPUS_PASSWORD"] = "pass word"
            #expect(world.run(Self.bare + ["--user=admin"]).exitCode == 0)
            // A password that is around asks for nothing by itself.
            #expect(world.run(Self.bare).errors.hasPrefix("Please specify an Octopus API key, a Bearer Token"))
            world.context.host.environment["OCTOPUS_ACCESS_TOKEN"] = "TOKEN-GOOD"
            #expect(world.run(Self.bare).exitCode == 0)
            world.context.host.environment["OCTOPUS_API_KEY"] = "API-BAD"
            #expect(world.run(Self.bare).exitCode == 1)
            #expect(world.run(Self.bare + ["--bearer-token-file=token"]).exitCode == 0)
        }
    }

    @Test(
        "what is not enough, or too much",
        arguments: [
            (
                ["--bearer-token-file=x", "--api-key-file=y"],
                "Please specify a Bearer Token, API Key or username and password - not multiple."
            ),
            (
                ["--api-key-file=x", "--user=me"],
                "Please specify a Bearer Token, API Key or username and password - not multiple."
            ),
            (["--password-file=x"], "Please specify a username for the specified password"),
            (["--user=me"], "Please specify a password for the specified user account"),
            (["--user=me", "--password-file=empty"], "The password file 'empty' is empty."),
            (["--bearer-token-file=empty"], "The bearer token file 'empty' is empty."),
            (
                ["--user=admin", "--password=wrong"],
                "Invalid username or password.\nThe Octopus Server at http://octopus.local/ did not accept the credentials (401). Check the API key, the token or the password."
            ),
        ]
    )
    func refusals(options: [String], message: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("\n", "cwd/empty")
            let outcome = world.run(Self.bare + options)
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors == message + "\n")
        }
    }

    @Test("the authorities of a file are those that the requests trust, not those of the port check")
    func authorities() async throws {
        let server = FakeOctopus()
        try await TestWorld.with(server) { world in
            try world.makeInstance()
            try world.write("-----BEGIN CERTIFICATE-----\n", "cwd/ca.pem")
            let options = ["register-with"] + target + ["--comms-style=TentacleActive", "--serverCa=ca.pem"]
            #expect(world.run(options).exitCode == 0)
            #expect(
                server.options.map(\.acceptsAnyCertificate) == [true] + server.options.dropFirst().map { _ in false }
            )
            #expect(server.options.allSatisfy { $0.authorities == world.path + "/cwd/ca.pem" })
            #expect(world.run(["register-with", "--ignoreSslErrors", "--force"] + target).exitCode == 0)
            #expect(server.options.last?.acceptsAnyCertificate == true)
        }
    }
}
