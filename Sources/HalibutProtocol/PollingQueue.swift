/// Requests that wait for a subscriber to collect them, and those it has collected (halibut.md 12.1).
///
/// An item is `queued` → `transferring(connection)` → gone. Every method says what the owner has to do about it; the
/// owner keeps continuations and timers by id. `Item` and `Waiter` are such ids.
package struct PollingQueue<Item: Hashable & Sendable, Waiter: Hashable & Sendable>: Hashable, Sendable {
    /// After a call came in.
    package enum OnEnqueue: Hashable, Sendable {
        /// A connection was waiting: it gets the item now.
        case handOver(to: Waiter)
        case wait
    }

    /// After a connection asked for work.
    package enum OnTake: Hashable, Sendable {
        case take(Item)
        case wait
    }

    /// After a call was given up by its caller.
    package enum OnCancel: Hashable, Sendable {
        /// It never left: nothing was executed.
        case failWhileConnecting
        /// The connection that carries it must be aborted.
        case abortTransfer(on: Waiter)
        case alreadyCompleted
    }

    private var queued: [Item] = []
    private var transferring: [Item: Waiter] = [:]
    private var waiters: [Waiter] = []

    package init() {}

    /// Whether nobody needs this queue.
    package var isUnused: Bool { self.queued.isEmpty && self.transferring.isEmpty && self.waiters.isEmpty }

    /// Calls not collected yet.
    package var depth: Int { self.queued.count }

    package mutating func enqueue(_ item: Item) -> OnEnqueue {
        guard !self.waiters.isEmpty else {
            self.queued.append(item)
            return .wait
        }
        let waiter = self.waiters.removeFirst()
        self.transferring[item] = waiter
        return .handOver(to: waiter)
    }

    package mutating func take(by waiter: Waiter) -> OnTake {
        guard !self.queued.isEmpty else {
            self.waiters.append(waiter)
            return .wait
        }
        let item = self.queued.removeFirst()
        self.transferring[item] = waiter
        return .take(item)
    }

    /// A connection stops waiting: its time is up, or it is gone.
    ///
    /// False when it has been handed an item already.
    package mutating func stopWaiting(_ waiter: Waiter) -> Bool {
        guard let index = self.waiters.firstIndex(of: waiter) else { return false }
        self.waiters.remove(at: index)
        return true
    }

    /// The item's pickup time is up.
    ///
    /// True when nobody has collected it: it is gone now.
    package mutating func pickupTimedOut(_ item: Item) -> Bool {
        guard let index = self.queued.firstIndex(of: item) else { return false }
        self.queued.remove(at: index)
        return true
    }

    package mutating func cancel(_ item: Item) -> OnCancel {
        if self.pickupTimedOut(item) { return .failWhileConnecting }
        if let waiter = self.transferring.removeValue(forKey: item) { return .abortTransfer(on: waiter) }
        return .alreadyCompleted
    }

    /// An answer, or a failure of the connection, ends the item.
    ///
    /// False when it had ended before.
    package mutating func complete(_ item: Item) -> Bool {
        self.transferring.removeValue(forKey: item) != nil
    }

    /// No byte of the item left this process: it goes back to the front.
    ///
    /// Says who takes it, if somebody waits.
    package mutating func putBack(_ item: Item) -> OnEnqueue? {
        guard self.transferring.removeValue(forKey: item) != nil else { return nil }
        guard self.waiters.isEmpty else { return self.enqueue(item) }
        self.queued.insert(item, at: 0)
        return .wait
    }
}
