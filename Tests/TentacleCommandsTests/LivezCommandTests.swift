import AgentConfiguration
import Foundation
import LauncherProtocol
import TentacleCommands
import Testing

@Suite struct LivezCommandTests {
    private static let beat: Int64 = 1_700_000_000

    /// An instance whose agent beat once, and a clock that went on since.
    private static func with(secondsSinceBeat: Double, _ body: (TestWorld) async throws -> Void) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("", "home/livez.heartbeat")
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: Double(Self.beat))],
                ofItemAtPath: world.path + "/home/livez.heartbeat"
            )
            let now = UTCMicroseconds(sinceEpoch: Self.beat * 1_000_000 + Int64(secondsSinceBeat * 1_000_000))
            world.context.now = { now }
            try await body(world)
        }
    }

    @Test(
        "silent while the heartbeat is young enough",
        arguments: [(0, []), (60, []), (-5, []), (600, ["--max-age=600"]), (0.5, ["--max-age", "1"])]
            as [(Double, [String])]
    )
    func alive(age: Double, options: [String]) async throws {
        try await Self.with(secondsSinceBeat: age) { world in
            #expect(world.run(["livez"] + options) == .init(exitCode: 0, output: "", errors: ""))
        }
    }

    @Test(
        "stale",
        arguments: [(60.5, [], "60s", "60s"), (3661, ["--max-age=10"], "3661s", "10s")]
            as [(Double, [String], String, String)]
    )
    func stale(age: Double, options: [String], written: String, threshold: String) async throws {
        try await Self.with(secondsSinceBeat: age) { world in
            let path = world.path + "/home/livez.heartbeat"
            #expect(
                world.run(["livez"] + options)
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Liveness heartbeat at \(path) is stale: last written \(written) ago (threshold "
                            + "\(threshold)).\n"
                    )
            )
        }
    }

    @Test("no heartbeat, no home")
    func missing() async throws {
        try await Self.with(secondsSinceBeat: 0) { world in
            let path = world.path + "/home/livez.heartbeat"
            try FileManager.default.removeItem(atPath: path)
            #expect(
                world.run("livez")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Liveness heartbeat file not found at \(path); the Tentacle agent may not be running.\n"
                    )
            )
            try TentacleConfiguration.update(world.path + "/home/x.config", host: world.context.host) {
                $0.set(.home, nil)
            }
            #expect(
                world.run("livez")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Could not determine the Tentacle home directory for the selected instance.\n"
                    )
            )
        }
    }

    @Test(
        "ages that are none",
        arguments: [
            (["--max-age=0"], 1, "--max-age must be a positive number of seconds."),
            (["--max-age=-1"], 1, "--max-age must be a positive number of seconds."),
            (["--max-age=soon"], 100, "The value 'soon' of --max-age is not a whole number."),
            (
                ["--instance=B"], 1,
                "Instance B of Tentacle has not been configured on this machine. Available instances: Tentacle."
            ),
        ] as [([String], Int32, String)]
    )
    func refused(options: [String], code: Int32, message: String) async throws {
        try await Self.with(secondsSinceBeat: 0) { world in
            #expect(world.run(["livez"] + options) == .init(exitCode: code, output: "", errors: message + "\n"))
        }
    }
}
