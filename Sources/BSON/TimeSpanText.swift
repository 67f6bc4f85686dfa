/// The text form of a .NET `TimeSpan`: `[-][d.]hh:mm:ss[.fffffff]` (halibut.md 6.2, tentacle-services.md 2.3).
package enum TimeSpanText {
    /// A .NET tick is 100 ns.
    private static let attosecondsPerTick: Int64 = 100_000_000_000
    private static let ticksPerSecond: Int64 = 10_000_000
    private static let ticksPerDay: Int64 = 86_400 * ticksPerSecond

    /// The constant form: no fraction when it is zero, else seven digits; days only when there are any.
    package static func encode(_ duration: Duration) -> String {
        let ticks = Self.ticks(of: duration)
        let magnitude = ticks.magnitude
        let days = magnitude / UInt64(Self.ticksPerDay)
        let seconds = magnitude / UInt64(Self.ticksPerSecond) % 86_400
        let fraction = magnitude % UInt64(Self.ticksPerSecond)
        var text = ticks < 0 ? "-" : ""
        if days > 0 { text += "\(days)." }
        Self.append(seconds / 3600, digits: 2, to: &text)
        text += ":"
        Self.append(seconds / 60 % 60, digits: 2, to: &text)
        text += ":"
        Self.append(seconds % 60, digits: 2, to: &text)
        if fraction > 0 {
            text += "."
            Self.append(fraction, digits: 7, to: &text)
        }
        return text
    }

    /// Reads the forms of `TimeSpan.Parse` with the invariant culture; `nil` for anything else.
    ///
    /// These are `d`, `[d.]hh:mm[:ss[.f…]]` and `d:hh:mm:ss[.f…]`, with an optional sign, surrounding spaces, and one to
    /// seven digits of fraction. An hour over 23 in first place counts as days, as in .NET: `24:00` is refused.
    package static func decode(_ text: String) -> Duration? {
        var rest = Substring(text).trimmingSpaces()
        let negative = rest.first == "-"
        if negative { rest = rest.dropFirst() }
        var groups = rest.split(separator: ":", omittingEmptySubsequences: false)
        guard let fields = Fields(&groups), let ticks = fields.ticks else { return nil }
        return Self.duration(ticks: negative ? -ticks : ticks)
    }

    /// The numbers of a text, before their ranges are checked.
    private struct Fields {
        var days: Int64 = 0
        var hours: Int64 = 0
        var minutes: Int64 = 0
        var seconds: Int64 = 0
        var fraction: Int64 = 0

        init?(_ groups: inout [Substring]) {
            if groups.count == 1 {
                guard let days = Self.number(groups[0]) else { return nil }
                self.days = days
                return
            }
            if groups.count == 4 {
                guard let days = Self.number(groups.removeFirst()) else { return nil }
                self.days = days
            } else if let dot = groups[0].firstIndex(of: ".") {
                guard let days = Self.number(groups[0][..<dot]) else { return nil }
                self.days = days
                groups[0] = groups[0][groups[0].index(after: dot)...]
            }
            guard groups.count == 2 || groups.count == 3, let hours = Self.number(groups[0]),
                let minutes = Self.number(groups[1])
            else { return nil }
            self.hours = hours
            self.minutes = minutes
            if groups.count == 3 {
                guard self.readSeconds(groups[2]) else { return nil }
            }
        }

        private mutating func readSeconds(_ text: Substring) -> Bool {
            let dot = text.firstIndex(of: ".") ?? text.endIndex
            guard let seconds = Self.number(text[..<dot]) else { return false }
            self.seconds = seconds
            guard dot < text.endIndex else { return true }
            let digits = text[text.index(after: dot)...]
            guard (1...7).contains(digits.count), var fraction = Self.number(digits) else { return false }
            for _ in digits.count..<7 { fraction *= 10 }
            self.fraction = fraction
            return true
        }

        /// The whole in ticks; `nil` when a field is out of its range or the sum out of that of a `TimeSpan`.
        var ticks: Int64? {
            guard self.hours < 24, self.minutes < 60, self.seconds < 60, self.days <= 10_675_199 else { return nil }
            let seconds = ((self.days * 24 + self.hours) * 60 + self.minutes) * 60 + self.seconds
            let (ticks, overflow) = seconds.multipliedReportingOverflow(by: ticksPerSecond)
            let (sum, overflow2) = ticks.addingReportingOverflow(self.fraction)
            return overflow || overflow2 ? nil : sum
        }

        private static func number(_ text: Substring) -> Int64? {
            guard (1...8).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return Int64(text)
        }
    }

    private static func ticks(of duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: Self.ticksPerSecond)
        let (sum, overflow2) = whole.addingReportingOverflow(attoseconds / Self.attosecondsPerTick)
        // Beyond what a TimeSpan can hold, the nearest it can.
        return overflow || overflow2 ? (seconds < 0 ? .min : .max) : sum
    }

    private static func duration(ticks: Int64) -> Duration {
        Duration(
            secondsComponent: ticks / Self.ticksPerSecond,
            attosecondsComponent: ticks % Self.ticksPerSecond * Self.attosecondsPerTick
        )
    }

    private static func append(_ number: UInt64, digits width: Int, to text: inout String) {
        let digits = String(number)
        for _ in digits.utf8.count..<max(width, digits.utf8.count) { text += "0" }
        text += digits
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> Substring {
        let trimmed = self.drop { $0 == " " }
        guard let last = trimmed.lastIndex(where: { $0 != " " }) else { return trimmed }
        return trimmed[...last]
    }
}
