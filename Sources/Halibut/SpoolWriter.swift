import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Writes received content to its file: small streams at once, large ones in batches on the thread pool, so that
/// receiving and writing overlap and neither an event loop nor the concurrency pool waits for a disk.
final class SpoolWriter {
    /// Bytes per batch; two batches are in memory at most, one being filled and one being written.
    static let batchBytes = 1024 * 1024
    /// Content up to this size skips the thread pool: the concurrency pool is quicker at hand.
    private static let inlineBytes = 64 * 1024

    private let file: SpoolFile
    private let eventLoop: any EventLoop
    private var batch: [ByteBuffer] = []
    private var batchedBytes = 0
    private var underWay: EventLoopFuture<Void>?

    init(file: SpoolFile, eventLoop: any EventLoop) {
        self.file = file
        self.eventLoop = eventLoop
    }

    func append(_ bytes: ByteBuffer) async throws {
        var bytes = bytes
        // Whole batches exactly, so that the kernel fills large pages of its cache: half the time of odd sizes.
        while let part = bytes.readSlice(length: Self.batchBytes - self.batchedBytes) {
            self.batch.append(part)
            self.batchedBytes = Self.batchBytes
            try await self.startBatch()
        }
        guard bytes.readableBytes > 0 else { return }
        self.batch.append(bytes)
        self.batchedBytes += bytes.readableBytes
    }

    /// Waits until everything is written and closes the file.
    func finish() async throws {
        if self.underWay == nil, self.batchedBytes <= Self.inlineBytes {
            let (batch, file) = (self.batch, self.file)
            try await offLoop { try file.append(batch) }
        } else {
            try await self.startBatch()
            try await self.underWay?.get()
        }
        self.file.finishWriting()
    }

    private func startBatch() async throws {
        try await self.underWay?.get()
        let (batch, file) = (self.batch, self.file)
        self.batch = []
        self.batchedBytes = 0
        self.underWay = NIOThreadPool.singleton.runIfActive(eventLoop: self.eventLoop) {
            try file.append(batch)
        }
    }
}

/// Reads a file that goes out, one chunk ahead, on the thread pool.
final class SpoolReader {
    static let chunkBytes = 256 * 1024

    /// Bytes read so far; less than announced when the file shrank.
    private(set) var bytesRead: Int64 = 0
    private let descriptor: CInt
    private let path: String
    private let length: Int64
    private let eventLoop: any EventLoop
    private var offset: Int64 = 0
    private var underWay: EventLoopFuture<ByteBuffer>?

    init(path: String, length: Int64, eventLoop: any EventLoop) throws(HalibutError) {
        self.descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard self.descriptor >= 0 else { throw .file("read", path, errno) }
        self.path = path
        self.length = length
        self.eventLoop = eventLoop
    }

    deinit {
        // A read still under way owns the descriptor until it is done.
        let descriptor = self.descriptor
        if let underWay {
            underWay.whenComplete { _ in closeDescriptor(descriptor) }
        } else {
            closeDescriptor(descriptor)
        }
    }

    /// The next chunk, or `nil` at the announced length or the end of the file.
    func next() async throws -> ByteBuffer? {
        if self.underWay == nil { self.readAhead() }
        guard let underWay = self.underWay else { return nil }
        let chunk = try await underWay.get()
        self.underWay = nil
        guard chunk.readableBytes > 0 else { return nil }
        self.bytesRead += Int64(chunk.readableBytes)
        self.offset = self.bytesRead
        self.readAhead()
        return chunk
    }

    private func readAhead() {
        let count = Int(min(self.length - self.offset, Int64(Self.chunkBytes)))
        guard count > 0 else { return }
        let (descriptor, offset, path) = (self.descriptor, self.offset, self.path)
        self.underWay = NIOThreadPool.singleton.runIfActive(eventLoop: self.eventLoop) {
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            var failure: CInt = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
                while true {
                    let result = pread(descriptor, target.baseAddress, count, off_t(offset))
                    if result < 0, errno == EINTR { continue }
                    failure = result < 0 ? errno : 0
                    return max(result, 0)
                }
            }
            guard failure == 0 else { throw HalibutError.file("read", path, failure) }
            return buffer
        }
    }
}

private func closeDescriptor(_ descriptor: CInt) { close(descriptor) }
