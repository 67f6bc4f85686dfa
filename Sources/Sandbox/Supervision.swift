/// What the supervisor of one script decides, without any system call (STYLE.md C1).
///
///     running ──exited and both pipes at their end──▶ finished
///        │ cancel, stop, log failed, start failed          ▲
///        ▼                                                 │
///     stopping ──────────────tree gone─────────────────────┘
///
/// The script is over when bash has exited **and** both pipes are at their end (tentacle-services.md 8.1): a background
/// child that keeps them open keeps the script running, until a cancel.
package struct Supervision: ~Copyable {
    package enum Stream: Sendable { case output, error }

    /// How a script came to its end.
    package enum Outcome: Equatable, Sendable {
        case exited(Int32)
        case cancelled
        /// The machine ended it: a limit was reached, its unit was stopped; the text says which.
        case stopped(String)
        /// The keeper was killed, and the script with it.
        case keeperLost
        case logFailed(String)
        case notStarted(String)
        /// The machine's settings do not let it start.
        case refused(String)
    }

    package enum OnEvent: Equatable, Sendable {
        case goOn
        /// Kill everybody, then report `treeGone`.
        case stopTree
        case finish(Outcome)
    }

    private struct Running {
        var outputOpen = true
        var errorOpen = true
        var exitStatus: Int32?
    }

    private enum State {
        /// To stopping or finished.
        case running(Running)
        /// To finished.
        case stopping(Outcome)
        /// Nowhere.
        case finished
    }

    private var state = State.running(Running())

    package init() {}

    package mutating func streamEnded(_ stream: Stream) -> OnEvent {
        advance { running in
            switch stream {
            case .output: running.outputOpen = false
            case .error: running.errorOpen = false
            }
        }
    }

    /// `status` is what a shell would show: the exit code, or 128 and the signal.
    package mutating func scriptExited(_ status: Int32) -> OnEvent {
        advance { running in if running.exitStatus == nil { running.exitStatus = status } }
    }

    /// The keeper is gone; right when it told the script's end before.
    package mutating func keeperEnded() -> OnEvent {
        guard case .running(let running) = state, running.exitStatus == nil else { return .goOn }
        return stop(.keeperLost)
    }

    package mutating func cancelRequested() -> OnEvent { stop(.cancelled) }
    package mutating func machineStops(_ why: String) -> OnEvent { stop(.stopped(why)) }
    package mutating func logFailed(_ reason: String) -> OnEvent { stop(.logFailed(reason)) }
    package mutating func startFailed(_ reason: String) -> OnEvent { stop(.notStarted(reason)) }

    package mutating func treeGone() -> OnEvent {
        switch state {
        case .running, .finished: return .goOn
        case .stopping(let outcome):
            state = .finished
            return .finish(outcome)
        }
    }

    private mutating func advance(_ change: (inout Running) -> Void) -> OnEvent {
        guard case .running(var running) = state else { return .goOn }
        change(&running)
        guard !running.outputOpen, !running.errorOpen, let status = running.exitStatus else {
            state = .running(running)
            return .goOn
        }
        state = .finished
        return .finish(.exited(status))
    }

    private mutating func stop(_ outcome: Outcome) -> OnEvent {
        guard case .running = state else { return .goOn }
        state = .stopping(outcome)
        return .stopTree
    }
}
