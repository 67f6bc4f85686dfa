internal import LauncherProtocol
internal import Synchronization

/// All isolation locks of the agent, by name; V1 and V2 share them (tentacle-services.md 10).
final class IsolationMutex: Sendable {
    /// What `RunningScript` stands for: the name when the server gives none.
    static let defaultName = "RunningScript"
    /// The wire's largest timeout, which like zero means none.
    static let noTimeoutFrom = Duration.milliseconds(2_147_483_647)
    static let firstNoticeAfter = Duration.milliseconds(100)
    static let noticeEvery = Duration.seconds(600)
    /// Holders that change faster than this are not all told of.
    static let noticesApart = Duration.seconds(1)

    struct Holding: Sendable, Equatable {
        var name: String
        var id: Int
    }

    /// A place in the queue, or at its head.
    struct Place: Sendable {
        fileprivate var member: IsolationLock.Member
        fileprivate var name: String
        /// Fires when the lock is held.
        fileprivate let signal: OneShotSignal

        fileprivate var holding: Holding { Holding(name: name, id: member.id) }
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
        /// Of those who wait: the next change of whom they wait for.
        var changes: [Int: OneShotSignal] = [:]

        mutating func newMember(_ specification: ScriptSpecification) -> IsolationLock.Member {
            nextID += 1
            return IsolationLock.Member(
                id: nextID,
                taskID: specification.taskID,
                fullIsolation: specification.fullIsolation
            )
        }
    }

    private let state = Mutex(State())

    /// What a script found running after a restart holds.
    func hold(_ specification: ScriptSpecification) -> Holding {
        state.withLock { state in
            let member = state.newMember(specification)
            state.locks[specification.mutexName, default: IsolationLock()].hold(member)
            return Holding(name: specification.mutexName, id: member.id)
        }
    }

    func release(_ holding: Holding) {
        let signals = state.withLock { state in Self.leave(&state, holding) }
        for signal in signals { signal.fire() }
    }

    /// Who enters now, and those who go on waiting for somebody else.
    private static func leave(_ state: inout State, _ holding: Holding) -> [OneShotSignal] {
        state.signals[holding.id] = nil
        state.changes[holding.id] = nil
        let entered = state.locks[holding.name]?.leave(holding.id) ?? []
        let waiting = state.locks[holding.name]?.waiting.map(\.id) ?? []
        if state.locks[holding.name]?.isIdle == true { state.locks[holding.name] = nil }
        for id in entered { state.changes[id] = nil }
        return entered.compactMap { state.signals.removeValue(forKey: $0) }
            + waiting.compactMap { state.changes.removeValue(forKey: $0) }
    }

    /// Takes a place in the queue, at once: those who come later are behind it.
    func enter(_ specification: ScriptSpecification) -> Place {
        state.withLock { state in
            let member = state.newMember(specification)
            let signal = OneShotSignal()
            if state.locks[specification.mutexName, default: IsolationLock()].request(member) {
                signal.fire()
            } else {
                state.signals[member.id] = signal
            }
            return Place(member: member, name: specification.mutexName, signal: signal)
        }
    }

    func giveUp(_ place: Place) { release(place.holding) }

    /// Waits for the lock.
    ///
    /// `notice` gets the busy text after 100 ms, every ten minutes, when the wait fails, and when it is for somebody else.
    /// `waited` is how long the script has waited already, for an agent that has since been restarted.
    func acquire(
        _ place: Place,
        timeout: Duration?,
        waited: Duration = .zero,
        cancel: OneShotSignal,
        notice: (String) async -> Void
    ) async -> Outcome {
        let clock = ContinuousClock()
        let deadline = timeout.map { clock.now + max($0 - waited, .zero) }
        let (member, signal, holding) = (place.member, place.signal, place.holding)
        var due = clock.now + Self.firstNoticeAfter
        var said: (text: String, at: ContinuousClock.Instant)?
        while true {
            let change = changeSignal(of: member.id)
            let until = deadline.map { min($0, due) } ?? due
            await Self.wait(for: [signal, cancel] + (said == nil ? [] : [change]), until: until)
            if signal.isFired, !Task.isCancelled { return .acquired(holding) }
            if Task.isCancelled {
                release(holding)
                return .abandoned
            }
            let isOver = cancel.isFired || deadline.map { clock.now >= $0 } ?? false
            let texts = texts(name: place.name, member)
            if isOver || clock.now >= due {
                if isOver || said.map({ $0.text != texts.busy || clock.now - $0.at >= Self.noticeEvery }) ?? true {
                    await notice(texts.busy)
                    said = (texts.busy, clock.now)
                }
                due = clock.now + Self.noticeEvery
            } else if change.isFired, let said {
                due = min(due, said.at + Self.noticesApart)
            }
            if cancel.isFired { return giveUp(holding, .cancelled(texts.cancelled)) }
            if let timeout, isOver { return giveUp(holding, .timedOut(texts.timedOut(after: timeout))) }
        }
    }

    private func changeSignal(of id: Int) -> OneShotSignal {
        state.withLock { state in
            if let signal = state.changes[id] { return signal }
            let signal = OneShotSignal()
            if state.signals[id] != nil { state.changes[id] = signal }
            return signal
        }
    }

    /// The lock may have come at the last moment; then it is had, and given back.
    private func giveUp(_ holding: Holding, _ outcome: Outcome) -> Outcome {
        release(holding)
        return outcome
    }

    /// Returns when one of them has fired, when it is time, or when the task is cancelled.
    private static func wait(for signals: [OneShotSignal], until: ContinuousClock.Instant) async {
        guard !signals.contains(where: \.isFired) else { return }
        await withTaskGroup(of: Void.self) { group in
            for signal in signals { group.addTask { await signal.wait() } }
            group.addTask { try? await Task.sleep(until: until) }
            await group.next()
            group.cancelAll()
        }
    }

    private func texts(name: String, _ member: IsolationLock.Member) -> IsolationTexts {
        state.withLock { IsolationTexts(lock: $0.locks[name] ?? IsolationLock(), waiter: member) }
    }

    /// How many wait for a lock of this name; for tests.
    func waiting(name: String) -> Int { state.withLock { $0.locks[name]?.waiting.count ?? 0 } }
}
