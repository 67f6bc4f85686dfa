import LauncherProtocol
import Testing

@Suite struct JSONTextTests {
    @Test("what is written is read back")
    func roundTrip() throws {
        let value = JSONText.object([
            .init("a", .array([.null, .bool(true), .integer(-42), .string("\u{1}\"\\\n\u{7F}é😀")])),
            .init("b", .object([])), .init("c", .array([])),
        ])
        #expect(try JSONText(bytes: value.encoded()) == value)
        #expect(!value.encoded().contains(0x0A))
    }

    @Test("escapes of other writers are understood")
    func escapes() throws {
        #expect(try JSONText(bytes: Array(#" "\u00e9\ud83d\ude00\/\b\f\t\r" "#.utf8)).string == "é😀/\u{8}\u{C}\t\r")
    }

    @Test(
        "what is not JSON, not complete or too deep is refused",
        arguments: [
            "", "{", "[1", "{\"a\":1", "\"a", "1.5", "tru", "[1,]", "{\"a\"}", "1 2", "\"\\ud800\"", "\"\\q\"",
            String(repeating: "[", count: 100), "99999999999999999999", "\"\n\"", "-",
        ]
    )
    func refused(text: String) {
        #expect(throws: LauncherProtocolError.self) { try JSONText(bytes: Array(text.utf8)) }
    }
}

@Suite struct LauncherRequestTests {
    @Test("requests and replies are one line that is read back")
    func roundTrip() throws {
        let ticket = try ScriptTicketName("h3Q0bWmDkkWkz8b2G1xY0A")
        #expect(String(decoding: LauncherRequest.start(ticket).line, as: UTF8.self) == "{\"start\":\"\(ticket)\"}\n")
        for request in [LauncherRequest.start(ticket), .cancel(ticket), .remove(ticket)] {
            #expect(try LauncherRequest(line: request.line.dropLast()) == request)
        }
        for reply in [LauncherReply.started, .alreadyStarted, .cancelled, .notRunning, .failed("a\nb")] {
            #expect(try LauncherReply(line: reply.line.dropLast()) == reply)
        }
    }

    @Test(
        "a ticket that is no plain name is refused",
        arguments: ["", ".", "..", "a/b", "../x", ".hidden", "a\0b", "a\nb", String(repeating: "a", count: 201)]
    )
    func ticket(text: String) {
        #expect(throws: LauncherProtocolError.self) { try ScriptTicketName(text) }
    }

    @Test("the longest ticket fits into the longest request, one byte more does not")
    func limits() throws {
        let long = try ScriptTicketName(String(repeating: "é", count: 100))
        let line = Array(LauncherRequest.start(long).line.dropLast())
        #expect(try LauncherRequest(line: line) == .start(long))
        let padding = [UInt8](repeating: 0x20, count: LauncherRequest.maximumBytes - line.count)
        #expect(try LauncherRequest(line: line + padding) == .start(long))
        #expect(throws: LauncherProtocolError.self) { try LauncherRequest(line: line + padding + [0x20]) }
    }

    @Test(
        "anything but one known request is refused",
        arguments: ["{}", "{\"start\":1}", "{\"stop\":\"a\"}", "{\"start\":\"a\",\"cancel\":\"a\"}", "[]"]
    )
    func unknown(text: String) {
        #expect(throws: LauncherProtocolError.self) { try LauncherRequest(line: Array(text.utf8)) }
    }
}

@Suite struct RecordTests {
    @Test(
        "times are RFC 3339 with microseconds, both ways",
        arguments: [
            (Int64(0), "1970-01-01T00:00:00.000000Z"), (1_715_249_472_123_456, "2024-05-09T10:11:12.123456Z"),
            (1_709_164_800_000_001, "2024-02-29T00:00:00.000001Z"), (-1, "1969-12-31T23:59:59.999999Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
        ]
    )
    func times(microseconds: Int64, text: String) {
        #expect(UTCMicroseconds(sinceEpoch: microseconds).description == text)
        #expect(UTCMicroseconds(text: text.utf8)?.sinceEpoch == microseconds)
    }

    @Test(
        "text that is no such time is none",
        arguments: [
            "", "2024-05-09T10:11:12.123456", "2024-13-09T10:11:12.123456Z", "2024-05-09 10:11:12.123456Z",
            "2024-05-09T24:11:12.123456Z", "2024-05-0xT10:11:12.123456Z",
        ]
    )
    func notTimes(text: String) {
        #expect(UTCMicroseconds(text: text.utf8) == nil)
    }

    @Test("state.json is read back, and another version is refused")
    func state() throws {
        var state = ScriptStateRecord(
            ticket: try ScriptTicketName("abc"),
            created: UTCMicroseconds(sinceEpoch: 1_715_249_472_123_456),
            boot: "b"
        )
        #expect(try ScriptStateRecord(bytes: state.encoded()) == state)
        state.begin(at: UTCMicroseconds(sinceEpoch: 5), supervisor: 77)
        #expect(try ScriptStateRecord(bytes: state.encoded()) == state)
        state.complete(at: UTCMicroseconds(sinceEpoch: 9), exitCode: -46, ranToCompletion: false, detail: "why")
        #expect(try ScriptStateRecord(bytes: state.encoded()) == state)
        let other = String(decoding: state.encoded(), as: UTF8.self).replacing("\"version\":1", with: "\"version\":2")
        #expect(throws: LauncherProtocolError.self) { try ScriptStateRecord(bytes: Array(other.utf8)) }
    }

    @Test("script.json is read back")
    func specification() throws {
        let specification = ScriptSpecification(
            ticket: try ScriptTicketName("abc"),
            service: 2,
            taskID: "ServerTasks-1",
            fullIsolation: true,
            mutexName: "RunningScript",
            mutexTimeoutMilliseconds: 60_000,
            arguments: ["a b", ""],
            environment: ["PATH": "/bin", "EMPTY": ""]
        )
        #expect(try ScriptSpecification(bytes: specification.encoded()) == specification)
        let text = String(decoding: specification.encoded(), as: UTF8.self)
        for absent in ["sandbox", "instance", "protected"] { #expect(!text.contains(absent)) }
        var confined = specification
        confined.sandbox = "strict"
        confined.instance = "Tentacle"
        confined.protected = ["/etc/octopus", "/var/lib/tentacle/tentacle.config"]
        #expect(try ScriptSpecification(bytes: confined.encoded()) == confined)
    }

    @Test(
        "a script.json that says something else than names and paths of its sandbox is refused, not run with less",
        arguments: [
            #""sandbox":1"#, #""sandbox":["none"]"#, #""instance":["x"]"#, #""protected":"/etc""#,
            #""protected":["/a",1]"#, #""protected":["a"]"#,
            #""protected":[\#(String(repeating: #""/a","#, count: 1000))"/a"]"#,
        ]
    )
    func wrongTypes(member: String) throws {
        let text = """
            {"version":1,"ticket":"abc","service":2,"taskId":"t","fullIsolation":false,"mutexName":"m","arguments":[],\
            "environment":{}
            """
        let nothing = text + #","sandbox":null,"instance":null,"protected":null}"#
        #expect(
            try ScriptSpecification(bytes: Array(nothing.utf8)) == ScriptSpecification(bytes: Array((text + "}").utf8))
        )
        #expect(throws: LauncherProtocolError.self) {
            try ScriptSpecification(bytes: Array((text + ",\(member)}").utf8))
        }
    }
}
