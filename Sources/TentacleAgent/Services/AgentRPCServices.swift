package import Halibut
package import ScriptExecution

extension RPCServices {
    /// Everything that an agent does for a server: the four services of tentacle-services.md 1.
    package init(scripts: ScriptService, files: FileTransfer) {
        // The stock agent compares names of services exactly.
        self.init(
            [.scriptServiceV2(scripts), .scriptService(scripts), .fileTransfer(files), .capabilities()],
            matchesCase: true
        )
    }
}

extension RPCService {
    /// A service under the name of the stock agent's class.
    init(agentService name: String) {
        self.init(name, implementation: "Octopus.Tentacle.Services.\(name.dropFirst())")
    }
}
