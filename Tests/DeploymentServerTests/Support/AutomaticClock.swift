import Synchronization

/// A clock that jumps over short sleeps at once, and lets long ones last until they are cancelled.
///
/// Short are the waits of a loop, long the limits of a call.
final class AutomaticClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private let time = Mutex((now: Duration.zero, sleeps: [Duration]()))
    let longest: Duration

    init(jumpingOver longest: Duration = .seconds(10)) { self.longest = longest }

    var now: Instant { Instant(offset: time.withLock { $0.now }) }
    var minimumResolution: Duration { .nanoseconds(1) }
    /// The sleeps that were jumped over.
    var sleeps: [Duration] { time.withLock { $0.sleeps } }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        let duration = now.duration(to: deadline)
        guard duration > longest else {
            time.withLock { time in
                time.now += max(.zero, duration)
                time.sleeps.append(duration)
            }
            return await Task.yield()
        }
        let (stream, _) = AsyncStream<Void>.makeStream()
        let held = stream
        for await _ in held {}
        throw CancellationError()
    }
}
