import BSON
import Halibut
import TentacleContracts

/// `ICapabilitiesServiceV2` (tentacle-services.md 13).
struct CapabilitiesServiceAdapter: ServiceAdapter {
    static let name = ServiceName.capabilitiesServiceV2

    func call(_ method: String, _ arguments: CallArguments) async throws -> RPCResult {
        guard method.lowercased() == "getcapabilities" else { throw methodNotFound(method) }
        guard arguments.parameters.isEmpty else { throw arguments.doNotFit("CapabilitiesResponseV2 GetCapabilities()") }
        return try RPCResult(contract: CapabilitiesResponseV2.ofTentacle)
    }
}
