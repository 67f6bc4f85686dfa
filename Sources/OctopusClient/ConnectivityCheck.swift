/// Asks whether the server's port for polling agents answers (spec tentacle-cli.md 13.4).
package struct ConnectivityCheck {
    package static let attempts = 5
    private static let firstPause = 0.75
    private static let growth = 1.5

    private let transport: any HTTPTransport
    private let options: TransportOptions
    private let pause: (Duration) -> Void

    package init(transport: any HTTPTransport, options: TransportOptions, pause: @escaping (Duration) -> Void) {
        var options = options
        // Trust comes by thumbprint later; here only somebody has to answer.
        options.acceptsAnyCertificate = true
        options.connectTimeout = .seconds(10)
        options.requestTimeout = .seconds(15)
        self.transport = transport
        self.options = options
        self.pause = pause
    }

    /// - Parameter address: `https://host:port` without path.
    /// - Throws: `OctopusError` with the reason of the last of five tries.
    package func run(_ address: String) throws(OctopusError) {
        var reason = ""
        var delay = Self.firstPause
        for attempt in 1...Self.attempts {
            do throws(TransportError) {
                let response = try self.transport.send(
                    HTTPRequest("POST", address + "/handshake"),
                    options: self.options
                )
                if response.status == 200 || response.status == 400 { return }
                reason = "the server answered with status \(response.status)"
            } catch {
                reason = error.message
            }
            guard attempt < Self.attempts else { break }
            self.pause(.milliseconds(Int(delay * 1000)))
            delay *= Self.growth
        }
        throw OctopusError(
            .unreachable,
            "Checking that server communications are open failed with message \(reason) after \(Self.attempts) retries."
        )
    }
}
