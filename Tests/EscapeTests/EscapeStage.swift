import Foundation
import Glibc
import ProcessTesting
import Testing

/// The machine around the sandboxes: everything that scripts are after.
///
/// Scripts have these variables:
///
/// | Variable | |
/// |---|---|
/// | `ATTEMPTS` | the program `escape-attempts`, which `call` calls |
/// | `SECRET` | what is in all the secrets: `key-$SECRET` in `$KEY`, `config-$SECRET` in `$CONFIG`, `other-$SECRET` in `$OTHER` |
/// | `AGENT` `CONFIG` `KEY` | the agent's home, its configuration (a hidden file), its key (in a hidden directory); `$AGENT/Files` is not hidden |
/// | `NAME` | of a file that no other script makes |
/// | `WORKSPACE` `OTHER` | the script's own workspace; a file in that of another script |
/// | `HELD_HANDLE` `HELD_DIRECTORY` | the handle of a file that only root may read, with `held-$SECRET` in it, and a directory of its file system |
/// | `VICTIM` `VICTIM_MEMORY` | a process outside of the same user: its environment has `environ-$SECRET`, its memory `memory-$SECRET` at that address, its descriptor 9 is `held-$SECRET` |
/// | `PORT` `UDP_PORT` | of the loopback; whoever reaches them hears `greeting-$SECRET`, as with all sockets below |
/// | `HOST_SOCKET` `BUS_SOCKET` `LAUNCHER_SOCKET` | of unix; the abstract one is `escape-$SECRET` |
/// | `TERMINAL` | somebody's |
/// | `IPC_KEY` | of shared memory with `shared-$SECRET` in it and of a message queue; `/escape-$SECRET` is a queue and shared memory in the POSIX way |
/// | `HOST_NETWORK` `HOST_NAMES` `HOST_NAME` | the host's namespaces, and its name |
/// | `SETUID_ID` `CAPABLE_CAT` | `id`, which makes whoever starts it root; `cat`, which makes whoever starts it an administrator |
/// | `DISK` `DISK_MAJOR` `DISK_MINOR` | the block device of the root file system |
/// | `CORE` | a core dump of somebody else's, with `core-$SECRET` in it |
struct EscapeStage: Sendable {
    let home: String
    let secret: String
    /// To be started as, besides root; nil: this process is an ordinary user itself.
    let ordinaryUser: uid_t?
    let launcher: String
    private let attempts: String
    private let variables: [String: String]
    private let ofVictims: [Starter: [String: String]]
    private let controls = Controls()
    let turns = Turns(width: 6)

    static let isRoot = geteuid() == 0

    @TaskLocal static var current: EscapeStage?

    var emptyFile: String { home + "/empty" }

    /// Sets the stage, and clears it when the body has ended, however that is.
    static func with(_ body: () async throws -> Void) async throws {
        let builder = try StageBuilder()
        try await builder.running { stage in
            try await $current.withValue(stage) { try await body() }
        }
    }

    init(
        _ builder: StageBuilder,
        _ variables: [String: String],
        _ ofVictims: [Starter: [String: String]]
    ) {
        home = builder.home
        secret = builder.secret
        ordinaryUser = builder.ordinaryUser
        launcher = builder.launcher
        attempts = builder.attempts
        self.variables = variables
        self.ofVictims = ofVictims
    }

    func environment(for starter: Starter) -> [String: String] {
        variables.merging(ofVictims[starter == .root ? .root : .user] ?? [:]) { _, own in own }
    }

    /// In front of the launcher.
    ///
    /// Whatever root mounts without a sandbox goes with the launcher.
    func command(for starter: Starter) -> [String] {
        switch starter {
        case .root: return ["/usr/bin/unshare", "--mount"]
        case .user: return StageBuilder.become(ordinaryUser)
        // Before: who is not root could only do it together with no-new-privileges.
        case .userWithoutNamespaces: return [attempts, "without-namespaces"] + StageBuilder.become(ordinaryUser)
        }
    }

    /// Without a sandbox; once for each attempt.
    func control(_ attempt: Attempt) async throws -> Outcome {
        try await controls.outcome(of: attempt.name) {
            let run = ScriptRun(stage: self, attempt: attempt)
            switch attempt.control {
            case .policyNone: return try await run.outcome(.none, Self.isRoot ? .root : .user)
            case .bareBash: return try await run.bareOutcome()
            }
        }
    }

    private actor Controls {
        private var known: [String: Task<Outcome, any Error>] = [:]

        func outcome(
            of name: String,
            _ body: @escaping @Sendable () async throws -> Outcome
        ) async throws -> Outcome {
            let task = known[name] ?? Task { try await body() }
            known[name] = task
            return try await task.value
        }
    }
}

/// So many at a time: every test case waits for programs, and there are hundreds.
actor Turns {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(width: Int) { free = width }

    nonisolated func take<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        await begin()
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await end()
        return try result.get()
    }

    private func begin() async {
        guard free == 0 else {
            free -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func end() {
        guard waiting.isEmpty else { return waiting.removeFirst().resume() }
        free += 1
    }
}

/// Around the suite: see `EscapeStage.with`.
struct StageTrait: SuiteTrait, TestScoping {
    @concurrent
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        try await EscapeStage.with { try await function() }
    }
}

extension Trait where Self == StageTrait {
    static var stage: Self { Self() }
}
