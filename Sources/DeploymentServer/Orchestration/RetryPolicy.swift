/// When a failed call to an agent is tried again (tentacle-services.md 15.4).
package struct RetryPolicy: Sendable, Hashable {
    /// The machine policy's default.
    package static let standard = RetryPolicy(isEnabled: true, duration: .seconds(150))
    package static let none = RetryPolicy(isEnabled: false, duration: .zero)

    private static let longestWait = 10
    private static let leastRemaining = Duration.seconds(1)

    package var isEnabled: Bool
    /// From the beginning of the first attempt.
    package var duration: Duration

    package init(isEnabled: Bool, duration: Duration) { (self.isEnabled, self.duration) = (isEnabled, duration) }

    /// The wait after failure `count` (from 1), or nil when no more retries fit in.
    ///
    /// Asked before the wait and again after it; that the second time the wait is taken off once more is the
    /// reference's rule.
    package func wait(afterFailure count: Int, elapsed: Duration) -> Duration? {
        guard isEnabled else { return nil }
        let wait = Duration.seconds(min(count, Self.longestWait))
        return duration - elapsed - wait > Self.leastRemaining ? wait : nil
    }

    /// How long a retry that begins now may take: whole seconds.
    package func limit(elapsed: Duration) -> Duration { .seconds(max(1, (duration - elapsed).components.seconds)) }
}

/// How long to wait between two questions for a script's status (tentacle-services.md 15.1).
package struct ObserverBackoff: Sendable, Hashable {
    private static let first = 300.0
    private static let longest = 5000.0

    package var base: Double

    package static let listening = ObserverBackoff(base: 1.15)
    package static let polling = ObserverBackoff(base: 1.4)

    /// The wait before question `count`, from 1.
    package func delay(_ count: Int) -> Duration {
        var milliseconds = Self.first
        for _ in 0..<count where milliseconds < Self.longest { milliseconds *= base }
        return .milliseconds(Int(min(Self.longest, milliseconds).rounded()))
    }
}
