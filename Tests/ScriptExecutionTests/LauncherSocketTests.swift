import Dispatch
import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting
import Testing

@testable import ScriptExecution

/// What systemd does with `Accept=yes`: one launcher for each connection, the connection as its standard input.
private final class LauncherSocket: Sendable {
    private let listener: Int32
    private let launchers: AsyncStream<RunningProgram>

    init(path: String, launcher: String, workDirectory: String) throws {
        let listener = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0 && listen(listener, 8) == 0)
        let (launchers, started) = AsyncStream.makeStream(of: RunningProgram.self)
        self.launchers = launchers
        DispatchQueue(label: "launcher socket").async {
            while case let connection = accept(listener, nil, nil), connection >= 0 {
                let arguments = ["--work", workDirectory]
                if let program = try? RunningProgram(launcher, arguments, input: .descriptor(connection)) {
                    started.yield(program)
                }
                close(connection)
            }
            started.finish()
        }
    }

    /// Runs the body, then accepts no more and waits for the launchers that there were.
    func whileListening(_ body: () async throws -> Void) async throws {
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        shutdown(listener, Int32(SHUT_RDWR))
        for await launcher in launchers { _ = await launcher.outcome() }
        try result.get()
    }

    deinit { close(listener) }
}

@Suite struct LauncherSocketTests {
    @Test("scripts start, and are cancelled, through a socket; the connection ends before the script does")
    func overSocket() async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        let home = ScratchFolder.url("scripts").path
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let path = home + "/launcher.sock"
        let server = try LauncherSocket(path: path, launcher: launcher, workDirectory: home + "/Work")
        try await server.whileListening {
            let client = LauncherClient(workDirectory: "/nowhere", socketPath: path, executable: nil)
            try await ScriptFixture(home: home, launcher: client).running { fixture in
                let status = try await fixture.run("echo hello; exit 3", ticket: "one")
                #expect(ScriptFixture.output(status) == ["hello"])
                #expect(status.exitCode == 3)
                let gate = try Gate(fixture)
                try await fixture.runToGate(gate, ticket: "two")
                let cancelled = try await fixture.service.cancel(ticket: "two", after: 0, generation: .v2)
                #expect(cancelled.exitCode == ScriptExitCode.cancelled)
            }
        }
    }

    @Test(
        "an agent of root's starts its own launcher where the one behind the socket does not serve its directory",
        .enabled(if: geteuid() == 0, "needs root")
    )
    func otherDirectory() async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.withHome { home in
            let other = home + "/other/Work"
            try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
            let server = try LauncherSocket(path: home + "/launcher.sock", launcher: launcher, workDirectory: other)
            @Sendable func run(
                _ executable: String?,
                _ ticket: String,
                _ expect: @Sendable @escaping (ScriptStatus) -> Void
            ) async throws {
                let client = LauncherClient(
                    workDirectory: home + "/Work",
                    socketPath: home + "/launcher.sock",
                    executable: executable
                )
                try await ScriptFixture(home: home, launcher: client).running { fixture in
                    expect(try await fixture.run("echo hello", ticket: ticket))
                }
            }
            try await server.whileListening {
                try await run(launcher, "one") { #expect(ScriptFixture.output($0) == ["hello"]) }
                try await run(nil, "two") { refused in
                    #expect(refused.exitCode == ScriptExitCode.couldNotStart)
                    #expect(refused.logs.last?.text.contains("cannot open the workspace of two") == true)
                }
            }
            // A socket that nobody listens at any more.
            try await run(launcher, "three") { #expect(ScriptFixture.output($0) == ["hello"]) }
            try await run(nil, "four") { #expect($0.logs.last?.text.contains("Connection refused") == true) }
        }
    }

    @Test("without a launcher a script ends with -42 and says what to do")
    func noLauncher() async throws {
        let client = LauncherClient(workDirectory: "/nowhere", socketPath: "/nowhere.sock", executable: nil)
        try await ScriptFixture.with(launcher: client) { fixture in
            let status = try await fixture.run("echo hello")
            #expect(status.exitCode == ScriptExitCode.couldNotStart)
            #expect(status.logs.last?.text.contains("there is no launcher") == true)
        }
    }

    @Test("a launcher removes what an agent has given up, and nothing that links lead to or that has another name")
    func removes() async throws {
        let launcher = try #require(ScriptFixture.launcherPath)
        try await ScriptFixture.withHome { home in
            let work = home + "/Work"
            let tree = work + "/.removed-abc/a/b/c"
            try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
            for folder in ["/abc", "/outside"] {
                try FileManager.default.createDirectory(atPath: work + folder, withIntermediateDirectories: true)
                try Data("kept".utf8).write(to: URL(filePath: work + folder + "/file"))
            }
            try Data("gone".utf8).write(to: URL(filePath: tree + "/file"))
            for link in [tree + "/link", work + "/.removed-abc/link"] {
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: work + "/outside")
            }
            symlink(work + "/outside", work + "/.removed-link")
            func ask(_ ticket: String) async throws -> String {
                let input = "{\"remove\":\"\(ticket)\"}\n"
                return try await RunningProgram(launcher, ["--work", work], input: .text(input)).outcome().output
            }
            #expect(try await ask("abc") == "{\"ok\":\"removed\"}\n")
            #expect(try await ask("link") == "{\"ok\":\"removed\"}\n")
            #expect(try await ask("abc") == "{\"error\":\"there is no .removed-abc in \(work)\"}\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: work).sorted() == ["abc", "outside"])
            for folder in ["/abc", "/outside"] {
                #expect(FileManager.default.fileExists(atPath: work + folder + "/file"))
            }
        }
    }
}
