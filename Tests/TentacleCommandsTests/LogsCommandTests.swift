import AgentConfiguration
import FoundationEssentials
import Glibc
import LauncherProtocol
import Synchronization
import TentacleCommands
import Testing

/// A script's workspace as agent and launcher leave it on disk.
private final class Workspace {
    private(set) var path: String
    private let past: String
    private let directory: WorkspaceDirectory
    private let writer: OutputLogWriter
    private var state: ScriptStateRecord
    /// Held while the script runs.
    private var claim: WorkspaceClaim?

    /// A script that runs; `order` sorts it among others.
    init(_ world: TestWorld, _ ticket: String, order: Int64 = 0, task: String = "", in place: String = "Work") throws {
        let path = world.path + "/home/" + place + "/" + ticket
        try DurableFile.makeDirectory(path)
        let directory = WorkspaceDirectory(takingOver: open(path, O_RDONLY | O_DIRECTORY))
        let claim = try directory.claim(.openFileDescription)
        var state = ScriptStateRecord(
            ticket: try ScriptTicketName(ticket),
            created: UTCMicroseconds(sinceEpoch: order * 1_000_000),
            boot: "b"
        )
        state.taskID = task
        state.begin(at: .now, supervisor: 1)
        try directory.writeState(state, durable: false)
        let writer = try OutputLogWriter(directory)
        self.path = path
        self.past = world.path + "/home/Logs/Scripts/" + ticket
        self.directory = directory
        self.claim = claim
        self.state = state
        self.writer = writer
    }

    func print(_ text: String) throws { try self.writer.append([(.standardOutput, text)]) }

    /// As it is, in the middle of a record or not.
    func append(_ bytes: String) throws {
        let text = Array(bytes.utf8)
        let log = open(self.path + "/Output.log", O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { close(log) }
        try #require(write(log, text, text.count) == text.count)
    }

    func finish(_ exitCode: Int32) throws {
        self.state.complete(at: .now, exitCode: exitCode, ranToCompletion: true, detail: nil)
        try self.directory.writeState(self.state, durable: false)
        self.claim = nil
    }

    /// The server completes it: log and record move to the past scripts.
    func complete() throws {
        try DurableFile.makeDirectory(FilePathText.directory(of: self.past))
        try? FileManager.default.removeItem(atPath: self.past)
        self.directory.remove(WorkspaceDirectory.lockFileName)
        #expect(rename(self.path, self.past) == 0)
        self.path = self.past
    }

    /// A start that failed is tried again.
    func replaceLog(_ bytes: String) throws {
        self.directory.remove(ScriptSpecification.logFileName)
        try DurableFile.write(Array(bytes.utf8), to: self.path + "/" + ScriptSpecification.logFileName, mode: 0o644)
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
            output: { text in
                continuation.yield(text)
                return 0
            },
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

@Suite(.timeLimit(.minutes(4))) struct LogsCommandTests {
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
            let home = world.path + "/home"
            let places = "'\(home)/Work' or '\(home)/Logs/Scripts'. Use --follow to see scripts while they run.\n"
            #expect(world.run("logs") == .init(exitCode: 0, output: "No script logs in \(places)", errors: ""))
            #expect(world.run("logs", "--format=json") == .init(exitCode: 0, output: "", errors: ""))
            for (arguments, what) in [
                (["--ticket=T"], "with the ticket 'T'"), (["--task=1"], "of the task '1'"),
                (["--task=1", "-t", "T"], "with the ticket 'T' of the task '1'"),
            ] {
                #expect(
                    world.run(["logs"] + arguments)
                        == .init(exitCode: 1, output: "", errors: "No script \(what) in \(places)")
                )
            }
            #expect(world.run("logs", "--format=xml").exitCode == 1)
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
            // Its writer was killed; another one writes what comes next.
            try script.append("2026-01-01T00:00:00.000000Z out a record of some length, which no")
            try script.print("last")
            await follower.wait(for: "out last\n")
            try script.finish(3)
            await follower.finish()
            #expect(
                self.withoutTimes(follower.text)
                    == """
                    ==> T-1 (running) <==
                    out before
                    out after
                    out half
                    err \(OutputLogWriter.tornText)
                    out last
                    ==> T-1 (finished, exit code 3) <==
                    exit 0

                    """
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
            // What the agent then writes is shown, too.
            try first.append("2026-01-01T00:00:00.000000Z err why\n")
            try first.finish(-46)
            await follower.wait(for: "err why\n==> T-1 (finished, exit code -46) <==\n")
            try second.print("two")
            await follower.wait(for: "out two\n")
            try second.remove()
            await follower.wait(for: "==> T-2 (removed) <==\n")
            await follower.interrupt()
        }
    }

    @Test("past scripts stand among the others; a task is named with or without its prefix")
    func past() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let scripts = try (1...3).map { try Workspace(world, "T-\($0)", order: $0, task: "ServerTasks-\($0 / 3)1") }
            for (index, script) in scripts.enumerated() { try script.print("text \(index + 1)") }
            try scripts[1].finish(0)
            try scripts[1].complete()
            let texts = (1...3).map { "==> T-\($0)\($0 == 2 ? "" : " (running)") <==\nout text \($0)\n" }
            let end = "==> T-2 (finished, exit code 0) <==\n"
            #expect(self.withoutTimes(world.run("logs").output) == texts[0] + texts[1] + end + texts[2])
            #expect(self.withoutTimes(world.run("logs", "-t", "t-2").output) == texts[1] + end)
            for task in ["01", "servertasks-01"] {
                #expect(self.withoutTimes(world.run("logs", "--task", task).output) == texts[0] + texts[1] + end)
            }
            #expect(self.withoutTimes(world.run("logs", "--task=11", "--ticket=T-3").output) == texts[2])
            for task in ["1", "tasks-11", "x"] { #expect(world.run("logs", "--task", task).exitCode == 1) }
        }
    }

    @Test("following a script through its completion, its deletion, and another one with its ticket")
    func completion() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let old = try Workspace(world, "T-0", in: "Logs/Scripts")
            try old.finish(0)
            let script = try Workspace(world, "T-1")
            let follower = Follower(world)
            try script.print("one")
            await follower.wait(for: "out one\n")
            // All at once, as a short script and a quick server do it.
            try script.print("last words")
            try script.finish(0)
            try script.complete()
            await follower.wait(for: "==> T-1 (finished, exit code 0) <==\n")
            let second = try Workspace(world, "T-1")
            try second.print("again")
            await follower.wait(for: "out again\n")
            try second.finish(1)
            // Takes the place of the first one.
            try second.complete()
            await follower.wait(for: "==> T-1 (finished, exit code 1) <==\n")
            try second.remove()
            try FileManager.default.removeItem(atPath: world.path + "/home/Work")
            let third = try Workspace(world, "T-1")
            try third.print("a third time")
            await follower.wait(for: "out a third time\n")
            try third.finish(2)
            await follower.wait(for: "==> T-1 (finished, exit code 2) <==\n")
            await follower.interrupt()
            #expect(
                self.withoutTimes(follower.text) == """
                    ==> T-1 (running) <==
                    out one
                    out last words
                    ==> T-1 (finished, exit code 0) <==
                    ==> T-1 (running) <==
                    out again
                    ==> T-1 (finished, exit code 1) <==
                    ==> T-1 (running) <==
                    out a third time
                    ==> T-1 (finished, exit code 2) <==
                    exit 0

                    """
            )
        }
    }

    @Test("a script that is completed before it has been seen in the work directory")
    func seenLate() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let follower = Follower(world)
            let first = try Workspace(world, "T-1", order: 1)
            try first.print("one")
            await follower.wait(for: "out one\n")
            let second = try Workspace(world, "T-2", order: 2, in: "elsewhere")
            try second.print("two")
            try second.finish(5)
            try second.complete()
            await follower.wait(for: "==> T-2 (finished, exit code 5) <==\n")
            await follower.interrupt()
            #expect(self.withoutTimes(follower.text).contains("==> T-2 <==\nout two\n==> T-2 (finished"))
        }
    }

    @Test("following one script ends with it, also when it is completed at once, or past already")
    func oneScript() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let follower = Follower(world, "--ticket=t-1", "--task=7")
            let other = try Workspace(world, "T-2", task: "ServerTasks-7")
            try other.print("other")
            let script = try Workspace(world, "T-1", task: "ServerTasks-7")
            try script.print("one")
            await follower.wait(for: "out one\n")
            try script.print("two")
            try script.finish(4)
            try script.complete()
            await follower.finish()
            let text = "out one\nout two\n==> T-1 (finished, exit code 4) <==\nexit 0\n"
            #expect(self.withoutTimes(follower.text) == "==> T-1 (running) <==\n" + text)
            let later = Follower(world, "--ticket=T-1")
            await later.finish()
            #expect(self.withoutTimes(later.text) == "==> T-1 <==\n" + text)
        }
    }

    @Test("following the scripts of one task; those of which it is not known yet are waited for")
    func oneTask() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let past = try Workspace(world, "T-0", task: "ServerTasks-7")
            try past.print("zero")
            try past.finish(0)
            try past.complete()
            let follower = Follower(world, "--task=7")
            await follower.wait(for: "==> T-0 (finished, exit code 0) <==\n")
            let other = try Workspace(world, "T-1", task: "ServerTasks-17")
            try other.print("other")
            // As the agent prepares a workspace: the record comes last.
            try world.write("", "home/Work/T-2/Output.log")
            let script = try Workspace(world, "T-2", task: "ServerTasks-7")
            try script.print("two")
            await follower.wait(for: "out two\n")
            await follower.interrupt()
            #expect(!follower.text.contains("other"))
        }
    }

    @Test("the log of a start that is tried again is followed, too")
    func retriedStart() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let script = try Workspace(world, "T-1")
            try script.print("first start")
            let follower = Follower(world)
            await follower.wait(for: "out first start\n")
            try script.replaceLog("2026-01-01T00:00:00.000000Z out second start\n")
            await follower.wait(for: "out second start\n")
            await follower.interrupt()
        }
    }

    @Test("a terminal gets no control characters but tabs, a pipe gets the bytes")
    func controls() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let script = try Workspace(world, "T-1\u{9B}", task: "ServerTasks-1")
            let text = "\u{1B}[2J\u{9B}2J\ta\u{7F}\u{0}é"
            try script.append("2026-01-01T00:00:00.000000Z out \(text)\n")
            try script.finish(0)
            let record = "2026-01-01T00:00:00.000000Z out "
            #expect(
                world.run("logs").output
                    == "==> T-1\u{9B} <==\n\(record)\(text)\n==> T-1\u{9B} (finished, exit code 0) <==\n"
            )
            world.context.console.isTerminal = true
            let escaped = #"\u001b[2J\u009b2J\#ta\u007f\u0000é"#
            #expect(
                world.run("logs").output
                    == #"==> T-1\u009b <==\#n\#(record)\#(escaped)\#n==> T-1\u009b (finished, exit code 0) <==\#n"#
            )
            #expect(world.run("logs", "--format=json").output.contains(#""text":"\u001b[2J\u009b2J\ta\u007f\u0000é"}"#))
        }
    }

    @Test("as JSON, one object a line; pieces of long lines are joined")
    func json() async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            let script = try Workspace(world, "T-1", task: "ServerTasks-1")
            let bare = try Workspace(world, "T-2", order: 1)
            let follower = Follower(world, "--format=json")
            let time = "2026-01-01T00:00:00.000000Z"
            try script.append("\(time) out a \"b\"\n\(time) ou+ one, \n\(time) err bad\n")
            await follower.wait(for: #""text":"a \"b\""}"#)
            try script.append("\(time) out two\n\(time) dbg why\n")
            try script.finish(3)
            try script.complete()
            await follower.wait(for: "finished, exit code 3")
            try bare.append("\(time) out bare\n")
            bare.abandon()
            await follower.wait(for: "launcher is gone")
            await follower.interrupt()
            let head = #"{"ticket":"T-1","task":"ServerTasks-1","time":""#
            let expected = [
                #"\#(head)\#(time)","stream":"out","text":"a \"b\""}"#,
                #"\#(head)\#(time)","stream":"out","text":"one, two"}"#,
                #"\#(head)\#(time)","stream":"err","text":"bad"}"#, #"\#(head)\#(time)","stream":"dbg","text":"why"}"#,
                #"\#(head)END","stream":"end","text":"finished, exit code 3"}"#,
                #"{"ticket":"T-2","task":null,"time":"\#(time)","stream":"out","text":"bare"}"#,
                #"{"ticket":"T-2","task":null,"time":null,"stream":"end","text":"outcome unknown, its launcher is gone"}"#,
            ]
            func withoutEnd(_ text: String) -> [String] {
                text.replacing(#/[0-9-]{10}T[0-9:.]{15}Z(","stream":"end")/#) { "END\($0.1)" }
                    .split(separator: "\n").map(String.init)
            }
            #expect(withoutEnd(follower.text) == expected + ["exit 0"])
            #expect(withoutEnd(world.run("logs", "--format=json").output) == expected)
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
