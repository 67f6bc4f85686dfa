import Halibut
import TentacleContracts

extension RPCService {
    /// `ICapabilitiesServiceV2` (tentacle-services.md 13).
    static func capabilities() -> RPCService {
        var service = RPCService(agentService: ServiceName.capabilitiesServiceV2)
        service.method(MethodName.getCapabilities) { _ in CapabilitiesResponseV2.ofTentacle }
        return service
    }
}
