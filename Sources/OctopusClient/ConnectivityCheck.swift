extension OctopusSession {
    /// Machines (or workers) of the space that have this agent's certificate.
    package func machines(
        withThumbprint thumbprint: String,
        workers: Bool,
        in space: OctopusSpace
    ) throws(OctopusError) -> [JSONValue] {
        try self.items(space.link(workers ? "Workers" : "Machines"), ["id": "all", "thumbprint": thumbprint])
            // A server that does not know the filter answers with all of them: those must not be deleted.
            .filter { machine in
                let own = machine["Endpoint"]?.text("Thumbprint") ?? machine.text("Thumbprint")
                return own.map { $0.comparable == thumbprint.comparable } ?? false
            }
    }

    package func delete(_ machine: JSONValue) throws(OctopusError) {
        guard let link = machine.link("Self") else {
            throw OctopusError(.server, "The server did not tell how to delete '\(machine.text("Name") ?? "")'.")
        }
        try self.delete(link)
    }
}

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
