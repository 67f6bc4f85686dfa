import Halibut

/// The client listens; the service dials it and collects its calls.
///
/// Nothing needs to be able to reach the service.
func polling() async throws {
    let serviceIdentity = try TLSIdentity.generate(commonName: "Greeter")
    let clientIdentity = try TLSIdentity.generate(commonName: "Caller")
    let subscription = "poll://greeter/"

    let client = try HalibutClient(identity: clientIdentity)
    let listener = HalibutListener(
        host: "127.0.0.1",
        port: 0,
        identity: clientIdentity,
        trust: TrustedPeers([serviceIdentity.thumbprint]),
        pollingQueues: client.pollingQueues,
        authorise: { wanted, peer in wanted == subscription && peer == serviceIdentity.thumbprint }
    )
    try await whileRunning(listener.run) {
        let service = try PollingService(
            subscription: subscription,
            server: ServiceEndPoint(
                "https://127.0.0.1:\(try await listener.boundPort)",
                remoteThumbprint: clientIdentity.thumbprint
            ),
            identity: serviceIdentity,
            dispatcher: makeGreeter()
        )
        try await whileRunning(service.run) {
            // The call waits in the queue until the service asks for it.
            let endPoint = try ServiceEndPoint(subscription, remoteThumbprint: serviceIdentity.thumbprint)
            let greeter = RemoteService("IGreeter", at: endPoint, client: client)
            let hello: String = try await greeter.call("SayHello", "World")
            print("  SayHello(\"World\") = \(hello)")
        }
    }
}
