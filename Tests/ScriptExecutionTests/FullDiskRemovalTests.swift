import Foundation
import Glibc
import LauncherProtocol
import Testing

@testable import ScriptExecution

/// Making room must not need any.
@Suite(.timeLimit(.minutes(2)))
struct FullDiskRemovalTests {
    enum Lack: String, CaseIterable, CustomTestStringConvertible {
        case bytes, inodes

        var testDescription: String { rawValue }
    }

    @Test(
        "workspaces are completed and cleaned on a disk without a free byte, or a free inode",
        .enabled(if: ScriptFixture.isRoot, "needs root for a mount namespace"),
        arguments: Lack.allCases
    )
    func remove(lack: Lack) async throws {
        let host = try #require(ScriptFixture.program("script-service-host"))
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.withHome { home in
            for ticket in ["kept", "lost", "old"] { try Self.prepare(ticket, home: home + "/disk/template") }
            // The file system ends with the mount namespace, and that with the service.
            let script = """
                set -e; cp -a \(home)/disk/template \(home)/template
                mount -t tmpfs -o size=1m,nr_inodes=100 none \(home)/disk
                cp -a \(home)/template/. \(home)/disk; mkdir -p \(home)/disk/Logs/Scripts
                exec \(host) \(home)/disk \(launcher)
                """
            let agent = Agent(
                program: "/usr/bin/unshare",
                arguments: ["--mount", "/bin/sh", "-c", script],
                marker: home
            )
            try await agent.whileRunning {
                _ = try await agent.ask("status", "nobody")
                let service = try #require(await agent.processIdentifier)
                let disk = "/proc/\(service)/root\(home)/disk"
                try Self.fill(disk, lack)
                _ = try await agent.ask("complete", "kept")
                #expect(access(disk + "/Work/kept", F_OK) != 0)
                #expect(access(disk + "/Logs/Scripts/kept/Output.log", F_OK) == 0)
                // Not complete, so not kept.
                try Self.fill(disk, lack)
                _ = try await agent.ask("complete", "lost")
                #expect(access(disk + "/Work/lost", F_OK) != 0)
                try Self.fill(disk, lack)
                _ = try await agent.ask("clean", "")
                #expect(try FileManager.default.contentsOfDirectory(atPath: disk + "/Work") == [])
            }
        }
    }

    private static func prepare(_ text: String, home: String) throws {
        let ticket = try ScriptTicketName(text)
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        let workspaces = ScriptWorkspaces(homeDirectory: home) { text, _ in text }
        let specification = ScriptSpecification(
            ticket: ticket,
            service: 2,
            taskID: "ServerTasks-1",
            fullIsolation: false,
            mutexName: "torture",
            mutexTimeoutMilliseconds: nil,
            arguments: [],
            environment: [:]
        )
        let files = (0..<10).map {
            ScriptStart.File(name: "d\($0)/file", contents: .bytes(Array(repeating: 1, count: 5000)))
        }
        try workspaces.prepare(ticket, ScriptStart(body: "", taskID: nil, files: files), specification)
        guard text != "lost" else { return }
        _ = try workspaces.finish(ticket, exitCode: 0, log: [(.standardOutput, "hello")], detail: nil)
    }

    /// Until nothing more can be written or made.
    private static func fill(_ disk: String, _ lack: Lack) throws {
        var facts = statvfs()
        switch lack {
        case .bytes:
            let file = Glibc.open(disk + "/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            defer { close(file) }
            let bytes = [UInt8](repeating: 0, count: 4096)
            while write(file, bytes, bytes.count) > 0 {}
            try #require(errno == ENOSPC && statvfs(disk, &facts) == 0 && facts.f_bavail == 0)
        case .inodes:
            while mkdir(disk + "/filler-\(UUID().uuidString)", 0o700) == 0 {}
            try #require(errno == ENOSPC && statvfs(disk, &facts) == 0 && facts.f_ffree == 0)
        }
    }
}
