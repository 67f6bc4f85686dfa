import BSON
import FoundationEssentials
import TentacleContracts
import Testing

@Suite("Contracts on the wire")
struct ContractWireTests {
    private let file = ScriptFile(
        name: "foo.txt",
        contents: DataStreamReference(
            id: UUID(
                uuid: (0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff)
            ),
            length: 17
        )
    )

    /// Encodes as a parameter, compares with the bytes, and reads it back.
    private func check<T: WireContract & Equatable>(_ value: T, _ vector: String) throws {
        let bytes = try WireVector.load(vector)
        let encoded = try BSONEncoder().encode(value, typeName: T.wireTypeName)
        #expect(try encoded.document?.encoded() == bytes)
        let document = try BSONDocument(bytes: bytes)
        #expect(T.accepts(wireTypeName: document.typeName ?? ""))
        #expect(try BSONDecoder().decode(T.self, from: .document(document)) == value)
    }

    @Test("StartScript of the second version has the bytes of tentacle-services.md 4")
    func startScriptV2() throws {
        let command = StartScriptCommandV2(
            scriptTicket: ScriptTicket(taskID: "h3Q0bWmDkkWkz8b2G1xY0A"),
            scriptBody: "cat foo.txt",
            taskID: "ServerTasks-12",
            durationToWaitForScriptToFinish: .seconds(5),
            isolation: .fullIsolation,
            isolationMutexName: "RunningScript",
            scripts: [.bash: "cat foo.txt"],
            files: [self.file],
            arguments: ["First", "Second"]
        )
        try self.check(command, "start-script-v2")
    }

    @Test("StartScript of the first version has the bytes of halibut.md 18.7")
    func startScriptV1() throws {
        let id = UUID(
            uuid: (0x9a, 0x4b, 0x47, 0xb7, 0x74, 0x63, 0x47, 0x40, 0x84, 0x2e, 0xeb, 0x1d, 0xa0, 0xad, 0xe3, 0x9b)
        )
        let command = StartScriptCommand(
            scriptBody: "echo hi",
            files: [ScriptFile(name: "a.txt", contents: DataStreamReference(id: id, length: 5))],
            taskID: "ServerTasks-1"
        )
        try self.check(command, "start-script-v1")
    }

    @Test("A status response has the 0x166 bytes of tentacle-services.md 4")
    func statusResponse() throws {
        let bytes = try WireVector.load("response-status-v2")
        #expect(bytes.count == 0x166)
        let status = ScriptStatusResponseV2(
            ticket: ScriptTicket(taskID: "abc"),
            logs: [
                ProcessOutput(source: .stdOut, occurred: Date(timeIntervalSince1970: 1_700_000_000.123), text: "hi")
            ],
            nextLogSequence: 1,
            state: .complete,
            exitCode: 0
        )
        let result = try BSONEncoder().encode(status, typeName: ScriptStatusResponseV2.wireTypeName)
        let message: BSONDocument = [
            "Message": [
                "$type": "Halibut.Transport.Protocol.ResponseMessage, Halibut",
                "id": "A", "error": nil, "result": result,
            ]
        ]
        #expect(try message.encoded() == bytes)
        let decoded = try BSONDocument(bytes: bytes)["Message"]?.document?["result"]
        #expect(try BSONDecoder().decode(ScriptStatusResponseV2.self, from: decoded ?? .null) == status)
    }

    @Test("An upload result has the bytes of halibut.md 18.5")
    func uploadResult() throws {
        let document = try BSONDocument(bytes: WireVector.load("response-upload-file"))
        let expected = document["Message"]?.document?["result"]
        let result = UploadResult(fullPath: "/tmp/x", hash: "aaf4c61d", length: 5)
        #expect(try BSONEncoder().encode(result, typeName: UploadResult.wireTypeName) == expected)
        #expect(try BSONDecoder().decode(UploadResult.self, from: expected ?? .null) == result)
    }

    @Test("A stream found by its form is the one the contract decodes")
    func dataStream() throws {
        let encoded = try BSONEncoder().encode([self.file])
        #expect(encoded.dataStreams == [BSONDataStream(id: self.file.contents.id, length: 17)])
        let typed = try BSONEncoder().encode(self.file.contents, typeName: DataStreamReference.wireTypeName)
        #expect(typed == BSONDataStream(id: self.file.contents.id, length: 17).value(typed: true))
    }

    @Test("Elements of the other contracts have the names and order of tentacle-services.md 3")
    func memberNames() throws {
        let ticket = ScriptTicket(taskID: "t")
        func names(_ value: some Encodable) throws -> [String]? {
            try BSONEncoder().encode(value).document?.elements.map(\.key)
        }
        let request = ["Ticket", "LastLogSequence"]
        #expect(try names(ScriptStatusRequestV2(ticket: ticket, lastLogSequence: 1)) == request)
        #expect(try names(CancelScriptCommandV2(ticket: ticket, lastLogSequence: 1)) == request)
        #expect(try names(CompleteScriptCommandV2(ticket: ticket)) == ["Ticket"])
        #expect(try names(ScriptStatusRequest(ticket: ticket, lastLogSequence: 1)) == request)
        #expect(try names(CancelScriptCommand(ticket: ticket, lastLogSequence: 1)) == request)
        #expect(try names(CompleteScriptCommand(ticket: ticket, lastLogSequence: 1)) == request)
        #expect(try names(ticket) == ["TaskId"])
        #expect(
            try names(ScriptStatusResponse(ticket: ticket, nextLogSequence: 0, state: .pending, exitCode: 0))
                == ["Ticket", "Logs", "NextLogSequence", "State", "ExitCode"]
        )
        #expect(
            try BSONEncoder().encode(CapabilitiesResponseV2.ofTentacle)
                == ["SupportedCapabilities": ["IScriptService", "IFileTransferService", "IScriptServiceV2"]]
        )
    }
}

@Suite("Contracts read leniently")
struct ContractLeniencyTests {
    @Test("An almost empty command has the defaults of its types")
    func defaults() throws {
        let command = try BSONDecoder().decode(
            StartScriptCommandV2.self,
            from: ["scriptticket": ["taskid": "A"], "SCRIPTBODY": "echo", "Surprise": ["x": nil]]
        )
        #expect(command.scriptTicket == ScriptTicket(taskID: "a"))
        #expect(command.scriptBody == "echo")
        #expect(command.durationToWaitForScriptToFinish == nil && command.isolationMutexName == nil)
        #expect(command.isolation == .noIsolation && command.scriptIsolationMutexTimeout == .zero)
        #expect(command.files == [] && command.arguments == [] && command.scripts == [:])
    }

    @Test("A ticket without an id is refused", arguments: [[:], ["TaskId": nil], nil] as [BSONValue])
    func ticket(value: BSONValue) {
        #expect(throws: DecodingError.self) { try BSONDecoder().decode(ScriptTicket.self, from: value) }
        #expect(throws: DecodingError.self) {
            try BSONDecoder().decode(CompleteScriptCommandV2.self, from: ["Ticket": value])
        }
    }

    @Test(
        "An enumeration is read from any number and from its name in any case",
        arguments: [.int32(1), .int64(1), .double(1), "Running", "running", "RUNNING", "1"] as [BSONValue]
    )
    func enumerations(value: BSONValue) throws {
        #expect(try BSONDecoder().decode([ProcessState].self, from: [value]) == [.running])
    }

    @Test(
        "Other numbers and names are refused",
        arguments: [.int32(3), .int32(-1), "Walking", "", "9", true] as [BSONValue]
    )
    func noEnumeration(value: BSONValue) {
        #expect(throws: DecodingError.self) { try BSONDecoder().decode([ProcessState].self, from: [value]) }
    }

    @Test(
        "Script bodies are keyed by name in any case, or by ordinal",
        arguments: [
            ["PowerShell": "p", "Bash": "b"], ["bash": "b", "POWERSHELL": "p"], ["0": "p", "1": "b"],
            [
                "$type": "System.Collections.Generic.Dictionary`2[[X, Y],[System.String, mscorlib]], mscorlib",
                "0": "p", "1": "b",
            ],
        ] as [BSONValue]
    )
    func scripts(value: BSONValue) throws {
        let bodies = try BSONDecoder().decode(ScriptBodies.self, from: value)
        #expect(bodies == [.powerShell: "p", .bash: "b"])
        #expect(try BSONEncoder().encode(bodies) == ["PowerShell": "p", "Bash": "b"])
    }

    @Test("A body for an unknown shell is refused")
    func unknownShell() {
        #expect(throws: DecodingError.self) { try BSONDecoder().decode(ScriptBodies.self, from: ["Fish": "f"]) }
    }

    @Test("The time of an output line comes as datetime or as text")
    func occurred() throws {
        let date = Date(timeIntervalSince1970: 1_700_000_000)
        for value: BSONValue in [.dateTime(millisecondsSince1970: 1_700_000_000_000), "2023-11-15T08:13:20+10:00"] {
            let output = try BSONDecoder().decode(
                ProcessOutput.self,
                from: ["Source": "StdErr", "Occurred": value, "Text": nil]
            )
            #expect(output == ProcessOutput(source: .stdErr, occurred: date, text: ""))
        }
    }
}
