import FoundationEssentials

/// Reads ISO 8601 date-times, the text form in which a date may arrive instead of element 09 (tentacle-services.md 2.3).
enum DateText {
    /// Reads `yyyy-MM-dd'T'HH:mm:ss[.f…][Z|±HH:mm]`.
    ///
    /// Without an offset the time is UTC; anything else is `nil`.
    static func decode(_ text: String) -> Date? {
        var reader = Reader(bytes: Array(text.utf8)[...])
        guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2), reader.skip("-"),
            let day = reader.number(2), reader.skip("T") || reader.skip(" "),
            let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2), reader.skip(":"),
            let second = reader.number(2), (1...12).contains(month),
            (1...Self.days(inMonth: month, ofYear: year)).contains(day),
            hour < 24, minute < 60, second <= 60, let fraction = reader.fraction(), let offset = reader.offset(),
            reader.bytes.isEmpty
        else { return nil }
        let days = Self.daysSince1970(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        return Date(timeIntervalSince1970: Double(seconds) + fraction)
    }

    private static func days(inMonth month: Int, ofYear year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// Days in the proleptic Gregorian calendar; years begin in March so that a leap day is a year's last.
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
    }

    private struct Reader {
        var bytes: ArraySlice<UInt8>

        mutating func skip(_ character: Unicode.Scalar) -> Bool {
            guard self.bytes.first == UInt8(ascii: character) else { return false }
            self.bytes.removeFirst()
            return true
        }

        mutating func number(_ digits: Int) -> Int? {
            let text = self.bytes.prefix(digits)
            guard text.count == digits, text.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            self.bytes.removeFirst(digits)
            return text.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }

        mutating func fraction() -> Double? {
            guard self.skip(".") else { return 0 }
            let digits = self.bytes.prefix { (0x30...0x39).contains($0) }
            guard (1...9).contains(digits.count), let number = self.number(digits.count) else { return nil }
            var scale = 1.0
            for _ in digits { scale *= 10 }
            return Double(number) / scale
        }

        /// Seconds east of Greenwich.
        mutating func offset() -> Int? {
            if self.bytes.isEmpty || self.skip("Z") { return 0 }
            let sign = self.skip("-") ? -1 : 1
            guard sign == -1 || self.skip("+"), let hours = self.number(2), self.skip(":"),
                let minutes = self.number(2), hours <= 14, minutes < 60
            else { return nil }
            return sign * (hours * 3600 + minutes * 60)
        }
    }
}
