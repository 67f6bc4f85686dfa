import Testing

@testable import TentacleAgent

@Suite struct CalamariFileTests {
    @Test("a file with a password is what Calamari decrypts (tentacle-services.md 6)")
    func vector() throws {
        let bytes = try CalamariFile.encrypt(Array("hello".utf8), password: "p4ssw0rd", iv: Array(0...15))
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(hex == "49565f5f000102030405060708090a0b0c0d0e0f7937505d2436d549a7321f0c54300924")
        #expect(try CalamariFile.encrypt([], password: "p") != CalamariFile.encrypt([], password: "p"))
    }

    @Test(
        "time spans as operators write them",
        arguments: [
            ("2", .seconds(172_800)), ("02:00:00", .seconds(7200)), ("1.00:00:00", .seconds(86_400)),
            ("00:00:01.5", .milliseconds(1500)), ("01:30", .seconds(5400)), ("x", nil), ("25:00:00", nil), ("", nil),
            ("-01:00:00", nil),
        ] as [(String, Duration?)]
    )
    func timeSpan(text: String, expected: Duration?) {
        #expect(AgentServices.interval(text) == expected)
    }
}
