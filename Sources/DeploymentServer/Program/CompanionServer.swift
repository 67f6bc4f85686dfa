import Foundation
import Halibut
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import SecureTransport
import ServerDomain
import ServerStore
import ServiceLifecycle
import Synchronization

/// The whole server, put together; `run` returns when it has been told to stop.
package struct CompanionServer: Service {
    /// A connection on which no request is under way may stay open this long.
    private static let idleTimeout = TimeAmount.seconds(30)

    private let configuration: ServerConfiguration
    private let logger: Logger

    package init(_ configuration: ServerConfiguration, logger: Logger) {
        (self.configuration, self.logger) = (configuration, logger)
    }

    /// Runs until graceful shutdown.
    package func run() async throws {
        let data = try DataDirectory(path: configuration.dataDirectory)
        let identity = try Self.identity(in: data)
        let store = try Store(path: data.file("server.sqlite"))
        try await FirstStart.prepare(store) { try data.writeSecret($0 + "\n", to: FirstStart.keyFile) }
        if let file = configuration.adminPasswordFile { try await AdminPassword.apply(file: file, to: store) }
        let gateway = try HalibutGateway(identity: identity, logger: logger)
        await gateway.rosterChanged(to: try await store.write { try $0.roster() })
        let runner = TaskRunner(store: store, gateway: gateway, logger: logger)
        // Before the API answers: nobody may see a task of an earlier run as executing.
        try await runner.failInterruptedTasks()
        let services = ServerServices(
            store: store,
            runner: runner,
            agents: gateway,
            identity: ServerCertificate(
                thumbprint: identity.thumbprint.description,
                signatureAlgorithm: identity.signatureAlgorithm,
                der: identity.certificateDER
            ),
            installationID: try await FirstStart.installationID(store)
        )
        let listener = gateway.makeListener(
            host: configuration.polling.host == "0.0.0.0" ? nil : configuration.polling.host,
            port: configuration.polling.port,
            identity: identity,
            logger: logger
        )
        let announcement = Announcement(
            configuration: configuration,
            thumbprint: identity.thumbprint.description,
            keyFile: data.file(FirstStart.keyFile),
            logger: logger
        )
        let http = try Self.application(services, configuration, listener, logger) { channel in
            await announcement.httpIsUp(port: channel.localAddress?.port ?? 0)
        }
        try await group([
            PollingPort(listener: listener, announcement: announcement), runner, http,
        ]).run()
        await gateway.close()
        try store.close()
        withExtendedLifetime(data) {}
    }

    private func group(_ services: [any Service]) -> ServiceGroup {
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) },
            logger: logger
        )
        configuration.maximumGracefulShutdownDuration = .seconds(10)
        return ServiceGroup(configuration: configuration)
    }

    private static func identity(in data: DataDirectory) throws -> TLSIdentity {
        let name = "server-identity.pem"
        if let pem = try data.read(name) {
            do { return try TLSIdentity(pem: pem) } catch {
                throw ServerStartError(
                    "The server's certificate \(data.file(name)) cannot be read: \(error). Restore it from a backup."
                )
            }
        }
        let identity = try TLSIdentity.generate(commonName: "Octopus Server")
        try data.writeSecret(try identity.pem(includingPrivateKey: true), to: name)
        return identity
    }

    private static func application(
        _ services: ServerServices,
        _ configuration: ServerConfiguration,
        _ listener: HalibutListener,
        _ logger: Logger,
        onRunning: @escaping @Sendable @concurrent (any NIOCore.Channel) async -> Void
    ) throws -> HTTPService {
        let entrance = try HTTPEntrance(services: services, logger: logger)
        var quiet = logger
        quiet.logLevel = max(.notice, logger.logLevel)
        return HTTPService(
            application: Application(
                responder: CallbackResponder { request, _ in await entrance.respond(to: request) },
                server: .http1(configuration: HTTP1Channel.Configuration(idleTimeout: idleTimeout)),
                configuration: ApplicationConfiguration(
                    address: .hostname(configuration.http.host, port: configuration.http.port),
                    serverName: nil
                ),
                onServerRunning: onRunning,
                logger: quiet
            ),
            address: configuration.http,
            listener: listener
        )
    }
}

/// Hummingbird's application, with errors an operator can act on.
private struct HTTPService: Service {
    let application: Application<CallbackResponder<BasicRequestContext>>
    let address: ServerConfiguration.Address
    let listener: HalibutListener

    func run() async throws {
        // Agents register over HTTP and poll at once: that port has to be open first.
        guard (try? await listener.boundPort) != nil else { return try await gracefulShutdown() }
        do { try await application.run() } catch is CancellationError {
            return
        } catch {
            let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw ServerStartError(
                """
                Cannot listen for HTTP on \(address.urlHost):\(address.port): \(reason). \
                Give another address with --http.
                """
            )
        }
    }
}

/// The port for polling agents.
private struct PollingPort: Service {
    let listener: HalibutListener
    let announcement: Announcement

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await cancelWhenGracefulShutdown { try await listener.run() }
                } catch let error as HalibutError {
                    throw ServerStartError("\(error.message) Give another address for polling agents with --polling.")
                } catch is CancellationError {
                    return
                }
            }
            group.addTask {
                guard let port = try? await listener.boundPort else { return }
                await announcement.pollingIsUp(port: port)
            }
            try await group.waitForAll()
        }
    }
}

/// Says that the server is ready, once both ports are open.
private actor Announcement {
    private let configuration: ServerConfiguration
    private let thumbprint: String
    private let keyFile: String
    private let logger: Logger
    private var httpPort: Int?
    private var pollingPort: Int?

    init(configuration: ServerConfiguration, thumbprint: String, keyFile: String, logger: Logger) {
        (self.configuration, self.thumbprint) = (configuration, thumbprint)
        (self.keyFile, self.logger) = (keyFile, logger)
    }

    func httpIsUp(port: Int) {
        httpPort = port
        announce()
    }

    func pollingIsUp(port: Int) {
        pollingPort = port
        announce()
    }

    private func announce() {
        guard let httpPort, let pollingPort else { return }
        let host = ["0.0.0.0", "::"].contains(configuration.http.host) ? "127.0.0.1" : configuration.http.urlHost
        let url = "http://\(host):\(httpPort)"
        let ready: JSONValue = [
            "httpUrl": .string(url), "pollingPort": .integer(Int64(pollingPort)), "thumbprint": .string(thumbprint),
            "apiKeyFile": .string(keyFile), "processId": .integer(Int64(ProcessInfo.processInfo.processIdentifier)),
        ]
        let line = String(decoding: ready.serialized(), as: UTF8.self)
        logger.info("Ready.", metadata: ["ready": "\(line)"])
        guard let path = configuration.readyFile else { return }
        do { try SafeFile.write(line + "\n", to: path, mode: 0o644) } catch {
            logger.error("\(error)")
        }
    }
}
