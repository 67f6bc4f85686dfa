import Glibc

/// Local time in the two parts of a log line.
struct LocalTime {
    /// `2024-05-09`.
    var day: String
    /// `10:11:12.1234`.
    var clock: String

    static var now: LocalTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LocalTime(time)
    }

    init(_ time: timespec) {
        var seconds = time.tv_sec
        var parts = tm()
        localtime_r(&seconds, &parts)
        self.day = [(parts.tm_year + 1900, 4), (parts.tm_mon + 1, 2), (parts.tm_mday, 2)].map(Self.digits)
            .joined(separator: "-")
        let clock = [(parts.tm_hour, 2), (parts.tm_min, 2), (parts.tm_sec, 2)].map(Self.digits)
        self.clock = clock.joined(separator: ":") + "." + Self.digits(CInt(time.tv_nsec / 100_000), 4)
    }

    /// The day at the beginning of a line; nil when there is none.
    static func day(ofLine bytes: [UInt8]) -> String? {
        let shape = Array("dddd-dd-dd".utf8)
        guard bytes.count >= shape.count else { return nil }
        let isDay = zip(bytes, shape).allSatisfy { byte, wanted in
            wanted == UInt8(ascii: "-")
                ? byte == wanted : (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        return isDay ? String(decoding: bytes[..<shape.count], as: UTF8.self) : nil
    }

    private static func digits(_ value: CInt, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }
}
