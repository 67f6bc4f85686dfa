import BenchmarkSupport
import Foundation
import Halibut
import NIOPosix
import SecureTransport

/// How fast data streams are, from memory to a spool on disk, and what they cost.
///
/// Beside the same bytes over the same TLS code from memory to nowhere, beside that and writing as many bytes to a new
/// file one after the other, and beside openssl's own programs.
struct TransferFigures {
    enum Direction: String {
        case upload, download
    }

    private static let megabytes = 1024
    private static let rounds = 3

    let stage: Stage
    let direction: Direction

    /// Times and processor time of one way to transfer.
    private struct Measured {
        var best = Duration.seconds(1_000_000)
        var near = 0.0
        var far = 0.0

        var megabytesPerSecond: Double { TransferFigures.gigabytes * 1000 / best.seconds }
        /// Seconds of a processor per GB, at our end and at the other.
        var nearPerGigabyte: Double { near / Double(TransferFigures.rounds) / TransferFigures.gigabytes }
        var farPerGigabyte: Double { far / Double(TransferFigures.rounds) / TransferFigures.gigabytes }
    }

    private static let gigabytes = Double(megabytes) * 1_048_576 / 1_000_000_000

    func run() async throws {
        let file = try stage.makeFile(megabytes: Self.megabytes)
        defer { try? FileManager.default.removeItem(at: file) }
        let service = try OtherSide(stage)
        defer { try? service.stop() }
        let openssl = try OpenSSLServer(folder: stage.folder, identity: stage.service)
        let client = try stage.makeClient()
        let endPoint = try stage.listening(Int(try service.ask(.listen)))
        let bare = try await BareTLS.Connection(
            port: Int(try service.ask(.listenBare)),
            context: TLSContext(client: stage.client),
            group: MultiThreadedEventLoopGroup.singleton
        )
        try await client.echo(endPoint)
        var (ours, limit, writing, theirs) = (Measured(), Measured(), Measured(), Measured())
        for _ in 0..<Self.rounds {
            // Twice before ours: a virtual machine may pay dearly for memory that it has not used for a while.
            var unused = Measured()
            try measureWriting(&unused)
            try measureWriting(&writing)
            try await measure(&ours, service) {
                let startedAt = ContinuousClock.now
                switch direction {
                case .upload: try await client.upload(file.path, to: endPoint)
                case .download: try await client.download(file.path, from: endPoint)
                }
                return ContinuousClock.now - startedAt
            }
            try await measure(&limit, service) {
                switch direction {
                case .upload: try await bare.upload(bytes: Self.megabytes << 20)
                case .download: try await bare.download(bytes: Self.megabytes << 20)
                }
            }
            let before = Usage.cpuSecondsOfPrograms
            theirs.best = min(theirs.best, try openssl.measureTransfer(of: file))
            theirs.near += Usage.cpuSecondsOfPrograms - before
        }
        try await bare.close()
        await client.close()
        report(ours, limit, writing, theirs)
    }

    private func measure(
        _ measured: inout Measured,
        _ service: OtherSide,
        _ transfer: () async throws -> Duration
    ) async throws {
        let (near, far) = (try Usage.now(), try service.usage())
        measured.best = min(measured.best, try await transfer())
        measured.near += try Usage.now().cpuSeconds - near.cpuSeconds
        measured.far += try service.usage().cpuSeconds - far.cpuSeconds
    }

    /// What it costs to have the bytes in a file, by writing a buffer again and again.
    private func measureWriting(_ measured: inout Measured) throws {
        let file = stage.disk.appending(path: "written")
        let chunk = Data(repeating: 0x2a, count: 1 << 20)
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: file) }
        let handle = try FileHandle(forWritingTo: file)
        let (usage, startedAt) = (try Usage.now(), ContinuousClock.now)
        for _ in 0..<Self.megabytes { try handle.write(contentsOf: chunk) }
        measured.best = min(measured.best, ContinuousClock.now - startedAt)
        measured.near += try Usage.now().cpuSeconds - usage.cpuSeconds
        try handle.close()
    }

    private func report(_ ours: Measured, _ limit: Measured, _ writing: Measured, _ theirs: Measured) {
        let name = "\(direction) of \(Self.megabytes) MB"
        let (bare, openssl) = ("bare TLS, same code", "openssl s_client to s_server")
        let afterwards = 1 / (1 / limit.megabytesPerSecond + 1 / writing.megabytesPerSecond)
        let references = [
            (bare, limit.megabytesPerSecond), ("bare TLS, then a file", afterwards),
            (openssl, theirs.megabytesPerSecond),
        ]
        for (reference, value) in references {
            Figure("\(name), best of \(Self.rounds)", ours.megabytesPerSecond, "MB/s", against: reference, value)
                .report()
        }
        Figure("\(name), client's CPU", ours.nearPerGigabyte, "s/GB", against: bare, limit.nearPerGigabyte).report()
        Figure("\(name), service's CPU", ours.farPerGigabyte, "s/GB", against: bare, limit.farPerGigabyte).report()
        Figure("\(name), writing a file", writing.nearPerGigabyte, "s/GB", against: bare, limit.farPerGigabyte).report()
        let both = ours.nearPerGigabyte + ours.farPerGigabyte
        Figure("\(name), CPU of both sides", both, "s/GB", against: openssl, theirs.nearPerGigabyte).report()
        let slower = max(ours.nearPerGigabyte, ours.farPerGigabyte)
        Figure("\(name), one core a side", 1000 / slower, "MB/s", against: "budget", 500).report()
    }
}
