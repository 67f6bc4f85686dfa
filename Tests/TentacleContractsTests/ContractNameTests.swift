import BSON
import TentacleContracts
import Testing

@Suite("Contract names")
struct ContractNameTests {
    @Test(
        "The legacy contracts are written in Octopus.Shared and accepted under both names",
        arguments: [
            (StartScriptCommand.self, "StartScriptCommand"), (ScriptTicket.self, "ScriptTicket"),
            (ScriptStatusRequest.self, "ScriptStatusRequest"), (ScriptStatusResponse.self, "ScriptStatusResponse"),
            (CancelScriptCommand.self, "CancelScriptCommand"), (CompleteScriptCommand.self, "CompleteScriptCommand"),
            (UploadResult.self, "UploadResult"), (ScriptFile.self, "ScriptFile"),
        ] as [(any WireContract.Type, String)]
    )
    func legacy(type: any WireContract.Type, name: String) {
        let written = "Octopus.Shared.Contracts.\(name), Octopus.Shared"
        let present = "Octopus.Tentacle.Contracts.\(name), Octopus.Tentacle.Contracts"
        #expect(type.wireTypeName == written)
        #expect(type.acceptedWireTypeNames == [written, present])
        for accepted in [written, present, "\(present), Version=6.0.0.0, Culture=neutral, PublicKeyToken=null"] {
            let accepts = type.accepts(wireTypeName: accepted)
            #expect(accepts, "\(accepted)")
        }
        for refused in ["", name, "Octopus.Shared.Contracts.\(name)", "Octopus.Shared.Contracts.\(name), Other"] {
            let accepts = type.accepts(wireTypeName: refused)
            #expect(!accepts, "\(refused)")
        }
    }

    @Test(
        "The newer contracts have their own name only",
        arguments: [
            (StartScriptCommandV2.self, "ScriptServiceV2.StartScriptCommandV2"),
            (ScriptStatusRequestV2.self, "ScriptServiceV2.ScriptStatusRequestV2"),
            (ScriptStatusResponseV2.self, "ScriptServiceV2.ScriptStatusResponseV2"),
            (CancelScriptCommandV2.self, "ScriptServiceV2.CancelScriptCommandV2"),
            (CompleteScriptCommandV2.self, "ScriptServiceV2.CompleteScriptCommandV2"),
            (CapabilitiesResponseV2.self, "Capabilities.CapabilitiesResponseV2"),
        ] as [(any WireContract.Type, String)]
    )
    func newer(type: any WireContract.Type, name: String) {
        let expected = "Octopus.Tentacle.Contracts.\(name), Octopus.Tentacle.Contracts"
        #expect(type.wireTypeName == expected)
        #expect(type.acceptedWireTypeNames == [expected])
        let acceptsTight = type.accepts(wireTypeName: expected.replacing(", ", with: ","))
        #expect(acceptsTight)
    }

    @Test("Exactly twelve names are remapped, both ways")
    func mapping() {
        let remapped = [
            "CancelScriptCommand", "CompleteScriptCommand", "IFileTransferService", "IScriptService", "ScriptFile",
            "ScriptIsolationLevel", "ScriptStatusRequest", "ScriptStatusResponse", "ScriptTicket", "ScriptType",
            "StartScriptCommand", "UploadResult",
        ]
        for name in remapped {
            let present = WireTypeName("Octopus.Tentacle.Contracts.\(name), Octopus.Tentacle.Contracts")
            #expect(present.written.description == "Octopus.Shared.Contracts.\(name), Octopus.Shared")
            #expect(present.written.accepted.contains(present))
        }
        let other = WireTypeName("Octopus.Tentacle.Contracts.ProcessOutput, Octopus.Tentacle.Contracts")
        #expect(other.written == other && other.accepted == [other])
        let foreign = WireTypeName("Octopus.Shared.Contracts.ProcessOutput, Octopus.Shared")
        #expect(foreign.accepted == [foreign])
    }

    @Test("The class name of a generic ends outside its brackets")
    func generics() {
        let name = WireTypeName("System.Collections.Generic.List`1[[System.String, mscorlib]], mscorlib, Version=4.0")
        #expect(name.fullName == "System.Collections.Generic.List`1[[System.String, mscorlib]]")
        #expect(name.assembly == "mscorlib")
        #expect(WireTypeName("Just.A.Name").description == "Just.A.Name")
    }

    @Test("Tickets are equal in any case, keep their text, and can be told from paths")
    func tickets() {
        let ticket = ScriptTicket(taskID: "aB3")
        #expect(ticket == ScriptTicket(taskID: "Ab3") && ticket.hashValue == ScriptTicket(taskID: "Ab3").hashValue)
        #expect(ticket.description == "aB3")
        #expect(ticket.isValidDirectoryName)
        for text in ["", ".", "..", "a/b", "/", "a\0b", String(repeating: "a", count: 256)] {
            #expect(!ScriptTicket(taskID: text).isValidDirectoryName)
        }
        let unique = (0..<100).map { _ in ScriptTicket.unique() }
        #expect(Set(unique).count == 100)
        #expect(
            unique.allSatisfy {
                (10...22).contains($0.taskID.count)
                    && $0.taskID.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
            }
        )
    }

    @Test("Every service has its methods; there is no Kubernetes service")
    func services() {
        #expect(
            ServiceName.all == ["IScriptServiceV2", "IScriptService", "IFileTransferService", "ICapabilitiesServiceV2"]
        )
        #expect(ServiceName.all.map { MethodName.all(of: $0).count } == [4, 4, 2, 1])
        #expect(MethodName.all(of: "IKubernetesScriptServiceV1") == [])
    }
}
