import BenchmarkSupport
import Foundation
import Halibut
import HalibutProtocol
import Logging
import SecureTransport

/// What both sides share: a folder in memory, one on disk for the spools, and a certificate for each.
struct Stage {
    let folder: URL
    let disk: URL
    let client: TLSIdentity
    let service: TLSIdentity

    /// A new stage.
    init() throws {
        let memory = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        folder = URL(fileURLWithPath: "\(memory)/halibut-bench-\(UUID().uuidString)")
        disk = Self.disk(for: folder)
        for folder in [folder, disk] {
            try FileManager.default.createDirectory(
                at: folder,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        }
        client = try .generate(commonName: "Client")
        service = try .generate(commonName: "Service")
        for (name, identity) in [("client", client), ("service", service)] {
            let pem = try identity.pem(includingPrivateKey: true)
            try pem.write(to: folder.appending(path: name), atomically: false, encoding: .utf8)
        }
    }

    /// The stage that another process has set up.
    init(existing folder: URL) throws {
        self.folder = folder
        disk = Self.disk(for: folder)
        client = try TLSIdentity(pem: String(contentsOf: folder.appending(path: "client"), encoding: .utf8))
        service = try TLSIdentity(pem: String(contentsOf: folder.appending(path: "service"), encoding: .utf8))
    }

    /// Named after the folder in memory, so that the other side finds it.
    private static func disk(for folder: URL) -> URL {
        URL(fileURLWithPath: "/var/tmp/\(folder.lastPathComponent)")
    }

    func remove() {
        for folder in [folder, disk] { try? FileManager.default.removeItem(at: folder) }
    }

    func configuration(_ limits: HalibutLimits = HalibutLimits()) -> HalibutConfiguration {
        HalibutConfiguration(
            limits: limits,
            spool: SpoolDirectory(parent: disk.path),
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// A file of random bytes in memory.
    func makeFile(megabytes: Int) throws -> URL {
        let file = folder.appending(path: "\(megabytes) MB")
        try Tool.run("/bin/dd", ["if=/dev/urandom", "of=\(file.path)", "bs=1M", "count=\(megabytes)"])
        return file
    }

    /// A file without content, which takes no memory.
    func makeSparseFile(bytes: Int) throws -> URL {
        let file = folder.appending(path: "sparse")
        try Tool.run("/usr/bin/truncate", ["--size=\(bytes)", file.path])
        return file
    }

    func makeClient() throws -> HalibutClient {
        try HalibutClient(identity: client, configuration: configuration())
    }

    func listening(_ port: Int) throws -> ServiceEndPoint {
        try ServiceEndPoint("https://127.0.0.1:\(port)/", remoteThumbprint: service.thumbprint)
    }

    func polling(_ number: Int = 0) throws -> ServiceEndPoint {
        try ServiceEndPoint(Self.subscription(number), remoteThumbprint: service.thumbprint)
    }

    static func subscription(_ number: Int) -> String { "poll://bench-\(number)/" }

    func makePollingListener(_ client: HalibutClient, trust: TrustedPeers) -> HalibutListener {
        HalibutListener(
            host: "127.0.0.1",
            port: 0,
            identity: self.client,
            trust: trust,
            pollingQueues: client.pollingQueues,
            configuration: configuration()
        )
    }

    func makePollingService(
        _ number: Int = 0,
        port: Int,
        limits: HalibutLimits = HalibutLimits(),
        dispatcher: BenchService = BenchService()
    ) throws -> PollingService {
        try PollingService(
            subscription: Self.subscription(number),
            server: ServiceEndPoint("https://127.0.0.1:\(port)/", remoteThumbprint: client.thumbprint),
            identity: service,
            dispatcher: dispatcher,
            configuration: configuration(limits)
        )
    }
}
