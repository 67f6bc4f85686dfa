internal import NIOCore

/// Plaintext that waits for a flush, for the end of the handshake, or for the channel to take more; in order.
struct PendingWrites {
    private struct Entry {
        var plaintext: ByteBuffer
        var promises: [EventLoopPromise<Void>]
    }

    /// A piece to encrypt; the promise is that of the writes that end with it.
    struct Chunk {
        var plaintext: ByteBuffer
        var promise: EventLoopPromise<Void>?
    }

    private var entries = CircularBuffer<Entry>(initialCapacity: 2)

    /// Queues a write; a small one joins the one before it, so that both share a record.
    mutating func append(_ plaintext: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        let joined = (entries.last?.plaintext.readableBytes ?? 0) + plaintext.readableBytes
        guard !entries.isEmpty, joined <= TLSSession.maximumRecordPlaintext else {
            entries.append(Entry(plaintext: plaintext, promises: promise.map { [$0] } ?? []))
            return
        }
        entries[entries.index(before: entries.endIndex)].plaintext.writeImmutableBuffer(plaintext)
        if let promise { entries[entries.index(before: entries.endIndex)].promises.append(promise) }
    }

    mutating func takeChunk(maximumBytes: Int) -> Chunk? {
        guard let first = entries.first else { return nil }
        if first.plaintext.readableBytes > maximumBytes {
            return entries[entries.startIndex].plaintext.readSlice(length: maximumBytes).map { Chunk(plaintext: $0) }
        }
        entries.removeFirst()
        return Chunk(plaintext: first.plaintext, promise: Self.combine(first.promises))
    }

    mutating func failAll(_ error: any Error) {
        while let entry = entries.popFirst() {
            for promise in entry.promises { promise.fail(error) }
        }
    }

    private static func combine(_ promises: [EventLoopPromise<Void>]) -> EventLoopPromise<Void>? {
        guard let first = promises.first else { return nil }
        for promise in promises.dropFirst() { first.futureResult.cascade(to: promise) }
        return first
    }
}
