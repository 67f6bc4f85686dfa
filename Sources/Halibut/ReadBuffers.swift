import NIOCore

/// Sizes the buffers that a connection is read into: small while little comes, larger while data streams do.
///
/// NIO would keep the largest buffer that a connection ever needed, for as long as the connection lasts. An idle one shall
/// keep none. It offers no size of the next buffer and always says that the next one may be larger, so that NIO takes a
/// new buffer for each read and keeps none but the first; hence that one is small.
struct ReadBuffers: RecvByteBufferAllocator {
    private static let firstBytes = 512
    private static let smallestBytes = 4096
    /// What one read takes at most.
    static let largestBytes = 256 * 1024

    /// Of an accepted connection before we know who it is.
    static let unidentified = ReadBuffers(largestBytes: Self.smallestBytes)

    private let largestBytes: Int
    private var bytes = Self.firstBytes
    private var lastWasSmall = false

    init(largestBytes: Int = ReadBuffers.largestBytes) {
        self.largestBytes = largestBytes
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: self.bytes) }

    mutating func record(actualReadBytes count: Int) -> Bool {
        let isSmall = count <= self.bytes / 2
        if self.bytes < Self.smallestBytes {
            self.bytes = Self.smallestBytes
        } else if count >= self.bytes {
            self.bytes = min(self.bytes * 2, self.largestBytes)
        } else if isSmall, self.lastWasSmall {
            self.bytes = max(self.bytes / 2, Self.smallestBytes)
        }
        self.lastWasSmall = isSmall && !self.lastWasSmall
        return true
    }
}
