import FoundationEssentials
import NIOCore
import NIOPosix
import Testing

@testable import Halibut

@Suite("Writing to the spool", .timeLimit(.minutes(4)))
struct SpoolWriterTests {
    /// Below what skips the thread pool; more buffers than go into one system call; over several batches, at odd sizes; one
    /// buffer of several batches; exactly one batch; nothing.
    @Test(
        "the file has the bytes in order, however they come",
        arguments: [
            [1, 100, 30_000], Array(repeating: 1000, count: 100), Array(repeating: 99_991, count: 50),
            [3 * SpoolWriter.batchBytes + 17], [SpoolWriter.batchBytes], [],
        ]
    )
    func bytes(sizes: [Int]) async throws {
        let length = sizes.reduce(0, +)
        let file = try await SpoolDirectory().makeFile(id: UUID(), length: Int64(length))
        let writer = SpoolWriter(file: file, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
        var written: [UInt8] = []
        for (number, size) in sizes.enumerated() {
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number + 1), count: size)
            written += bytes
            try await writer.append(ByteBuffer(bytes: bytes))
        }
        try await writer.finish()
        #expect(FileSize.ofFile(at: file.path) == Int64(length))
        #expect(try file.readAll(count: length) == written)
    }
}
