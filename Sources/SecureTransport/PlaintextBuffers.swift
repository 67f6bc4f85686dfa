internal import NIOCore

/// Buffers for plaintext; those of large reads are used again once whoever got them has let go of them.
///
/// The allocator returns large blocks to the kernel, which clears every page again when it is next touched: that was
/// 29 % of the event loop's time for a data stream. A read so small that no stream is under way lets go of all that is kept.
struct PlaintextBuffers {
    /// Reads from this size on belong to a data stream.
    private static let largeBytes = 128 * 1024
    /// Reads up to this size, alone, do not.
    private static let smallBytes = 1024
    /// As many large buffers as wait for the task, or are being written to a file.
    static let maximumKept = 12

    private var kept: [ByteBuffer] = []

    var keptCount: Int { kept.count }

    /// An empty buffer for a read of about `capacity` bytes.
    mutating func take(capacity: Int, allocator: ByteBufferAllocator) -> ByteBuffer {
        if capacity >= Self.largeBytes, !kept.isEmpty {
            let isFree: Void? = kept[0].modifyIfUniquelyOwned { $0.clear(minimumCapacity: capacity) }
            if isFree != nil { return kept.removeFirst() }
        } else if capacity <= Self.smallBytes, !kept.isEmpty {
            kept = []
        }
        return allocator.buffer(capacity: capacity)
    }

    /// Remembers a buffer that was taken and has been filled.
    mutating func keep(_ buffer: ByteBuffer) {
        guard buffer.readableBytes >= Self.largeBytes else { return }
        if kept.count == Self.maximumKept { kept.removeFirst() }
        kept.append(buffer)
    }
}
