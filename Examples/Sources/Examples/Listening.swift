import Halibut

/// The service listens; the client knows its address and its certificate's thumbprint, and dials it.
func listening() async throws {
    // A program makes its identity once, and keeps it: `try identity.pkcs12()`, `TLSIdentity(pkcs12: bytes)`.
    let serviceIdentity = try TLSIdentity.generate(commonName: "Greeter")
    let clientIdentity = try TLSIdentity.generate(commonName: "Caller")

    let listener = HalibutListener(
        host: "127.0.0.1",
        port: 0,
        identity: serviceIdentity,
        trust: TrustedPeers([clientIdentity.thumbprint]),
        dispatcher: makeGreeter()
    )
    try await whileRunning(listener.run) {
        let port = try await listener.boundPort
        let endPoint = try ServiceEndPoint(
            "https://127.0.0.1:\(port)",
            remoteThumbprint: serviceIdentity.thumbprint
        )
        let client = try HalibutClient(identity: clientIdentity)
        let greeter = RemoteService("IGreeter", at: endPoint, client: client)

        let hello: String = try await greeter.call("SayHello", "World")
        print("  SayHello(\"World\") = \(hello)")
        let twice: String = try await greeter.call("SayHello", 2, "World")
        print("  SayHello(2, \"World\") = \(twice)")
        let greeting: String = try await greeter.call("Deliver", Order(greeting: "Hi", names: ["Ann", "Bob"]))
        print("  Deliver(order) = \(greeting)")

        do {
            try await greeter.call("Deliver", Order(greeting: "Hi", names: []))
        } catch let error as HalibutError where error.code == .invocation {
            print("  Deliver(empty order) failed: \(error.message)")
        }
        await client.close()
    }
}
