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

    @Test(
        "who asks for what is not done hears so",
        arguments: [
            (nil, nil, 0), ("true", nil, 0), ("false", nil, 1), ("maybe", nil, 0), (nil, "true", 1),
            ("FALSE", "False", 2),
        ] as [(String?, String?, Int)]
    )
    func withoutEffect(lengthChecks: String?, asyncListener: String?, count: Int) {
        var environment: [String: String] = [:]
        environment["TentacleEnableDataStreamLengthChecks"] = lengthChecks
        environment["TentacleUseAsyncListener"] = asyncListener
        let warnings = TransportSwitches(environment: environment).warnings
        #expect(warnings.count == count)
        #expect(warnings.allSatisfy { $0.contains("has no effect") })
    }
}
