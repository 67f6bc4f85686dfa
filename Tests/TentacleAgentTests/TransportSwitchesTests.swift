import HalibutProtocol
import Testing

@testable import TentacleAgent

@Suite struct TransportSwitchesTests {
    @Test(
        "true and false in any case, anything else is the default",
        arguments: [("true", true), ("FALSE", false), ("False", false), ("0", true), ("", true), (nil, true)]
            as [(String?, Bool)]
    )
    func switches(value: String?, expected: Bool) {
        var environment: [String: String] = [:]
        environment["TentacleTcpKeepAliveEnabled"] = value
        #expect(TransportSwitches(environment: environment).limits.usesKeepAlive == expected)
        #expect(TransportSwitches(environment: environment).limits.usesNoDelay)
        environment["TentacleUseTcpNoDelay"] = value
        #expect(TransportSwitches(environment: environment).limits.usesNoDelay == expected)
    }
}
