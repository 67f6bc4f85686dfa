internal import Synchronization

/// All isolation locks of the agent, by name; V1 and V2 share them (tentacle-services.md 10).
final class IsolationMutex: Sendable {
    /// What `RunningScript` stands for: the name when the server gives none.
    static let defaultName = "RunningScript"
    /// The wire's largest timeout, which like zero means none.
    static let noTimeoutFrom = Duration.milliseconds(2_147_483_647)
    static let firstNoticeAfter = Duration.milliseconds(100)
    static let noticeEvery = Duration.seconds(600)

    struct Holding: Sendable, Equatable {
        var name: String
        var id: Int
    }

    enum Outcome: Sendable, Equatable {
        case acquired(Holding)
        /// The text says who is still running.
        case cancelled(String)
        case timedOut(String)
        /// The agent stops; the script goes on waiting after its restart.
        case abandoned
    }

    private struct State {
        var nextID = 0
        var locks: [String: IsolationLock] = [:]
        var signals: [Int: OneShotSignal] = [:]
    }

    private let state = Mutex(State())

    /// What a script found running after a restart holds.
    func hold(name: String, taskID: String, isolation: ScriptIsolation) -> Holding {
        state.withLock { state in
            state.nextID += 1
            let member = IsolationLock.Member(id: state.nextID, taskID: taskID, isolation: isolation)
            state.locks[name, default: IsolationLock()].hold(member)
            return Holding(name: name, id: member.id)
        }
    }

    func release(_ holding: Holding) {
        let entered = state.withLock { state in Self.leave(&state, holding) }
        for signal in entered { signal.fire() }
    }

    private static func leave(_ state: inout State, _ holding: Holding) -> [OneShotSignal] {
        state.signals[holding.id] = nil
        let entered = state.locks[holding.name]?.leave(holding.id) ?? []
        if state.locks[holding.name]?.isIdle == true { state.locks[holding.name] = nil }
        return entered.compactMap { state.signals.removeValue(forKey: $0) }
    }

    /// Waits for the lock; `notice` gets the busy text after 100 ms, every ten minutes, and when the wait fails.
    func acquire(
        name: String,
        taskID: String,
        isolation: ScriptIsolation,
        timeout: Duration?,
        cancel: OneShotSignal,
        notice: (String) async -> Void
    ) async -> Outcome {
        let clock = ContinuousClock()
        let began = clock.now
        let (member, signal) = state.withLock { state in
            state.nextID += 1
            let member = IsolationLock.Member(id: state.nextID, taskID: taskID, isolation: isolation)
            let signal = OneShotSignal()
            if state.locks[name, default: IsolationLock()].request(member) {
                signal.fire()
            } else {
                state.signals[member.id] = signal
            }
            return (member, signal)
        }
        let holding = Holding(name: name, id: member.id)
        var patience = Self.firstNoticeAfter
        while true {
            let left = timeout.map { $0 - (clock.now - began) }
            let step = left.map { min($0, patience) } ?? patience
            if await Self.wait(for: signal, or: cancel, upTo: step) { return .acquired(holding) }
            if Task.isCancelled {
                release(holding)
                return .abandoned
            }
            let texts = texts(name: name, member)
            await notice(texts.busy)
            if cancel.isFired { return giveUp(holding, signal, .cancelled(texts.cancelled)) }
            if let timeout, clock.now - began >= timeout {
                return giveUp(holding, signal, .timedOut(texts.timedOut(after: timeout)))
            }
            patience = Self.noticeEvery
        }
    }

    /// The lock may have come at the last moment; then it is had, and given back.
    private func giveUp(_ holding: Holding, _ signal: OneShotSignal, _ outcome: Outcome) -> Outcome {
        release(holding)
        return outcome
    }

    /// True when the lock is held; a cancel that came first wins nothing (the launcher is told later).
    private static func wait(for signal: OneShotSignal, or cancel: OneShotSignal, upTo: Duration) async -> Bool {
        if signal.isFired { return true }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await signal.wait() }
            group.addTask { await cancel.wait() }
            group.addTask { try? await Task.sleep(for: upTo) }
            await group.next()
            group.cancelAll()
        }
        return signal.isFired && !Task.isCancelled
    }

    private func texts(name: String, _ member: IsolationLock.Member) -> IsolationTexts {
        state.withLock { IsolationTexts(lock: $0.locks[name] ?? IsolationLock(), waiter: member) }
    }

    /// How many wait for a lock of this name; for tests.
    func waiting(name: String) -> Int { state.withLock { $0.locks[name]?.waiting.count ?? 0 } }
}
