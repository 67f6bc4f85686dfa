import Glibc
import LauncherProtocol
import Testing

/// `status` and `why`, over real files and locks that another process holds.
@Suite(.timeLimit(.minutes(4))) struct StatusCommandTests {
    /// T-1 runs alone, T-2 to T-4 wait for it; T-5 and T-6 share a mutex of their own.
    private static func makeQueues(_ scripts: ScriptWorld) throws {
        try scripts.add("T-1", age: 310, full: true) { $0.begin(at: ScriptWorld.ago(302), supervisor: 1) }
        try scripts.add("T-2", age: 200)
        try scripts.add("T-3", age: 100, full: true, timeoutSeconds: 600)
        try scripts.add("T-4", age: 5)
        try scripts.add("T-5", age: 90_000, mutex: "Other") { $0.begin(at: ScriptWorld.ago(90_000), supervisor: 1) }
        try scripts.add("T-6", age: 4, mutex: "Other") { $0.begin(at: ScriptWorld.ago(3), supervisor: 1) }
    }

    private static let held = ["T-1", "T-5", "T-6"]

    @Test("status as text")
    func text() async throws {
        try await ScriptWorld.with { scripts in
            try Self.makeQueues(scripts)
            try scripts.add("T-7", age: 20) {
                $0.complete(at: ScriptWorld.ago(10), exitCode: 7, ranToCompletion: true, detail: nil)
            }
            try scripts.add("T-8", age: 30) {
                $0.complete(at: ScriptWorld.ago(9), exitCode: -44, ranToCompletion: false, detail: "timed out\u{1B}[2J")
            }
            try scripts.add("T-9", age: 60) { $0.begin(at: ScriptWorld.ago(59), supervisor: 1) }
            try scripts.add("T-10", age: 7200) { $0.boot = "another" }
            try scripts.world.write("{", "home/Work/T-11/state.json")
            try scripts.world.write("", "home/Work/T-12/Output.log")
            try scripts.beat(secondsAgo: 4)
            let outcome = try await scripts.whileLocked(Self.held) { _ in scripts.run("status") }
            #expect(outcome.errors == "" && outcome.exitCode == 0)
            #expect(
                outcome.output == #"""
                    Instance: Tentacle
                    Home: \#(scripts.world.path)/home
                    Agent: running, its last heartbeat was 4 s ago

                    Mutex Other:
                      T-5 of task ServerTasks-5, NoIsolation, running since 2024-05-08 09:11:12 UTC (1 d 1 h)
                      T-6 of task ServerTasks-6, NoIsolation, running since 2024-05-09 10:11:09 UTC (3 s)

                    Mutex RunningScript:
                      T-1 of task ServerTasks-1, FullIsolation, running since 2024-05-09 10:06:10 UTC (5 min 2 s)
                      1. T-3 of task ServerTasks-3, FullIsolation, waiting since 2024-05-09 10:09:32 UTC (1 min 40 s)
                      2. T-2 of task ServerTasks-2, NoIsolation, waiting since 2024-05-09 10:07:52 UTC (3 min 20 s)
                      2. T-4 of task ServerTasks-4, NoIsolation, waiting since 2024-05-09 10:11:07 UTC (5 s)

                    Over, not yet completed by the server:
                      T-8 of task ServerTasks-8, ended 9 s ago, exit code -44: timed out\u001b[2J
                      T-7 of task ServerTasks-7, ended 10 s ago, exit code 7

                    Lost, their outcome is unknown:
                      T-10 of task ServerTasks-10, there since 2024-05-09 08:11:12 UTC (2 h), perhaps begun before the host was restarted
                      T-9 of task ServerTasks-9, begun at 2024-05-09 10:10:13 UTC, 59 s ago

                    Unclear:
                      T-11: not valid JSON at byte 1: expected a member name
                      T-12: there is no state.json: its start is being prepared, or failed, or a stock agent left it

                    """#
            )
        }
    }

    @Test("status as JSON")
    func json() async throws {
        try await ScriptWorld.with { scripts in
            try scripts.add("T-1", age: 10) { $0.begin(at: ScriptWorld.ago(9), supervisor: 1) }
            try scripts.add("T-2", age: 8, full: true)
            try scripts.add("T-3", age: 7) {
                $0.complete(at: ScriptWorld.ago(6), exitCode: 3, ranToCompletion: true, detail: "why")
            }
            try scripts.world.write("[]", "home/Work/T-4/state.json")
            try scripts.beat(secondsAgo: 31)
            try await scripts.whileLocked(["T-1"]) { process in
                #expect(
                    scripts.run("status", "--format=json").output == """
                        {
                          "instance": "Tentacle",
                          "home": "\(scripts.world.path)/home",
                          "agent": {
                            "state": "silent",
                            "heartbeat": "2024-05-09T10:10:41.000000Z"
                          },
                          "mutexes": [
                            {
                              "name": "RunningScript",
                              "holders": [
                                {
                                  "ticket": "T-1",
                                  "task": "ServerTasks-1",
                                  "state": "running",
                                  "mutex": "RunningScript",
                                  "isolation": "NoIsolation",
                                  "created": "2024-05-09T10:11:02.000000Z",
                                  "started": "2024-05-09T10:11:03.000000Z",
                                  "completed": null,
                                  "exitCode": null,
                                  "detail": null,
                                  "supervisor": \(process)
                                }
                              ],
                              "waiting": [
                                {
                                  "ticket": "T-2",
                                  "task": "ServerTasks-2",
                                  "state": "waiting",
                                  "mutex": "RunningScript",
                                  "isolation": "FullIsolation",
                                  "created": "2024-05-09T10:11:04.000000Z",
                                  "started": null,
                                  "completed": null,
                                  "exitCode": null,
                                  "detail": null,
                                  "supervisor": null,
                                  "place": 1
                                }
                              ]
                            }
                          ],
                          "over": [
                            {
                              "ticket": "T-3",
                              "task": "ServerTasks-3",
                              "state": "over",
                              "mutex": "RunningScript",
                              "isolation": "NoIsolation",
                              "created": "2024-05-09T10:11:05.000000Z",
                              "started": null,
                              "completed": "2024-05-09T10:11:06.000000Z",
                              "exitCode": 3,
                              "detail": "why",
                              "supervisor": null
                            }
                          ],
                          "lost": [],
                          "unclear": [
                            {
                              "ticket": "T-4",
                              "reason": "state.json is of a version this program does not know"
                            }
                          ]
                        }

                        """
                )
            }
        }
    }

    /// Scripts that come, start and end at random, with the locks of their launchers.
    private struct Simulation {
        let scripts: ScriptWorld
        private var random: UInt64
        private var lock = IsolationLock()
        private var claims: [Int: Claim] = [:]
        private var next = 0

        /// A lock that lives in a dictionary.
        private final class Claim {
            private let claim: WorkspaceClaim?
            init(_ directory: borrowing WorkspaceDirectory) throws { claim = try directory.claim(.openFileDescription) }
        }

        init(_ scripts: ScriptWorld, seed: UInt64) {
            self.scripts = scripts
            self.random = seed
        }

        private mutating func number(below limit: Int) -> Int {
            self.random = self.random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((self.random >> 33) % UInt64(limit))
        }

        mutating func step() throws {
            if self.lock.holders.isEmpty || (self.next < 25 && self.number(below: 3) > 0) {
                let isFull = self.number(below: 3) == 0
                try self.scripts.add("T-\(self.next)", age: Int64(1000 - self.next), full: isFull)
                let member = IsolationLock.Member(id: self.next, taskID: "", fullIsolation: isFull)
                if self.lock.request(member) { try self.begin(self.next) }
                self.next += 1
            } else {
                // Also one that gives up waiting.
                let members = self.lock.holders + self.lock.waiting
                let id = members[self.number(below: members.count)].id
                let directory = self.directory(id)
                var state = try #require(try directory.readState())
                state.complete(at: ScriptWorld.now, exitCode: 0, ranToCompletion: true, detail: nil)
                try directory.writeState(state, durable: false)
                self.claims[id] = nil
                for entered in self.lock.leave(id) { try self.begin(entered) }
            }
        }

        private func directory(_ id: Int) -> WorkspaceDirectory {
            WorkspaceDirectory(takingOver: open("\(self.scripts.work)/T-\(id)", O_RDONLY | O_DIRECTORY))
        }

        private mutating func begin(_ id: Int) throws {
            let directory = self.directory(id)
            self.claims[id] = try Claim(directory)
            var state = try #require(try directory.readState())
            state.begin(at: ScriptWorld.now, supervisor: 1)
            try directory.writeState(state, durable: false)
        }

        var holders: [String] { self.lock.holders.map { "T-\($0.id)" }.sorted() }
        var waiting: [String] { self.lock.turns().joined().map { "T-\($0)" } }
    }

    @Test("what status tells is what the agent's lock does", arguments: 1...4 as ClosedRange<UInt64>)
    func simulation(seed: UInt64) async throws {
        try await ScriptWorld.with { scripts in
            var simulation = Simulation(scripts, seed: seed)
            try scripts.beat(secondsAgo: 1)
            var longestQueue = 0
            for _ in 0..<60 {
                try simulation.step()
                let output = scripts.run("status", "--format=json").output
                let mutexes = try #require(try JSONText(bytes: Array(output.utf8))["mutexes"]?.array)
                func tickets(_ key: String) -> [String] {
                    mutexes.first?[key]?.array?.compactMap { $0["ticket"]?.string } ?? []
                }
                #expect(tickets("holders").sorted() == simulation.holders)
                #expect(tickets("waiting") == simulation.waiting)
                longestQueue = max(longestQueue, simulation.waiting.count)
            }
            #expect(longestQueue > 3)
        }
    }

    @Test("no scripts; whether the agent runs is not guessed")
    func empty() async throws {
        try await ScriptWorld.with { scripts in
            let head = "Instance: Tentacle\nHome: \(scripts.world.path)/home\n"
            #expect(
                scripts.run("status").output
                    == head + "Agent: unknown whether it runs, there is no heartbeat\n\nNo scripts.\n"
            )
            try scripts.beat(secondsAgo: 3700)
            #expect(
                scripts.run("status").output
                    == head + "Agent: not running or hung, its last heartbeat was 1 h 1 min ago\n\nNo scripts.\n"
            )
            #expect(scripts.run("status", "--format=json").output.contains("\"mutexes\": [],\n"))
        }
    }

    @Test("why a script with NoIsolation waits: a later one with FullIsolation goes first")
    func waitingShared() async throws {
        try await ScriptWorld.with { scripts in
            try Self.makeQueues(scripts)
            try scripts.beat(secondsAgo: 1)
            let outcome = try await scripts.whileLocked(Self.held) { _ in scripts.run("why", "t-2") }
            #expect(
                outcome.output == """
                    Script T-2 of task ServerTasks-2 waits for the mutex RunningScript since 2024-05-09 10:07:52 UTC (3 min 20 s).

                    It asks for NoIsolation: it shares the mutex, but not with a script that has FullIsolation.

                    Who holds the mutex:
                      T-1 of task ServerTasks-1, FullIsolation, running since 2024-05-09 10:06:10 UTC (5 min 2 s)

                    Who starts before it:
                      T-3 of task ServerTasks-3, FullIsolation, waiting since 2024-05-09 10:09:32 UTC (1 min 40 s)
                      A waiting script with FullIsolation goes before all waiting ones with NoIsolation, whoever came first.

                    Place in the queue: 2, of 3 that wait.

                    """
            )
        }
    }

    @Test("why a script with FullIsolation waits, and how much longer it may, while the agent is down")
    func waitingFull() async throws {
        try await ScriptWorld.with { scripts in
            try Self.makeQueues(scripts)
            try scripts.add("T-7", age: 150, full: true)
            let outcome = try await scripts.whileLocked(Self.held) { _ in scripts.run("why", "--ticket=T-3") }
            #expect(
                outcome.output == """
                    Script T-3 of task ServerTasks-3 waits for the mutex RunningScript since 2024-05-09 10:09:32 UTC (1 min 40 s).

                    It asks for FullIsolation: it starts when no other script holds the mutex.

                    Who holds the mutex:
                      T-1 of task ServerTasks-1, FullIsolation, running since 2024-05-09 10:06:10 UTC (5 min 2 s)

                    Who starts before it:
                      T-7 of task ServerTasks-7, FullIsolation, waiting since 2024-05-09 10:08:42 UTC (2 min 30 s)
                      Scripts with FullIsolation start one by one, in the order in which they came.

                    Place in the queue: 2, of 4 that wait.
                    Time-out: after 10 min, 8 min 20 s are left.
                    Agent: unknown whether it runs, there is no heartbeat. It starts nothing while it is down.

                    """
            )
        }
    }

    @Test("a script that shares a held mutex waits only behind one with FullIsolation, and is starting without one")
    func starting() async throws {
        try await ScriptWorld.with { scripts in
            try scripts.add("T-1", age: 10) { $0.begin(at: ScriptWorld.ago(9), supervisor: 1) }
            try scripts.add("T-2", age: 8)
            try scripts.beat(secondsAgo: 1)
            try await scripts.whileLocked(["T-1"]) { _ in
                #expect(
                    scripts.run("why", "T-2").output == """
                        Script T-2 of task ServerTasks-2 is about to start, there since 2024-05-09 10:11:04 UTC (8 s).

                        No other script keeps it from the mutex RunningScript, for which it asks with NoIsolation.
                        Nobody waits for it.

                        """
                )
                // A running agent would have let T-2 in, had it not come to wait for another one that has given up.
                try scripts.add("T-3", age: 7, full: true)
                #expect(scripts.run("why", "T-2").output.contains("Who starts before it:\n  T-3 of task"))
                // One that starts goes by the order of arrival.
                try scripts.beat(secondsAgo: 60)
                #expect(scripts.run("why", "T-2").output.contains("is about to start"))
                try scripts.add("T-0", age: 9, full: true)
                #expect(scripts.run("why", "T-2").output.contains("Who starts before it:\n  T-0 of task"))
            }
        }
    }

    @Test("a launcher that has the lock and has not written the start yet has the mutex")
    func launching() async throws {
        try await ScriptWorld.with { scripts in
            try scripts.add("T-1", age: 10, full: true)
            try scripts.add("T-2", age: 20, full: true)
            try await scripts.whileLocked(["T-1"]) { process in
                let outcome = scripts.run("why", "T-1")
                #expect(outcome.output.contains("It is supervised by the process \(process).\n"))
                #expect(outcome.output.contains("  T-2 of task ServerTasks-2, FullIsolation, waiting since "))
                #expect(
                    scripts.run("why", "T-2").output.contains("  T-1 of task ServerTasks-1, FullIsolation, starting")
                )
            }
        }
    }

    @Test("why a script runs: its supervisor, and who waits for it")
    func running() async throws {
        try await ScriptWorld.with { scripts in
            try scripts.add("T-1", age: 310, full: true) { $0.begin(at: ScriptWorld.ago(302), supervisor: 1) }
            try scripts.add("T-2", age: 8)
            let head = "Script T-1 of task ServerTasks-1 is running since 2024-05-09 10:06:10 UTC (5 min 2 s).\n\n"
            let tail = """
                It holds the mutex RunningScript with FullIsolation.

                Who waits, in the order in which they start:
                  T-2 of task ServerTasks-2, NoIsolation, waiting since 2024-05-09 10:11:04 UTC (8 s)

                """
            try await scripts.whileLocked(["T-1"]) { process in
                #expect(
                    scripts.run("why", "T-1").output == "\(head)It is supervised by the process \(process).\n\(tail)"
                )
            }
            try await scripts.whileLocked(["T-1"], byte: 1) { process in
                let keeper = "Its launcher was killed; the process \(process) ends what is left of it.\n"
                #expect(scripts.run("why", "T-1").output == head + keeper + tail)
            }
            // Now nobody holds the lock.
            #expect(
                scripts.run("why", "T-1").output == """
                    Script T-1 of task ServerTasks-1 is lost.

                    It began at 2024-05-09 10:06:10 UTC; nobody supervises it any more, and nobody wrote how it ended.
                    The agent tells the server that its outcome is unknown (exit code -46) when it runs again.

                    """
            )
            #expect(
                scripts.run("why", "T-2").output == """
                    Script T-2 of task ServerTasks-2 is about to start, there since 2024-05-09 10:11:04 UTC (8 s).

                    No other script keeps it from the mutex RunningScript, for which it asks with NoIsolation.
                    Agent: unknown whether it runs, there is no heartbeat. It starts nothing while it is down.
                    Nobody waits for it.

                    """
            )
        }
    }

    @Test("why a script is over, completed or not; a ticket that is used again means the new script")
    func over() async throws {
        try await ScriptWorld.with { scripts in
            try scripts.add("T-1", age: 100, in: scripts.past) {
                $0.complete(at: ScriptWorld.ago(60), exitCode: 0, ranToCompletion: true, detail: nil)
            }
            #expect(
                scripts.run("why", "t-1").output == """
                    Script T-1 of task ServerTasks-1 ended 1 min ago, at 2024-05-09 10:10:12 UTC, with exit code 0

                    The server has completed it. Its log is kept in '\(scripts.past)/T-1'.

                    """
            )
            #expect(scripts.run("why", "t-1", "--format=json").output.contains("\"state\": \"past\",\n"))
            try scripts.add("T-1", age: 10) {
                $0.complete(at: ScriptWorld.ago(1), exitCode: -1, ranToCompletion: false, detail: "cancelled")
            }
            #expect(
                scripts.run("why", "t-1").output == """
                    Script T-1 of task ServerTasks-1 ended 1 s ago, at 2024-05-09 10:11:11 UTC, with exit code -1: cancelled

                    The server has not completed it yet. Its workspace is '\(scripts.work)/T-1'.

                    """
            )
        }
    }

    @Test("why as JSON: what waits has holders, who starts before it, and a time-out")
    func whyJSON() async throws {
        try await ScriptWorld.with { scripts in
            try Self.makeQueues(scripts)
            try scripts.add("T-7", age: 150, full: true)
            let outcome = try await scripts.whileLocked(Self.held) { _ in scripts.run("why", "T-3", "--format=json") }
            let tickets = outcome.output.matches(of: #/"(ticket|place|holders|before|waiting|state)": ("?[\w-]+|\[)/#)
                .map { "\($0.1) \($0.2.drop { $0 == "\"" })" }
            #expect(
                tickets == [
                    "ticket T-3", "state waiting", "place 2", "holders [", "ticket T-1", "state running", "before [",
                    "ticket T-7", "state waiting", "waiting [", "ticket T-7", "state waiting", "place 1", "ticket T-3",
                    "state waiting", "place 2", "ticket T-2", "state waiting", "place 3", "ticket T-4", "state waiting",
                    "place 3", "state unknown",
                ]
            )
            #expect(
                outcome.output.hasSuffix(
                    """
                      ],
                      "timeoutMilliseconds": 600000,
                      "timeoutLeftMilliseconds": 500000,
                      "agent": {
                        "state": "unknown",
                        "heartbeat": null
                      }
                    }

                    """
                )
            )
        }
    }

    @Test("a ticket that nobody knows, one whose record is damaged, none at all")
    func unknown() async throws {
        try await ScriptWorld.with { scripts in
            #expect(
                scripts.run("why", "T-1")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors:
                            "No script with the ticket 'T-1' is known: there is none in '\(scripts.work)', and none in "
                            + "'\(scripts.past)', where the logs of completed scripts are kept for some time.\n"
                    )
            )
            try scripts.world.write("{}", "home/Work/T-1/state.json")
            #expect(
                scripts.run("why", "t-1")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "How the script 'T-1' stands cannot be told from '\(scripts.work)/T-1': "
                            + "state.json is of a version this program does not know.\n"
                    )
            )
            #expect(
                scripts.run("why")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Give the ticket of a script; the status command lists them.\n"
                    )
            )
            #expect(scripts.run("why", "A", "B").errors == "Unrecognized command line arguments: B\n")
            #expect(scripts.run("why", "A", "--format=xml").exitCode == 1)
            #expect(scripts.run("status", "--format=xml").exitCode == 1)
        }
    }

    /// Root may read everything.
    @Test(
        "without the right to read",
        .enabled(if: geteuid() != 0),
        arguments: ["Work", "Work/T-1", "Work/T-1/state.lock"]
    )
    func notReadable(name: String) async throws {
        try await ScriptWorld.with { scripts in
            try scripts.add("T-1", age: 1)
            let path = "\(scripts.world.path)/home/\(name)"
            chmod(path, 0)
            defer { chmod(path, 0o700) }
            for command in [["status"], ["why", "T-1"]] {
                let outcome = scripts.world.run(command)
                #expect(outcome.exitCode == 100)
                #expect(outcome.errors.hasSuffix("Run the command as root or as the user of the agent.\n"))
            }
        }
    }

    @Test("script.json is not needed")
    func withoutSpecification() async throws {
        try await ScriptWorld.with { scripts in
            try Self.makeQueues(scripts)
            unlink(scripts.work + "/T-3/script.json")
            let outcome = try await scripts.whileLocked(Self.held) { _ in scripts.run("why", "T-3") }
            #expect(outcome.output.contains("Place in the queue: 1, of 3 that wait.\nAgent: "))
        }
    }
}
