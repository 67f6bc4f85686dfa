import Foundation
import Glibc
import ProcessTesting
import Testing

/// Configuration files in places where no file can be put beside them or in their place (spec tentacle-cli.md 6.1).
@Suite(.enabled(if: geteuid() == 0, "needs root: other users' directories, mounts"), .timeLimit(.minutes(1)))
struct ConfigurationFileTests {
    private static let thumbprint = "0E80576D3BD8D40854802A4F8340A2E23AE961FD"

    /// Runs `command` with a folder that has a configuration file in it; expects it to change that file.
    private func expectChange(_ command: (_ program: String, _ configuration: String) throws -> [String]) async throws {
        try await TentacleFixture.with { fixture in
            let path = fixture.folder.appending(path: "home/tentacle.config").path
            try await fixture.succeed("tentacle", ["create-instance", "--config", path])
            // Longer than what is written over it.
            try await fixture.succeed("tentacle", ["configure", "--config", path, "--trust", "AA", "--trust", "BB"])
            let before = try FileManager.default.attributesOfItem(atPath: path)
            var words = try command(TentacleFixture.programs.appending(path: "tentacle").path, path)
            let program = words.removeFirst()
            let machine = ["TentacleMachineConfigurationHomeDirectory": fixture.folder.appending(path: "machine").path]
            let outcome = try await RunningProgram(program, words, environment: machine, folder: fixture.folder.path)
                .outcome()
            #expect(outcome.status == 0, "\(outcome)")
            let shown = try await fixture.succeed("tentacle", ["show-configuration", "--config", path])
            #expect(shown.contains(Self.thumbprint) && !shown.contains(#""AA""#), "\(shown)")
            let after = try FileManager.default.attributesOfItem(atPath: path)
            #expect(after[.systemFileNumber] as? UInt64 == before[.systemFileNumber] as? UInt64)
            #expect(after[.posixPermissions] as? Int == 0o600)
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.folder.appending(path: "home").path)
            #expect(Set(names).isSubset(of: ["tentacle.config", "Logs"]), "\(names)")
        }
    }

    private static func change(_ configuration: String) -> [String] {
        ["configure", "--config", configuration, "--reset-trust", "--trust", self.thumbprint]
    }

    @Test("one's own file in somebody else's directory is written over")
    func directoryOfAnotherUser() async throws {
        try await self.expectChange { program, configuration in
            let folder = URL(fileURLWithPath: configuration).deletingLastPathComponent().path
            #expect(chown(folder, 12345, 12345) == 0 && chmod(folder, 0o755) == 0)
            // Root without capabilities is an ordinary user who owns the file.
            return ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", program] + Self.change(configuration)
        }
    }

    @Test("a file that is a mount point is written over")
    func mountPoint() async throws {
        try await self.expectChange { program, configuration in
            let script = #"mount --bind "$2" "$2" && exec "$1" "${@:3}""#
            return ["/usr/bin/unshare", "-m", "/bin/bash", "-c", script, "bash", program, configuration]
                + Self.change(configuration)
        }
    }
}
