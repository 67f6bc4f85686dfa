/// How much of a script's output is written, when it is more than the disk should take.
///
///     writing ──log limit──▶ dropping for good
///        │  ▲
///  reserve  room again
///        ▼  │
///     dropping until there is room
///
/// What is dropped is said where it is missing, with the number of lines and bytes, and the last of it is kept in memory
/// and written after that: how a script ended is worth more than its middle. The script itself goes on.
package struct OutputLogQuota: Sendable {
    /// Zero is no limit.
    package struct Limits: Equatable, Sendable {
        /// Bytes of `Output.log`.
        package var logBytes: Int64 = 1 << 30
        /// Bytes that stay free on the file system for everybody else.
        package var reserveBytes: Int64 = 128 << 20

        package init() {}
    }

    /// Room of the tail, which comes on top of the limit.
    package static let tailBytes = 65_536
    /// How much may be written without a look at the disk.
    private static let uncheckedBytes: Int64 = 4 << 20

    private enum Cause { case logLimit, reserve }

    private struct Drop {
        var cause: Cause
        var lines = 0
        var bytes: Int64 = 0
        var tail: [UInt8] = []
    }

    private let limits: Limits
    private var written: Int64
    /// Enough for a look before the first record.
    private var sinceCheck = uncheckedBytes
    private var lastCheck = UTCMicroseconds(sinceEpoch: 0)
    private var drop: Drop?

    /// `written` is what the log holds already.
    package init(limits: Limits, written: Int64) {
        self.limits = limits
        self.written = written
    }

    /// What to write in place of these records, all of one time.
    ///
    /// `freeBytes` is asked now and then; nil when that cannot be told.
    package mutating func admit(
        _ batch: OutputLogBatch,
        at now: UTCMicroseconds,
        freeBytes: () -> Int64?
    ) -> [UInt8] {
        let records = batch.bytes
        guard !records.isEmpty else { return records }
        let notice = drop == nil ? beginning(records, at: now, freeBytes) : resuming(at: now, freeBytes)
        defer { if drop == nil { count(records.count + notice.count) } }
        guard drop != nil else { return notice.isEmpty ? records : notice + records }
        discard(batch)
        count(notice.count)
        return notice
    }

    /// Behind the last records: what was dropped, and the end of it.
    package mutating func finish(at now: UTCMicroseconds) -> [UInt8] {
        guard let drop else { return [] }
        self.drop = nil
        return Self.record(of: drop, at: now)
    }

    // MARK: Changes of state

    private mutating func beginning(_ records: [UInt8], at now: UTCMicroseconds, _ freeBytes: () -> Int64?) -> [UInt8] {
        if limits.logBytes > 0, written + Int64(records.count) > limits.logBytes {
            drop = Drop(cause: .logLimit)
            return OutputLogBatch.notice(
                "The log of this script has reached its limit of \(ByteCountText.text(limits.logBytes)): what it prints "
                    + "from here on is dropped, but for its last lines.",
                at: now
            )
        }
        // A small reserve is looked after more closely.
        guard limits.reserveBytes > 0, sinceCheck >= min(Self.uncheckedBytes, limits.reserveBytes / 4) else {
            return []
        }
        sinceCheck = 0
        guard let free = freeBytes(), free < limits.reserveBytes else { return [] }
        lastCheck = now
        drop = Drop(cause: .reserve)
        return OutputLogBatch.notice(
            "The disk has only \(ByteCountText.text(free)) left, less than the \(ByteCountText.text(limits.reserveBytes)) "
                + "that logs leave to others: what this script prints is dropped until there is room again.",
            at: now
        )
    }

    /// Room comes back when somebody deletes something; twice the reserve, so that it does not go back and forth.
    private mutating func resuming(at now: UTCMicroseconds, _ freeBytes: () -> Int64?) -> [UInt8] {
        guard let drop, drop.cause == .reserve, now.sinceEpoch - lastCheck.sinceEpoch >= 1_000_000 else { return [] }
        lastCheck = now
        guard let free = freeBytes(), free >= 2 * limits.reserveBytes else { return [] }
        self.drop = nil
        sinceCheck = 0
        return Self.record(of: drop, at: now)
    }

    private mutating func count(_ bytes: Int) {
        written += Int64(bytes)
        sinceCheck += Int64(bytes)
    }

    private mutating func discard(_ batch: OutputLogBatch) {
        guard var drop else { return }
        // The one owner of the tail, or appending would copy it.
        self.drop = nil
        drop.lines += batch.count
        drop.bytes += Int64(batch.bytes.count)
        if batch.bytes.count >= Self.tailBytes { drop.tail.removeAll(keepingCapacity: true) }
        drop.tail += batch.bytes.suffix(Self.tailBytes)
        if drop.tail.count > 2 * Self.tailBytes { drop.tail.removeFirst(drop.tail.count - Self.tailBytes) }
        self.drop = drop
    }

    private static func record(of drop: Drop, at now: UTCMicroseconds) -> [UInt8] {
        var tail = drop.tail.suffix(tailBytes)
        // Whole records only.
        if drop.tail.count > tail.count || drop.bytes > Int64(tail.count) {
            let end = tail.firstIndex(of: 0x0A) ?? tail.endIndex - 1
            tail = tail[(end + 1)...]
        }
        let lines = drop.lines - tail.reduce(into: 0) { count, byte in if byte == 0x0A { count += 1 } }
        let bytes = drop.bytes - Int64(tail.count)
        guard bytes > 0 else { return Array(tail) }
        let text = "\(lines) lines (\(ByteCountText.text(bytes))) of this script's output were dropped here."
        return OutputLogBatch.notice(text, at: now) + tail
    }
}

/// Numbers of bytes for people: `512 MB`, `1.5 GB`, by 1024.
package enum ByteCountText {
    private static let units = ["B", "KB", "MB", "GB", "TB"]

    /// One decimal at most.
    package static func text(_ bytes: Int64) -> String {
        var unit = 0
        var tenths = bytes > Int64.max / 10 ? Int64.max : max(0, bytes) * 10
        while unit < units.count - 1, tenths >= 10_240 {
            tenths = (tenths + 512) / 1024
            unit += 1
        }
        let (whole, rest) = tenths.quotientAndRemainder(dividingBy: 10)
        return rest == 0 ? "\(whole) \(units[unit])" : "\(whole).\(rest) \(units[unit])"
    }
}
