import HalibutProtocol

/// Switches of the transport in the environment (tentacle-cli.md 10, tentacle-services.md 14.2).
///
/// Two of them change nothing, which the log says to who asks for something else:
///
/// - `TentacleEnableDataStreamLengthChecks`: the stock agent without it only logs that a stream it sends has another length
///   than announced. Here the length is always checked, both ways, and a wrong one ends the connection (halibut.md 9.4).
/// - `TentacleUseAsyncListener`: another loop that accepts connections, the same on the wire. There is one here.
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

    /// What to say of switches that ask for something else than what is done anyway.
    var warnings: [String] {
        var warnings: [String] = []
        if self["TentacleEnableDataStreamLengthChecks"] == false {
            warnings.append(
                "TentacleEnableDataStreamLengthChecks=false has no effect: the length of data streams is always checked."
            )
        }
        if self["TentacleUseAsyncListener"] != nil {
            warnings.append("TentacleUseAsyncListener has no effect: there is one kind of listener.")
        }
        return warnings
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
