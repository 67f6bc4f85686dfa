/// A moment as microseconds since 1970 UTC, and its RFC 3339 text `2024-05-09T10:11:12.123456Z` (27 bytes).
package struct UTCMicroseconds: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var sinceEpoch: Int64

    package init(sinceEpoch: Int64) { self.sinceEpoch = sinceEpoch }

    package static func < (left: Self, right: Self) -> Bool { left.sinceEpoch < right.sinceEpoch }

    /// Length of the text, always the same.
    package static let textBytes = 27

    package var description: String { String(decoding: text, as: UTF8.self) }

    package var text: [UInt8] {
        let (days, time) = sinceEpoch.quotientAndRemainder(floorDividingBy: 86_400_000_000)
        let (year, month, day) = Self.civil(fromDays: days)
        let seconds = time / 1_000_000
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.textBytes)
        func digits(_ value: Int64, _ count: Int) {
            var divisor: Int64 = 1
            for _ in 1..<count { divisor *= 10 }
            while divisor > 0 {
                bytes.append(0x30 + UInt8(value / divisor % 10))
                divisor /= 10
            }
        }
        digits(year, 4)
        bytes.append(UInt8(ascii: "-"))
        digits(month, 2)
        bytes.append(UInt8(ascii: "-"))
        digits(day, 2)
        bytes.append(UInt8(ascii: "T"))
        digits(seconds / 3600, 2)
        bytes.append(UInt8(ascii: ":"))
        digits(seconds / 60 % 60, 2)
        bytes.append(UInt8(ascii: ":"))
        digits(seconds % 60, 2)
        bytes.append(UInt8(ascii: "."))
        digits(time % 1_000_000, 6)
        bytes.append(UInt8(ascii: "Z"))
        return bytes
    }

    /// Reads exactly the form that `text` writes.
    package init?(text: some Collection<UInt8>) {
        guard text.count == Self.textBytes else { return nil }
        self.init(bytes: Array(text)[...])
    }

    /// Makes no array: every record that is read has a time.
    package init?(text: ArraySlice<UInt8>) {
        guard text.count == Self.textBytes else { return nil }
        self.init(bytes: text)
    }

    private init?(bytes text: ArraySlice<UInt8>) {
        let bytes = text.span
        func isMark(_ index: Int, _ mark: Unicode.Scalar) -> Bool { bytes[index] == UInt8(ascii: mark) }
        guard isMark(4, "-"), isMark(7, "-"), isMark(10, "T"), isMark(13, ":"), isMark(16, ":"), isMark(19, "."),
            isMark(26, "Z")
        else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            var value: Int64 = 0
            for index in range {
                let digit = bytes[index] &- 0x30
                guard digit < 10 else { return nil }
                value = value * 10 + Int64(digit)
            }
            return value
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), (1...12).contains(month),
            (1...31).contains(day), let hour = number(11..<13), let minute = number(14..<16),
            let second = number(17..<19), let fraction = number(20..<26), hour < 24, minute < 60, second < 60
        else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        self.sinceEpoch = ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + fraction
    }

    /// The proleptic Gregorian date of a day number, by eras of 400 years that begin on 1 March.
    private static func civil(fromDays days: Int64) -> (Int64, Int64, Int64) {
        let (era, dayOfEra) = (days + 719_468).quotientAndRemainder(floorDividingBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shiftedYear.quotientAndRemainder(floorDividingBy: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int64 {
    fileprivate func quotientAndRemainder(floorDividingBy divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
