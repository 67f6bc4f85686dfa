import AgentConfiguration
import FoundationEssentials
import OctopusClient
import SecureTransport
import TentacleCommands
import Testing

private let server = ["--server=http://octopus.local", "--apiKey=API-GOOD"]

/// Which proxy each caller uses (spec tentacle-cli.md 11.3).
@Suite struct RequestProxyTests {
    enum Setting: String, Sendable, CaseIterable {
        case standard, none, custom

        var options: [String] {
            switch self {
            case .standard: ["--proxyEnable=true"]
            case .none: ["--proxyEnable=false"]
            case .custom:
                [
                    "--proxyEnable=true", "--proxyHost=p.local", "--proxyPort=3128", "--proxyUsername=u",
                    "--proxyPassword=s",
                ]
            }
        }
    }

    private static let custom = TransportOptions.Proxy.custom(host: "p.local", port: 3128, username: "u", password: "s")

    private static func own(_ worker: Bool = false) throws -> JSONValue {
        FakeOctopus.machine("Machines-3", "m", thumbprint: try TestIdentity.shared.get().thumbprint.description)
    }

    /// Proxies of all requests of a command, the handshake first.
    private func proxies(_ setup: [[String]], _ command: [String]) async throws -> [TransportOptions.Proxy] {
        let fake = FakeOctopus(machines: [try Self.own()])
        return try await TestWorld.with(fake) { world in
            try world.makeInstance()
            try world.trust(
                TrustedServer(
                    thumbprint: FakeOctopus.serverThumbprint,
                    communicationStyle: .polling,
                    address: "https://first:10943",
                    subscriptionID: "poll://s/"
                )
            )
            for options in setup { #expect(world.run(options).exitCode == 0) }
            let outcome = world.run(command + server)
            #expect(outcome.exitCode == 0, "\(outcome)")
            return fake.options.map(\.proxy)
        }
    }

    @Test(
        "a polling agent's registration: the polling proxy, or the environment; its port check: never the environment"
    )
    func polling() async throws {
        let command = ["register-with", "--env=Test", "--role=r", "--comms-style=TentacleActive"]
        for (setting, check, rest) in [
            (Setting.standard, TransportOptions.Proxy.direct, TransportOptions.Proxy.fromEnvironment),
            (.none, .direct, .direct), (.custom, Self.custom, Self.custom),
        ] {
            // The other proxy is not looked at.
            let other = ["proxy", "--proxyEnable=true", "--proxyHost=other"]
            let used = try await self.proxies([other, ["polling-proxy"] + setting.options], command)
            #expect(used.first == check, "\(setting)")
            #expect(Set(used.dropFirst()) == [rest], "\(setting)")
        }
    }

    @Test("a listening agent's registration: never the polling proxy")
    func listening() async throws {
        for (setting, rest) in [
            (Setting.standard, TransportOptions.Proxy.fromEnvironment), (.none, .direct), (.custom, Self.custom),
        ] {
            let other = ["polling-proxy", "--proxyEnable=true", "--proxyHost=other"]
            let used = try await self.proxies(
                [other, ["proxy"] + setting.options],
                ["register-with", "--env=Test", "--role=r"]
            )
            #expect(Set(used) == [rest], "\(setting)")
        }
    }

    @Test(
        "poll-server, deregister and show-configuration: the polling proxy or none",
        arguments: [["poll-server"], ["deregister-from"], ["show-configuration"]]
    )
    func others(command: [String]) async throws {
        for (setting, expected) in [
            (Setting.standard, TransportOptions.Proxy.direct), (.none, .direct), (.custom, Self.custom),
        ] {
            let other = ["proxy", "--proxyEnable=true", "--proxyHost=other"]
            let used = try await self.proxies([other, ["polling-proxy"] + setting.options], command)
            #expect(Set(used) == [expected], "\(setting)")
        }
    }
}
