import BenchmarkSupport
import CBenchmark
import Foundation
import Halibut

/// What both sides hold in memory while a large stream goes to a slow disk: nothing worth mentioning, or it would be
/// without bounds.
struct BackPressureFigures {
    private static let bytes = 10_000_000_000
    /// The disk's speed for the first of them.
    private static let slowBytesPerSecond = 100_000_000
    private static let slowBytes = 1_000_000_000
    /// Shared DESIGN.md 5.
    private static let budgetMegabytes = 8.0

    let stage: Stage

    func run() async throws {
        let file = try stage.makeSparseFile(bytes: Self.bytes)
        let small = try stage.makeFile(megabytes: 64)
        let service = try OtherSide(stage)
        defer { try? service.stop() }
        let client = try stage.makeClient()
        let endPoint = try stage.listening(Int(try service.ask(.listen)))
        // What a transfer of any size needs is there before we measure.
        try await client.upload(small.path, to: endPoint)
        try await client.download(small.path, from: endPoint)
        try await measure("upload", service) {
            try service.ask(.slowDisk(bytesPerSecond: Self.slowBytesPerSecond, bytes: Self.slowBytes))
            try await client.upload(file.path, to: endPoint)
        }
        try await measure("download", service) {
            benchmark_slow_disk(UInt64(Self.slowBytesPerSecond), UInt64(Self.slowBytes))
            try await client.download(file.path, from: endPoint)
        }
        await client.close()
    }

    private func measure(_ name: String, _ service: OtherSide, _ transfer: () async throws -> Void) async throws {
        try Usage.forgetPeak()
        try service.ask(.forgetPeak)
        let (near, far) = (try Usage.now(), try service.usage())
        let startedAt = ContinuousClock.now
        try await transfer()
        let took = (ContinuousClock.now - startedAt).seconds
        let (nearAfter, farAfter) = (try Usage.now(), try service.usage())
        let name = "\(name) of \(Self.bytes / 1_000_000_000) GB, slow disk"
        for (side, before, after) in [("client", near, nearAfter), ("service", far, farAfter)] {
            let growth = (after.peakKilobytes - before.residentKilobytes) / 1024
            Figure("\(name), growth of the \(side)", growth, "MB", against: "budget", Self.budgetMegabytes).report()
        }
        let slowSeconds = Double(Self.slowBytes / Self.slowBytesPerSecond)
        Figure(name, took, "s", against: "of it the slow disk", slowSeconds).report()
    }
}
