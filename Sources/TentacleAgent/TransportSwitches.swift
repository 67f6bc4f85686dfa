import HalibutProtocol

/// Switches of the transport in the environment (tentacle-cli.md 10, tentacle-services.md 14.2).
///
/// `TentacleEnableDataStreamLengthChecks` and `TentacleUseAsyncListener` change nothing here: a stream of the wrong length is
/// always refused, and there is one kind of listener.
struct TransportSwitches {
    private let environment: [String: String]

    init(environment: [String: String]) {
        self.environment = environment
    }

    var limits: HalibutLimits {
        var limits = HalibutLimits()
        limits.usesKeepAlive = self["TentacleTcpKeepAliveEnabled"] ?? limits.usesKeepAlive
        // Off in the stock agent, where it is on its peer that the time is lost.
        limits.usesNoDelay = self["TentacleUseTcpNoDelay"] ?? limits.usesNoDelay
        return limits
    }

    /// `true` or `false` in any case; anything else leaves the default.
    private subscript(name: String) -> Bool? {
        switch self.environment[name]?.lowercased() {
        case "true": true
        case "false": false
        default: nil
        }
    }
}
