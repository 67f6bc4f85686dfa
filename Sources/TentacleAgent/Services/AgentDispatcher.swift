package import Halibut
package import ScriptExecution

/// Everything that an agent does for a server: the four services of tentacle-services.md 1.
package struct AgentDispatcher: RPCDispatcher {
    private let services: [String: any ServiceAdapter]

    package init(scripts: ScriptService, files: FileTransfer) {
        let adapters: [any ServiceAdapter] = [
            ScriptServiceV2Adapter(scripts: scripts), ScriptServiceAdapter(scripts: scripts),
            FileTransferServiceAdapter(files: files), CapabilitiesServiceAdapter(),
        ]
        services = Dictionary(uniqueKeysWithValues: adapters.map { (type(of: $0).name, $0) })
    }

    /// Names of services are compared exactly, names of methods without regard to case (tentacle-services.md 1).
    package func dispatch(_ request: RPCRequest) async throws -> RPCResult {
        guard let service = services[request.service] else { throw RPCServiceNotFound(service: request.service) }
        return try await service.call(request.method, CallArguments(request))
    }
}
