import BSON
package import Halibut
import Synchronization

/// A service for tests: `IEchoService`, with every kind of argument, result and failure.
package final class EchoService: RPCDispatcher {
    private let calls = Mutex<[RPCRequest]>([])
    private let gates = Mutex<[String: Gate]>([:])
    private let cancellations = Mutex<[Bool]>([])

    package init() {}

    /// Every call so far, in the order in which they were begun.
    package var received: [RPCRequest] { self.calls.withLock { $0 } }

    /// Whether each call of `Wait` that came past its gate ran in a cancelled task.
    package var sawCancellation: [Bool] { self.cancellations.withLock { $0 } }

    /// Makes calls of `Wait` with this argument wait until the gate is opened.
    package func gate(_ name: String) -> Gate {
        self.gates.withLock { gates in
            if let gate = gates[name] { return gate }
            let gate = Gate()
            gates[name] = gate
            return gate
        }
    }

    package func dispatch(_ request: RPCRequest) async throws -> RPCResult {
        self.calls.withLock { $0.append(request) }
        guard request.service.lowercased() == "iechoservice" else { throw RPCServiceNotFound(service: request.service) }
        let first = request.parameters.first
        switch request.method {
        case "SayHello": return RPCResult(.string("\(first?.string ?? "")..."))
        case "Twice": return RPCResult(.string((first?.string ?? "") + (first?.string ?? "")))
        case "Nothing": return .void
        case "Crash": throw RPCServiceError("Attempted to divide by zero.", typeName: "System.DivideByZeroException")
        case "Over":
            throw RPCAmbiguousMethod(
                candidates: ["String Over(String)", "String Over(Int64)"],
                argumentTypes: ["<null>"]
            )
        case "CountBytes": return RPCResult(.int64(request.streams.values.reduce(0) { $0 + $1.length }))
        case "Contents":
            let streams = request.parameters.flatMap(\.dataStreams)
            let bytes = try streams.flatMap { try request.streams[$0.id]?.readAll() ?? [] }
            return RPCResult(.binary(bytes, subtype: 0))
        case "Download":
            let stream = OutgoingDataStream(bytes: [UInt8](repeating: 0x61, count: Int(first?.integer ?? 0)))
            return RPCResult(stream.reference(typed: true), streams: [stream])
        case "DownloadFile":
            let stream = try OutgoingDataStream(file: first?.string ?? "")
            return RPCResult(stream.reference(typed: true), streams: [stream])
        case "Forgotten": return RPCResult(OutgoingDataStream(bytes: [1]).reference(typed: true))
        case "Wait":
            let gate = self.gate(first?.string ?? "")
            gate.arrived()
            await gate.wait()
            self.cancellations.withLock { $0.append(Task.isCancelled) }
            return RPCResult(.string("done"))
        case "WaitThenDownload":
            let gate = self.gate(first?.string ?? "")
            gate.arrived()
            await gate.wait()
            let count = Int(request.parameters.last?.integer ?? 0)
            let stream = OutgoingDataStream(bytes: [UInt8](repeating: 0x61, count: count))
            return RPCResult(stream.reference(typed: true), streams: [stream])
        default: throw RPCMethodNotFound(service: "Tests.EchoService", method: request.method)
        }
    }
}

/// Holds callers until it is opened.
package final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var arrivals = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Lets everybody through, now and later.
    package func open() {
        let waiters = self.state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits until the gate is open.
    package func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = self.state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    /// Somebody came to the gate.
    package func arrived() {
        let ready = self.state.withLock { state in
            state.arrivals += 1
            let count = state.arrivals
            let ready = state.watchers.filter { $0.count <= count }.map(\.continuation)
            state.watchers.removeAll { $0.count <= count }
            return ready
        }
        for continuation in ready { continuation.resume() }
    }

    /// Waits until so many have come.
    package func untilArrivals(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let now = self.state.withLock { state in
                if state.arrivals >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if now { continuation.resume() }
        }
    }
}
