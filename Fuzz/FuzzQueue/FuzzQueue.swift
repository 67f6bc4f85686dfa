import FuzzSupport
import HalibutProtocol

/// A queue with callers that give up, connections that come, wait, break and answer, and pick-up times that run out.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzQueue(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    var scene = Scene()
    while !input.isEmpty { scene.step(&input) }
    scene.settle()
    return 0
}

private struct Scene {
    private var queue = PollingQueue<Int, Int>()
    /// Calls by what became of them.
    private var waiting: [Int] = []
    private var carriers: [Int: Int] = [:]
    private var ended: Set<Int> = []
    private var calls = 0
    /// Connections that wait; those that carry a call are in `carriers`.
    private var waiters: [Int] = []
    private var connections = 0

    mutating func step(_ input: inout FuzzInput) {
        switch input.below(7) {
        case 0: self.enqueue()
        case 1: self.take()
        case 2:
            let connection = input.below(max(1, self.connections))
            let waits = self.waiters.contains(connection)
            require(self.queue.stopWaiting(connection) == waits, "connection \(connection) is misremembered")
            self.waiters.removeAll { $0 == connection }
        case 3:
            let call = input.below(max(1, self.calls))
            let waits = self.waiting.contains(call)
            require(self.queue.pickupTimedOut(call) == waits, "call \(call) is misremembered")
            if waits { self.end(call) }
        case 4: self.cancel(input.below(max(1, self.calls)))
        case 5:
            let call = input.below(max(1, self.calls))
            let carried = self.carriers[call] != nil
            require(self.queue.complete(call) == carried, "call \(call) ends a second time")
            if carried { self.end(call) }
        default: self.putBack(input.below(max(1, self.calls)))
        }
        require(self.queue.depth == self.waiting.count, "depth \(self.queue.depth), waiting \(self.waiting)")
        require(self.waiting.isEmpty || self.waiters.isEmpty, "a call and a connection wait for each other")
        let unused = self.waiting.isEmpty && self.waiters.isEmpty && self.carriers.isEmpty
        require(self.queue.isUnused == unused, "the queue is kept, or dropped, for nothing")
    }

    private mutating func enqueue() {
        let call = self.calls
        self.calls += 1
        switch self.queue.enqueue(call) {
        case .handOver(let connection): self.handOver(call, to: connection)
        case .wait: self.waiting.append(call)
        }
    }

    private mutating func take() {
        let connection = self.connections
        self.connections += 1
        switch self.queue.take(by: connection) {
        case .take(let call):
            require(self.waiting.first == call, "call \(call) is not the first")
            self.waiting.removeFirst()
            self.carriers[call] = connection
        case .wait: self.waiters.append(connection)
        }
    }

    private mutating func handOver(_ call: Int, to connection: Int) {
        require(self.waiters.first == connection, "connection \(connection) is not the first to wait")
        require(self.carriers[call] == nil && !self.ended.contains(call), "call \(call) is handed over twice")
        self.waiters.removeFirst()
        self.carriers[call] = connection
    }

    private mutating func cancel(_ call: Int) {
        switch self.queue.cancel(call) {
        case .failWhileConnecting:
            require(self.waiting.contains(call), "call \(call) had left")
            self.end(call)
        case .abortTransfer(let connection):
            require(self.carriers[call] == connection, "connection \(connection) is aborted for nothing")
            self.end(call)
        case .alreadyCompleted:
            require(self.carriers[call] == nil && !self.waiting.contains(call), "call \(call) cannot be cancelled")
        }
    }

    private mutating func putBack(_ call: Int) {
        let carried = self.carriers[call] != nil
        let action = self.queue.putBack(call)
        require((action != nil) == carried, "call \(call) is put back from nowhere")
        guard let action else { return }
        self.carriers[call] = nil
        switch action {
        case .handOver(let connection): self.handOver(call, to: connection)
        case .wait: self.waiting.insert(call, at: 0)
        }
    }

    private mutating func end(_ call: Int) {
        require(self.ended.insert(call).inserted, "call \(call) ends twice")
        self.waiting.removeAll { $0 == call }
        self.carriers[call] = nil
    }

    /// Every connection breaks and every time runs out: each call has ended, once.
    mutating func settle() {
        for connection in self.waiters {
            require(self.queue.stopWaiting(connection), "connection \(connection) is lost")
        }
        for call in 0..<self.calls where !self.ended.contains(call) {
            require(self.queue.complete(call) || self.queue.pickupTimedOut(call), "call \(call) never ends")
        }
        require(self.queue.isUnused, "the queue is kept for nothing")
    }
}
