import FoundationEssentials
import HalibutProtocol
import NIOCore
import Synchronization

/// The calls that wait for polling services: one queue per subscription (halibut.md 12.1).
///
/// Calls come from ``HalibutClient``, and the connections of subscribers take them. `PollingQueue` decides; this class
/// keeps the continuations and timers that the decisions are about.
public final class PollingQueues: Sendable {
    /// A call under way.
    struct Call: Sendable {
        let number: UInt64
        let message: OutgoingMessage
        let pickup: PickupTimer
        let queued = ContinuousClock.now
    }

    /// When a call must have been collected.
    ///
    /// Set only when the call has to wait: the event loop is another thread as a rule, and waking it costs as much as
    /// half of a small call.
    final class PickupTimer: Sendable {
        private enum State {
            case idle
            case running(Scheduled<Void>)
            case ended
        }

        let deadline: NIODeadline
        private let eventLoop: any EventLoop
        private let state = Mutex(State.idle)

        init(deadline: NIODeadline, eventLoop: any EventLoop) {
            self.deadline = deadline
            self.eventLoop = eventLoop
        }

        /// Sets the timer, if that has not been done and the call has not ended.
        func start(_ expired: @escaping @Sendable () -> Void) {
            self.state.withLock { state in
                guard case .idle = state else { return }
                state = .running(self.eventLoop.scheduleTask(deadline: self.deadline, expired))
            }
        }

        /// The call has ended.
        func cancel() {
            let last = self.state.withLock { state in
                defer { state = .ended }
                return state
            }
            if case .running(let timer) = last { timer.cancel() }
        }
    }

    /// Calls of one subscription that nobody has collected yet.
    public struct Waiting: Hashable, Sendable {
        /// `poll://id/`, normalised.
        public var subscription: String
        public var depth: Int
        /// How long the oldest has waited.
        public var age: Duration
    }

    typealias Answer = (ResponseMessage, [UUID: ReceivedDataStream])

    /// Why a call ended without an answer.
    enum Failure: Error {
        /// Nobody collected it.
        case pickupTimeout
        case cancelledWhileConnecting
        case cancelledWhileTransferring
    }

    fileprivate struct Queue {
        var machine = PollingQueue<UInt64, ConnectionID>()
        var calls: [UInt64: Call] = [:]
        var answers: [UInt64: CheckedContinuation<Answer, any Error>] = [:]
        var waiters: [ConnectionID: Waiter] = [:]
        /// The connections of calls that were collected.
        var carriers: [UInt64: WirePipe] = [:]
    }

    /// A connection that waits for a call.
    fileprivate struct Waiter {
        let continuation: CheckedContinuation<Call?, Never>
        let pipe: WirePipe
    }

    /// Owner of all queues; held for the machines' transitions only.
    private let queues = Mutex<[EndPointURI: Queue]>([:])
    private let counter = Atomic<UInt64>(0)

    init() {}

    /// Calls of a subscription that nobody has collected yet.
    public func depth(ofSubscription subscription: String) -> Int {
        guard let uri = EndPointURI(subscription) else { return 0 }
        return self.queues.withLock { $0[uri]?.machine.depth ?? 0 }
    }

    /// The subscriptions whose calls wait for somebody to collect them.
    public var waiting: [Waiting] {
        let now = ContinuousClock.now
        return self.queues.withLock { queues in
            queues.compactMap { uri, queue in
                let queued = queue.calls.values.filter { queue.carriers[$0.number] == nil }.map(\.queued)
                guard let oldest = queued.min() else { return nil }
                return Waiting(subscription: uri.text, depth: queued.count, age: now - oldest)
            }
        }
    }

    private func change<Result: Sendable>(_ uri: EndPointURI, _ body: (inout sending Queue) -> Result) -> Result {
        self.queues.withLock { queues in
            var queue = queues.removeValue(forKey: uri) ?? Queue()
            let result = body(&queue)
            if !queue.machine.isUnused { queues[uri] = queue }
            return result
        }
    }

    // MARK: The caller's side

    /// Queues a call and waits for its answer.
    func call(
        _ uri: EndPointURI,
        _ message: OutgoingMessage,
        pickupTimeout: Duration,
        eventLoop: any EventLoop
    ) async throws -> Answer {
        let number = self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let pickup = PickupTimer(deadline: .now() + TimeAmount(pickupTimeout), eventLoop: eventLoop)
        let call = Call(number: number, message: message, pickup: pickup)
        defer { pickup.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in self.enqueue(uri, call, continuation) }
        } onCancel: {
            self.cancel(uri, number)
        }
    }

    private func enqueue(_ uri: EndPointURI, _ call: Call, _ continuation: CheckedContinuation<Answer, any Error>) {
        let cancelled = Task.isCancelled
        let taker = self.change(uri) { queue -> CheckedContinuation<Call?, Never>? in
            if cancelled { return nil }
            queue.calls[call.number] = call
            queue.answers[call.number] = continuation
            switch queue.machine.enqueue(call.number) {
            case .wait: return nil
            case .handOver(let waiter): return queue.handOver(call.number, to: waiter)
            }
        }
        if cancelled { return continuation.resume(throwing: Failure.cancelledWhileConnecting) }
        self.give(call, uri, to: taker)
        // Cancelled before it was queued, but after we looked: nobody else will say so again.
        if Task.isCancelled { self.cancel(uri, call.number) }
    }

    /// Gives the call to a connection that waits for one, or sets its timer.
    private func give(_ call: Call, _ uri: EndPointURI, to taker: CheckedContinuation<Call?, Never>?) {
        if let taker { return taker.resume(returning: call) }
        call.pickup.start { self.pickupTimedOut(uri, call.number) }
    }

    private func pickupTimedOut(_ uri: EndPointURI, _ number: UInt64) {
        let answer = self.change(uri) { queue in
            queue.machine.pickupTimedOut(number) ? queue.remove(number) : nil
        }
        answer?.resume(throwing: Failure.pickupTimeout)
    }

    private func cancel(_ uri: EndPointURI, _ number: UInt64) {
        let (answer, failure, connection) = self.change(uri) { queue in
            switch queue.machine.cancel(number) {
            case .alreadyCompleted:
                return (
                    nil as CheckedContinuation<Answer, any Error>?, Failure.cancelledWhileConnecting, nil as WirePipe?
                )
            case .failWhileConnecting: return (queue.remove(number), .cancelledWhileConnecting, nil)
            case .abortTransfer:
                let carrier = queue.carriers[number]
                return (queue.remove(number), .cancelledWhileTransferring, carrier)
            }
        }
        answer?.resume(throwing: failure)
        connection?.abort(WireError.connectionClosed)
    }

    // MARK: The connection's side

    /// The next call of a subscription; `nil` after the time-out, or when the connection has news.
    func take(_ uri: EndPointURI, by pipe: WirePipe, timeout: Duration) async throws -> Call? {
        var timer: Scheduled<Void>?
        defer {
            timer?.cancel()
            pipe.unwatch()
        }
        let call = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let taken = self.change(uri) { queue -> Call?? in
                    switch queue.machine.take(by: pipe.id) {
                    case .take(let number):
                        queue.carriers[number] = pipe
                        return .some(queue.calls[number])
                    case .wait:
                        queue.waiters[pipe.id] = Waiter(continuation: continuation, pipe: pipe)
                        return nil
                    }
                }
                if let taken { return continuation.resume(returning: taken) }
                // All three only behind the registration: what fires before it would be lost.
                timer = pipe.channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
                    self.stopWaiting(uri, pipe.id)
                }
                if Task.isCancelled { self.stopWaiting(uri, pipe.id) }
                pipe.watch { self.stopWaiting(uri, pipe.id) }
            }
        } onCancel: {
            self.stopWaiting(uri, pipe.id)
        }
        if call == nil { try Task.checkCancellation() }
        return call
    }

    private func stopWaiting(_ uri: EndPointURI, _ id: ConnectionID) {
        let waiter = self.change(uri) { queue -> CheckedContinuation<Call?, Never>? in
            guard queue.machine.stopWaiting(id) else { return nil }
            return queue.waiters.removeValue(forKey: id)?.continuation
        }
        waiter?.resume(returning: nil)
    }

    /// The call has its answer, or its connection failed.
    func complete(_ call: Call, _ uri: EndPointURI, _ result: Result<Answer, any Error>) {
        let answer = self.change(uri) { queue in
            queue.machine.complete(call.number) ? queue.remove(call.number) : nil
        }
        answer?.resume(with: result)
    }

    /// No byte of the call was sent on a connection that turned out to be dead: somebody else shall take it.
    func putBack(_ call: Call, _ uri: EndPointURI) {
        // The timer may have rung while the call was taken.
        if call.pickup.deadline <= .now() { return self.complete(call, uri, .failure(Failure.pickupTimeout)) }
        let taker = self.change(uri) { queue -> CheckedContinuation<Call?, Never>? in
            queue.carriers.removeValue(forKey: call.number)
            guard case .handOver(let waiter)? = queue.machine.putBack(call.number) else { return nil }
            return queue.handOver(call.number, to: waiter)
        }
        self.give(call, uri, to: taker)
    }
}

extension PollingQueues.Queue {
    fileprivate mutating func remove(_ number: UInt64) -> CheckedContinuation<PollingQueues.Answer, any Error>? {
        self.calls.removeValue(forKey: number)
        self.carriers.removeValue(forKey: number)
        return self.answers.removeValue(forKey: number)
    }

    fileprivate mutating func handOver(
        _ number: UInt64,
        to id: ConnectionID
    ) -> CheckedContinuation<PollingQueues.Call?, Never>? {
        let waiter = self.waiters.removeValue(forKey: id)
        self.carriers[number] = waiter?.pipe
        return waiter?.continuation
    }
}
