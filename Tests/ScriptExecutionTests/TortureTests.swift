import CLinux
import Foundation
import Glibc
import LauncherProtocol
import ProcessTesting
import Synchronization
import Testing

@testable import ScriptExecution

/// SplitMix64: the same decisions for the same seed; what they meet differs from run to run all the same.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// One script and what it must come to.
private struct Work: Sendable {
    var ticket: String
    var lines: Int
    var exitCode: Int32
    var full: Bool
    var cancelAfter: Int?
    var completes: Bool

    init(_ number: Int, _ client: Int, _ random: inout SeededGenerator) {
        ticket = "c\(client)-n\(number)"
        lines = Int.random(in: 1...150, using: &random)
        exitCode = Int32.random(in: 0...9, using: &random)
        full = Int.random(in: 0..<5, using: &random) == 0
        cancelAfter = Int.random(in: 0..<6, using: &random) == 0 ? Int.random(in: 0...5, using: &random) : nil
        completes = Bool.random(using: &random)
    }

    /// Numbered lines on both streams; a lock that tells when isolation is broken; a child that must not outlive it.
    func body(home: String) -> String {
        """
        exec 9>>'\(home)/isolation'
        flock -n \(full ? "-x" : "-s") 9 || echo "BROKEN ISOLATION"
        sleep 1000 >/dev/null 2>&1 9>&- &
        for ((i = 1; i <= \(lines); i++)); do
            echo "o $i"; echo "e $i" >&2
            (( i % 25 )) || sleep 0.0\(1 + lines % 9)
        done
        kill $!
        exit \(exitCode)
        """
    }
}

@Suite(
    .enabled(if: ScriptFixture.isRoot, "needs root for namespaces and control groups"),
    .serialized,
    .timeLimit(.minutes(30))
)
struct TortureTests {
    private static let settings = ProcessInfo.processInfo.environment
    static let kills = settings["TENTACLE_TORTURE_KILLS"].flatMap { Int($0) } ?? 36
    static let seed = settings["TENTACLE_TORTURE_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000)
    static let clients = 5

    /// What the clients and the killer share.
    private final class Course: Sendable {
        struct State {
            var kills = 0
            /// Tickets one of whose launchers, keepers or cancellers was killed.
            var touched: Set<String> = []
            var outcomes: [Int32: Int] = [:]
        }

        let state = Mutex(State())
        let goal: Int

        init(goal: Int) { self.goal = goal }

        var isOver: Bool { state.withLock { $0.kills >= goal } }
    }

    @Test(
        "agents and launchers killed at any time lose no line, no outcome, no lock and no process",
        arguments: Containment.allCases
    )
    func torture(way: Containment) async throws {
        print("torture: seed \(Self.seed), \(Self.kills / 3) kills, \(way.rawValue)")
        let launcher = try #require(ScriptFixture.launcherPath)
        let host = try #require(ScriptFixture.program("script-service-host"))
        let home = ScratchFolder.url("torture").path
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let marker = UUID().uuidString
        let arguments = [home, launcher, "--policy", way == .namespace ? "standard" : "none"] + way.launcherArguments
        let agent = Agent(program: host, arguments: arguments, marker: marker)
        try await agent.start()
        let course = Course(goal: Self.kills / 3)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await Self.kill(agent, home, way, course) }
            for client in 0..<Self.clients {
                group.addTask { try await Self.work(client, agent, home, course) }
            }
            try await group.waitForAll()
        }
        // No lock is left: the last script needs all of it.
        var random = SeededGenerator(state: Self.seed)
        var last = Work(0, 99, &random)
        (last.full, last.cancelAfter, last.completes) = (true, nil, false)
        try await Self.run(last, agent, home, course)
        await agent.kill()
        #expect(livingProcesses(marked: marker) == [])
        #expect(livingProcesses(marked: home) == [])
        try Self.expectNothingLeft(home)
        print("torture: outcomes \(course.state.withLock { $0.outcomes }.sorted { $0.key < $1.key })")
    }

    // MARK: Clients

    private static func work(_ client: Int, _ agent: Agent, _ home: String, _ course: Course) async throws {
        var random = SeededGenerator(state: seed &+ UInt64(client) &* 1000)
        var number = 0
        while !course.isOver {
            number += 1
            try await run(Work(number, client, &random), agent, home, course)
        }
    }

    /// As a server does: asks again, from where it was, until the script is complete.
    private static func run(_ work: Work, _ agent: Agent, _ home: String, _ course: Course) async throws {
        var lines: [String] = []
        var next: Int64 = 0
        var started = false
        var polls = 0
        var cancelled = false
        var exitCode: Int32?
        while exitCode == nil {
            do {
                let answer: Agent.Answer
                if !started {
                    answer = try await agent.ask("start", work.ticket, body: work.body(home: home), full: work.full)
                    // All lines so far are in it; what came before was nothing.
                    started = true
                    lines = []
                } else if let after = work.cancelAfter, polls >= after {
                    cancelled = true
                    answer = try await agent.ask("cancel", work.ticket, after: next)
                } else {
                    answer = try await agent.ask("status", work.ticket, after: next)
                }
                polls += 1
                if let error = answer.error {
                    Issue.record("seed \(seed), \(work.ticket): \(error)")
                    return
                }
                lines += answer.lines ?? []
                next = answer.next ?? next
                if answer.state == 2 { exitCode = answer.exitCode }
            } catch is Agent.Gone {}
            // A server's rhythm; nothing tells it when there is more.
            if exitCode == nil { try await Task.sleep(for: .milliseconds(15)) }
        }
        check(work, exitCode ?? 0, lines, cancelled: cancelled, course)
        guard work.completes else { return }
        while (try? await agent.ask("complete", work.ticket)) == nil { try await Task.sleep(for: .milliseconds(15)) }
    }

    private static func check(_ work: Work, _ exitCode: Int32, _ lines: [String], cancelled: Bool, _ course: Course) {
        let touched = course.state.withLock { state in
            state.outcomes[exitCode, default: 0] += 1
            return state.touched.contains(work.ticket)
        }
        var allowed: Set<Int32> = [work.exitCode]
        if touched { allowed.formUnion([ScriptExitCode.unknownResult, 137]) }
        if cancelled { allowed.formUnion([ScriptExitCode.cancelled, ScriptExitCode.cancelledBeforeStart]) }
        let tail = "\(work.ticket), seed \(seed), \(work) \(lines.suffix(6))"
        #expect(allowed.contains(exitCode), "exit code \(exitCode), touched \(touched): \(tail)")
        #expect(!lines.contains { $0.contains("BROKEN ISOLATION") || $0.contains("Corrupt") }, "\(tail)")
        for (source, letter) in [(0, "o"), (1, "e")] {
            let numbers = lines.filter { $0.hasPrefix("\(source) \(letter) ") }.compactMap { Int($0.dropFirst(4)) }
            #expect(numbers == Array(1...max(1, numbers.count)) || numbers.isEmpty, "\(letter) \(numbers): \(tail)")
            if exitCode == work.exitCode { #expect(numbers.count == work.lines, "lines of \(letter): \(tail)") }
        }
        if exitCode == ScriptExitCode.unknownResult {
            #expect(lines.contains { $0.contains("its outcome is unknown") }, "\(tail)")
        }
    }

    // MARK: The killer

    private static func kill(_ agent: Agent, _ home: String, _ way: Containment, _ course: Course) async throws {
        var random = SeededGenerator(state: seed ^ 0xDEAD)
        while !course.isOver {
            try await Task.sleep(for: .milliseconds(Int.random(in: 5...250, using: &random)))
            if Bool.random(using: &random) {
                await agent.kill()
                course.state.withLock { $0.kills += 1 }
                if Bool.random(using: &random) {
                    try await Task.sleep(for: .milliseconds(Int.random(in: 1...60, using: &random)))
                }
                try await agent.start()
            } else {
                killLauncher(home, way, course, &random)
            }
        }
    }

    /// Any of them: one that starts, supervises, keeps or cancels.
    private static func killLauncher(
        _ home: String,
        _ way: Containment,
        _ course: Course,
        _ random: inout SeededGenerator
    ) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let launchers = names.compactMap(Int32.init).filter { id in
            let arguments = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") ?? Data()
            return arguments.starts(with: Data((ScriptFixture.launcherPath ?? "?").utf8))
                && arguments.range(of: Data(home.utf8)) != nil
        }
        guard let victim = launchers.sorted().randomElement(using: &random) else { return }
        // Stopped, it cannot turn to another script before it is known whose it is.
        Glibc.kill(victim, SIGSTOP)
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(victim)/fd")) ?? []
        var tickets: Set<String> = []
        for file in files {
            let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(victim)/fd/\(file)")) ?? ""
            guard path.hasPrefix(home + "/Work/") else { continue }
            let ticket = path.dropFirst(home.count + 6).prefix { $0 != "/" && $0 != " " }
            tickets.insert(String(ticket))
        }
        // Launcher and keeper at once: then nobody is left who knows the script's processes.
        if way == .descendants, course.state.withLock({ !$0.touched.isDisjoint(with: tickets) }) {
            Glibc.kill(victim, SIGCONT)
            return
        }
        course.state.withLock { $0.touched.formUnion(tickets) }
        Glibc.kill(victim, SIGKILL)
        course.state.withLock { $0.kills += 1 }
    }

    // MARK: Afterwards

    private static func expectNothingLeft(_ home: String) throws {
        let ours: Set<String> = [
            "Bootstrap.sh", "script.json", "Output.log", "state.json", "state.lock",
            // Of a sandbox whose launcher was killed.
            ".tmp", ".var-tmp",
        ]
        let workspaces = ScriptWorkspaces(homeDirectory: home) { text, _ in text }
        for ticket in workspaces.tickets() {
            let names = try FileManager.default.contentsOfDirectory(atPath: workspaces.path(of: ticket))
            #expect(Set(names).subtracting(ours) == [], "seed \(seed), \(ticket)")
            #expect(try workspaces.open(ticket)?.lockHolder() == .nobody, "seed \(seed), \(ticket)")
        }
    }
}
