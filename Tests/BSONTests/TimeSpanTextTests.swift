import BSON
import Testing

@Suite("TimeSpanText")
struct TimeSpanTextTests {
    @Test(
        "The constant form of halibut.md 6.2, both ways",
        arguments: [
            ("00:00:00", .zero), ("00:02:00", .seconds(120)), ("00:00:01.5000000", .milliseconds(1500)),
            ("1.01:01:01.0010000", .milliseconds(((24 + 1) * 3600 + 61) * 1000 + 1)),
            ("-00:00:00.0010000", .milliseconds(-1)), ("24.20:31:23.6470000", .milliseconds(Int32.max)),
            ("-1.00:00:00", .seconds(-86_400)), ("00:00:00.0000001", .nanoseconds(100)),
        ] as [(String, Duration)]
    )
    func bothWays(text: String, duration: Duration) {
        #expect(TimeSpanText.encode(duration) == text)
        #expect(TimeSpanText.decode(text) == duration)
    }

    @Test(
        "Other forms of TimeSpan.Parse are read",
        arguments: [
            ("5", .seconds(5 * 86_400)), ("1:30", .seconds(5400)), ("1:02:03:04", .seconds(93_784)),
            ("00:00:01.5", .milliseconds(1500)), (" -0:0:1.25 ", .milliseconds(-1250)), ("1.2:3", .seconds(93_780)),
        ] as [(String, Duration)]
    )
    func lenient(text: String, duration: Duration) {
        #expect(TimeSpanText.decode(text) == duration)
    }

    @Test(
        "Anything else is not",
        arguments: [
            "", "-", ":", "1:", "24:00", "00:60", "00:00:60", "00:00:00.", "00:00:00.12345678", "a", "1:2:3:4:5",
            "1.1.1:00", "99999999.00:00:00", "10675199.23:59:59", "--1", "+1", "1:-2", "²",
        ]
    )
    func refused(text: String) {
        #expect(TimeSpanText.decode(text) == nil)
    }

    @Test("A duration beyond the range of a TimeSpan becomes the nearest that fits")
    func saturation() {
        #expect(TimeSpanText.encode(.seconds(Int64.max)) == "10675199.02:48:05.4775807")
        #expect(TimeSpanText.encode(.seconds(Int64.min)) == "-10675199.02:48:05.4775808")
    }
}
