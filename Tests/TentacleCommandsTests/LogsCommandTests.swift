import AgentConfiguration
import FoundationEssentials
import Glibc
import LauncherProtocol
import Synchronization
import TentacleCommands
import Testing

/// A script's workspace as agent and launcher leave it on disk.
private final class Workspace {
    let path: String
    private let directory: WorkspaceDirectory
    private let writer: OutputLogWriter
    private var state: ScriptStateRecord
    /// Held while the script runs.
    private var claim: WorkspaceClaim?

    /// A script that runs; `order` sorts it among others.
    init(_ world: TestWorld, _ ticket: String, order: Int64 = 0) throws {
        let path = world.path + "/home/Work/" + ticket
        try DurableFile.makeDirectory(path)
        let directory = WorkspaceDirectory(takingOver: open(path, O_RDONLY | O_DIRECTORY))
        let claim = try directory.claim(.openFileDescription)
        var state = ScriptStateRecord(
            ticket: try ScriptTicketName(ticket),
            created: UTCMicroseconds(sinceEpoch: order * 1_000_000),
            boot: "b"
        )
        state.begin(at: .now, supervisor: 1)
        try directory.writeState(state, durable: false)
        let writer = try OutputLogWriter(directory)
        self.path = path
        self.directory = directory
        self.claim = claim
        self.state = state
        self.writer = writer
    }

    func print(_ text: String) throws { try self.writer.append([(.standardOutput, text)]) }

    func append(_ bytes: String) throws { try self.writer.append(Array(bytes.utf8)) }

    func finish(_ exitCode: Int32) throws {
        self.state.complete(at: .now, exitCode: exitCode, ranToCompletion: true, detail: nil)
        try self.directory.writeState(self.state, durable: false)
        self.claim = nil
    }

    /// The launcher is killed.
    func abandon() { self.claim = nil }

    func remove() throws { try FileManager.default.removeItem(atPath: self.path) }
}

/// `logs --follow` on a thread of its own, its output as it comes.
private final class Follower {
    private let output: AsyncStream<String>
    private var stop: CInt = -1
    /// Everything printed so far.
    private(set) var text = ""

    private final class Job {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    init(_ world: TestWorld, _ arguments: String...) {
        let (output, continuation) = AsyncStream<String>.makeStream()
        self.output = output
        var ends: [CInt] = [0, 0]
        pipe(&ends)
        self.stop = ends[1]
        var context = world.context
        context.interruption = ends[0]
        context.console = Console(
            output: { continuation.yield($0) },
            errorOutput: { continuation.yield("error: \($0)") }
        )
        let program = TentacleProgram(context)
        let job = Job {
            let code = program.run(["logs", "--follow"] + arguments)
            continuation.yield("exit \(code.rawValue)\n")
            continuation.finish()
            close(ends[0])
        }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(job).toOpaque()
        pthread_create(
            &thread,
            nil,
            { context in
                if let context { Unmanaged<Job>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            },
            argument
        )
        pthread_detach(thread)
    }

    /// Waits until the text has been printed.
    func wait(for expected: String) async {
        if !self.text.contains(expected) {
            for await more in self.output {
                self.text += more
                if self.text.contains(expected) { break }
            }
        }
        #expect(self.text.contains(expected), "\(self.text)")
    }

    /// Interrupts the command, and waits for its end.
    func interrupt() async {
        self.closeStop()
        await self.finish()
    }

    func finish() async {
        for await more in self.output { self.text += more }
        self.closeStop()
    }

    private func closeStop() {
        if self.stop >= 0 { close(self.stop) }
        self.stop = -1
    }
}

@Suite(.timeLimit(.minutes(1))) struct LogsCommandTests {
    /// Times are not compared.
    private func withoutTimes(_ text: String) -> String {
        text.replacing(#/[0-9-]{10}T[0-9:.]{15}Z /#, with: "")
    }

    @Test("past and running scripts, in the order of their start")
    func print() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let second = try Workspace(world, "T-2", order: 2)
            let first = try Workspace(world, "T-1", order: 3 - 2)
            let third = try Workspace(world, "T-3", order: 3)
            try first.print("one")
            try first.append("2026-01-01T00:00:00.000000Z err bad\n")
            try first.finish(7)
            try second.print("two\nlines")
            try third.print("three")
            third.abandon()
            let outcome = world.run("logs")
            #expect(outcome.exitCode == 0)
            #expect(
                self.withoutTimes(outcome.output) == """
                    ==> T-1 <==
                    out one
                    err bad
                    ==> T-1 (finished, exit code 7) <==
                    ==> T-2 (running) <==
                    out two
                    out lines
                    ==> T-3 <==
                    out three
                    ==> T-3 (outcome unknown, its launcher is gone) <==

                    """
            )
            #expect(self.withoutTimes(world.run("logs", "--ticket", "t-1").output).hasPrefix("==> T-1 <==\nout one\n"))
            try second.finish(0)
        }
    }

    @Test("nothing to show")
    func empty() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let directory = world.path + "/home/Work"
            let reason =
                "they are removed once the server has fetched them. Use --follow to see scripts while they run."
            #expect(
                world.run("logs")
                    == .init(exitCode: 0, output: "No script logs in '\(directory)': \(reason)\n", errors: "")
            )
            let outcome = world.run("logs", "--ticket=T")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors == "No script with the ticket 'T' in '\(directory)': \(reason)\n")
            _ = world.run("create-instance", "--instance=B", "--config=\(world.path)/b/b.config")
            try TentacleConfiguration.update(world.path + "/b/b.config", host: world.context.host) {
                $0.set(.home, nil)
            }
            #expect(world.run("logs", "--instance=B").errors.hasPrefix("The Tentacle home directory has not been set."))
        }
    }

    @Test("what is no workspace is left alone")
    func strangers() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            try world.write("x", "home/Work/file")
            try world.write("x", "home/Work/.hidden/Output.log")
            try DurableFile.makeDirectory(world.path + "/home/Work/link-target")
            symlink("/etc", world.path + "/home/Work/link")
            try world.write("2026-01-01T00:00:00.000000Z out begun\nhalf", "home/Work/no-state/Output.log")
            #expect(self.withoutTimes(world.run("logs").output) == "==> no-state (running) <==\nout begun\n")
        }
    }

    @Test("following a script that grows, record by record, until it ends")
    func growing() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let script = try Workspace(world, "T-1")
            try script.print("before")
            let follower = Follower(world, "--ticket=T-1")
            await follower.wait(for: "out before\n")
            try script.print("after")
            await follower.wait(for: "out after\n")
            // Half a record stays back until its end is there.
            try script.append("2026-01-01T00:00:00.000000Z out ha")
            try script.append("lf\n")
            await follower.wait(for: "out half\n")
            try script.finish(3)
            await follower.finish()
            #expect(
                self.withoutTimes(follower.text)
                    == "==> T-1 (running) <==\nout before\nout after\nout half\n==> T-1 (finished, exit code 3) <==\nexit 0\n"
            )
        }
    }

    @Test("scripts that come and go while following, the work directory included")
    func newScripts() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let follower = Follower(world)
            // The first script makes the directory.
            let first = try Workspace(world, "T-1", order: 1)
            try first.print("one")
            await follower.wait(for: "out one\n")
            let second = try Workspace(world, "T-2", order: 2)
            try second.print("two")
            await follower.wait(for: "out two\n")
            try first.print("again")
            await follower.wait(for: "out again\n")
            try first.finish(0)
            await follower.wait(for: "==> T-1 (finished, exit code 0) <==\n")
            try first.remove()
            try second.print("last words")
            await follower.wait(for: "out last words\n")
            try second.finish(1)
            await follower.wait(for: "==> T-2 (finished, exit code 1) <==\n")
            try second.remove()
            await follower.interrupt()
            #expect(
                self.withoutTimes(follower.text) == """
                    ==> T-1 (running) <==
                    out one
                    ==> T-2 (running) <==
                    out two
                    ==> T-1 (running) <==
                    out again
                    ==> T-1 (finished, exit code 0) <==
                    ==> T-2 (running) <==
                    out last words
                    ==> T-2 (finished, exit code 1) <==
                    exit 0

                    """
            )
        }
    }

    @Test("a script whose launcher dies, and a workspace that is removed while it runs")
    func untimelyEnds() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let first = try Workspace(world, "T-1")
            let second = try Workspace(world, "T-2", order: 1)
            let follower = Follower(world)
            try first.print("one")
            await follower.wait(for: "out one\n")
            first.abandon()
            await follower.wait(for: "==> T-1 (outcome unknown, its launcher is gone) <==\n")
            try second.print("two")
            await follower.wait(for: "out two\n")
            try second.remove()
            await follower.wait(for: "==> T-2 (removed) <==\n")
            await follower.interrupt()
        }
    }

    @Test("a long log arrives whole")
    func long() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let script = try Workspace(world, "T-1")
            let follower = Follower(world, "-t", "T-1")
            for batch in 0..<20 {
                try script.print((0..<1000).map { "line \(batch * 1000 + $0) of a log" }.joined(separator: "\n"))
            }
            try script.finish(0)
            await follower.finish()
            let numbers = follower.text.split(separator: "\n").compactMap { line -> Int? in
                let words = line.split(separator: " ")
                return words.count == 7 ? Int(words[3]) : nil
            }
            #expect(numbers == Array(0..<20_000))
        }
    }
}
