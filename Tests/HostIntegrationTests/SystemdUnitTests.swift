import FoundationEssentials
import Glibc
import HostIntegration
import ProcessTesting
import Testing

@Suite("systemd units")
struct SystemdUnitTests {
    private static func path(_ name: String) -> URL {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../systemd/\(name)")
    }

    private func packaged(_ name: String) throws -> [String] {
        try String(contentsOf: Self.path(name), encoding: .utf8).split(separator: "\n")
            .map(String.init).filter { !$0.hasPrefix("#") }
    }

    @Test("The packaged unit of the default instance is the template with the name put in")
    func packagedUnits() throws {
        let template = try self.packaged("tentacle@.service").map {
            $0.replacing(" (%I)", with: "").replacing("%I", with: "Tentacle")
        }
        #expect(try self.packaged("tentacle.service") == template)
    }

    /// What `systemd-analyze security` may say of a unit that faces the network, in tenths.
    private static let worstExposure = 15
    private static let analyzer = "/usr/bin/systemd-analyze"

    @Test(
        "The agent's unit is exposed no more than 1.5",
        .enabled(if: access(analyzer, X_OK) == 0, "systemd-analyze is not installed"),
        arguments: ["tentacle.service", "tentacle@.service"]
    )
    func exposure(name: String) async throws {
        let options = ["security", "--offline=true", "--no-pager", "--threshold=\(Self.worstExposure)"]
        let outcome = try await RunningProgram(Self.analyzer, options + [Self.path(name).path]).outcome()
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.contains("Overall exposure level"))
    }

    @Test("The agent's unit names what it leaves open, and why")
    func openEnds() throws {
        let unit = try self.packaged("tentacle.service")
        // The whole allow-list: a group that somebody adds shows here.
        #expect(
            unit.filter { $0.hasPrefix("SystemCallFilter=") } == [
                "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources",
                "SystemCallFilter=~setpriority:0",
            ]
        )
        #expect(unit.contains("RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"))
        #expect(unit.contains("CapabilityBoundingSet=") && unit.contains("NoNewPrivileges=yes"))
    }

    @Test("Agent and launcher meet at one socket, which the agent's group alone may use")
    func launcherSocket() throws {
        let socket = try self.packaged("tentacle-launcher.socket")
        #expect(socket.contains("ListenStream=/run/tentacle/launcher.sock"))
        #expect(socket.contains("Accept=yes") && socket.contains("SocketGroup=tentacle"))
        #expect(socket.contains("SocketMode=0660"))
        #expect(try self.packaged("tentacle@.service").contains("Requires=tentacle-launcher.socket"))
        #expect(try self.packaged("tentacle-launcher@.service").contains("StandardInput=socket"))
    }
}
