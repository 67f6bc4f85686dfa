package import Halibut
package import HalibutProtocol
package import Logging
package import SecureTransport

/// Certificates for tests, made once per process: each costs an RSA key.
package enum TestIdentities {
    package static let service = Self.make("Service")
    package static let client = Self.make("Client")
    package static let stranger = Self.make("Stranger")

    private static func make(_ name: String) -> TLSIdentity {
        do {
            return try TLSIdentity.generate(commonName: name)
        } catch {
            preconditionFailure("no test certificate: \(error)")
        }
    }
}

extension HalibutLimits {
    /// Limits under which nothing in a test takes long: a hundredth of the real pauses.
    package static var brisk: HalibutLimits {
        var limits = HalibutLimits()
        limits.minimumPollingBackoff = .milliseconds(20)
        limits.maximumPollingBackoff = .milliseconds(100)
        limits.lingerTimeout = .milliseconds(200)
        limits.identificationGrace = .milliseconds(50)
        return limits
    }
}

extension Logger {
    /// Says nothing, unless `HALIBUT_TEST_LOG` is wanted: then change the level here.
    package static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

extension HalibutConfiguration {
    // Each with a spool directory of its own, which goes with whoever uses it; that of a constant would stay behind.

    /// Says nothing, and tries again at once.
    package static var brisk: HalibutConfiguration { HalibutConfiguration(limits: .brisk, logger: .quiet) }
    /// Says nothing.
    package static var quiet: HalibutConfiguration { HalibutConfiguration(logger: .quiet) }
}

/// A client and a listening service on the loopback interface.
package struct ListeningPair: Sendable {
    package let service: EchoService
    /// What the service shows; it may be changed.
    package let identity: ServiceIdentity
    package let trust: TrustedPeers
    package let client: HalibutClient
    package let endPoint: ServiceEndPoint
    package let port: Int

    /// Runs both until the body returns.
    package static func with<Result: Sendable>(
        limits: HalibutLimits = .brisk,
        clientIdentity: TLSIdentity = TestIdentities.client,
        serviceIdentity: TLSIdentity = TestIdentities.service,
        expecting thumbprint: Thumbprint? = TestIdentities.service.thumbprint,
        untrusted: @escaping @Sendable (String, Thumbprint) -> UntrustedPeerAction = { _, _ in .block },
        logger: Logger = .quiet,
        observer: (any HalibutObserver)? = nil,
        _ body: @Sendable (ListeningPair) async throws -> Result
    ) async throws -> Result {
        let service = EchoService()
        let identity = ServiceIdentity(serviceIdentity)
        let trust = TrustedPeers([TestIdentities.client.thumbprint])
        let configuration = HalibutConfiguration(limits: limits, logger: logger, observer: observer)
        let listening = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: identity,
            trust: trust,
            dispatcher: service,
            untrusted: untrusted,
            configuration: configuration
        )
        let client = try HalibutClient(identity: clientIdentity, configuration: configuration)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listening.run() }
            let port = try await listening.boundPort
            var endPoint = try ServiceEndPoint("https://127.0.0.1:\(port)", remoteThumbprint: thumbprint)
            endPoint.retryListeningSleepInterval = .milliseconds(10)
            let pair = ListeningPair(
                service: service,
                identity: identity,
                trust: trust,
                client: client,
                endPoint: endPoint,
                port: port
            )
            let result = await Swift.Result { try await body(pair) }
            await client.close()
            group.cancelAll()
            while let _ = await group.nextResult() {}
            return try result.get()
        }
    }
}

/// A client that listens and a polling service that dials it, on the loopback interface.
package struct PollingPair: Sendable {
    package let service: EchoService
    package let trust: TrustedPeers
    package let client: HalibutClient
    package let listener: HalibutListener
    package let endPoint: ServiceEndPoint
    package let port: Int

    /// Runs both until the body returns.
    package static func with<Result: Sendable>(
        limits: HalibutLimits = .brisk,
        connections: Int = 1,
        startsService: Bool = true,
        proxy: HTTPProxy? = nil,
        logger: Logger = .quiet,
        observer: (any HalibutObserver)? = nil,
        authorise: @escaping @Sendable (String, Thumbprint) -> Bool = { _, _ in true },
        _ body: @Sendable (PollingPair) async throws -> Result
    ) async throws -> Result {
        let service = EchoService()
        let trust = TrustedPeers([TestIdentities.service.thumbprint])
        let configuration = HalibutConfiguration(limits: limits, logger: logger, observer: observer)
        let client = try HalibutClient(identity: TestIdentities.client, configuration: configuration)
        let listener = HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: TestIdentities.client,
            trust: trust,
            pollingQueues: client.pollingQueues,
            authorise: authorise,
            configuration: configuration
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            let port = try await listener.boundPort
            var server = try ServiceEndPoint(
                "https://127.0.0.1:\(port)",
                remoteThumbprint: TestIdentities.client.thumbprint
            )
            server.proxy = proxy
            let polling = try PollingService(
                subscription: "poll://AbC123",
                server: server,
                identity: TestIdentities.service,
                dispatcher: service,
                connections: connections,
                configuration: configuration
            )
            if startsService { group.addTask { try await polling.run() } }
            let endPoint = try ServiceEndPoint(
                "poll://abc123/",
                remoteThumbprint: TestIdentities.service.thumbprint
            )
            let pair = PollingPair(
                service: service,
                trust: trust,
                client: client,
                listener: listener,
                endPoint: endPoint,
                port: port
            )
            let result = await Swift.Result { try await body(pair) }
            group.cancelAll()
            while let _ = await group.nextResult() {}
            return try result.get()
        }
    }
}

extension Result where Failure == any Error {
    /// What an asynchronous body came to.
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
