internal import CZlib
internal import NIOCore
internal import Synchronization

/// Raw RFC 1951 inflation that stops at the final block and leaves what follows in the input (halibut.md 5.3).
///
/// One owning class per `z_stream`: zlib keeps a pointer to the stream inside its own state, so it must not move. The
/// memory lives exactly as long as the class, and input and output pointers only during one call: that makes it safe.
///
/// `@unchecked`: one owner at a time; ``IdleZlib`` hands it on under its lock.
@safe final class RawInflater: @unchecked Sendable {
    private let stream: UnsafeMutablePointer<z_stream>
    private var ready = false

    init() {
        unsafe self.stream = .allocate(capacity: 1)
        unsafe self.stream.initialize(to: z_stream())
    }

    deinit {
        if self.ready { unsafe inflateEnd(self.stream) }
        unsafe self.stream.deallocate()
    }

    /// Forgets everything seen so far; zlib's window is kept.
    func reset() throws(WireError) {
        if self.ready {
            guard unsafe inflateReset(self.stream) == Z_OK else { throw .invalidMessage("zlib could not be reset.") }
            return
        }
        let size = Int32(unsafe MemoryLayout<z_stream>.size)
        let status = unsafe inflateInit2_(self.stream, -MAX_WBITS, ZLIB_VERSION, size)
        guard status == Z_OK else { throw .invalidMessage("zlib could not be started (\(status)).") }
        self.ready = true
    }

    /// Inflates from the front of `input` to the end of `output`, at most `limit` bytes of it.
    ///
    /// Returns whether the final block is complete.
    func inflate(_ input: inout ByteBuffer, into output: inout ByteBuffer, limit: Int) throws(WireError) -> Bool {
        let stream = unsafe self.stream
        var status = Z_OK
        var produced = 0
        let available = min(input.readableBytes, Int(UInt32.max) / 2)
        let room = min(max(4 * available, 4096), 1024 * 1024, limit)
        _ = unsafe input.readWithUnsafeMutableReadableBytes { source in
            unsafe stream.pointee.next_in = source.bindMemory(to: UInt8.self).baseAddress
            unsafe stream.pointee.avail_in = UInt32(available)
            produced = unsafe output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                let count = min(target.count, room)
                unsafe stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
                unsafe stream.pointee.avail_out = UInt32(count)
                status = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
                return count - Int(unsafe stream.pointee.avail_out)
            }
            let consumed = available - Int(unsafe stream.pointee.avail_in)
            unsafe stream.pointee.next_in = nil
            unsafe stream.pointee.next_out = nil
            return consumed
        }
        switch status {
        case Z_STREAM_END: return true
        case Z_OK: return false
        // No progress is possible: all input is used and no output pending.
        case Z_BUF_ERROR where produced == 0: return false
        default: throw .invalidMessage("The message is not a valid deflate stream (zlib \(status)).")
        }
    }
}

/// A message as one stored block of RFC 1951, which is a deflate stream as good as any.
///
///     offset  size  field
///     0       1     01: final block, stored
///     1       2     length, little-endian
///     3       2     its complement
///     5       …     the bytes
enum StoredBlock {
    /// Messages up to this size are not compressed: they fit one TCP segment either way, and compressing and
    /// decompressing them would take longer than all the rest of a small call's encoding.
    static let maximumBytes = 1024

    static let headBytes = 5

    /// Writes the head and as many bytes as `body` fills, which is all that it is given.
    static func write(
        byteCount: Int,
        to output: inout ByteBuffer,
        _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let length = UInt16(byteCount)
        output.reserveCapacity(minimumWritableBytes: Self.headBytes + byteCount)
        output.writeInteger(UInt8(0x01))
        output.writeInteger(length, endianness: .little)
        output.writeInteger(~length, endianness: .little)
        unsafe output.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount) { target in
            unsafe body(UnsafeMutableRawBufferPointer(rebasing: target[..<byteCount]))
            return byteCount
        }
    }

    /// Takes the bytes of a whole block off the input; `nil`, and nothing taken, when another kind of block follows, or
    /// not all of it, or one that we would not have written.
    static func read(from input: inout ByteBuffer) -> ByteBuffer? {
        guard
            let (head, length, complement) = input.peekMultipleIntegers(
                endianness: .little,
                as: (UInt8, UInt16, UInt16).self
            ),
            head == 0x01, complement == ~length, length <= Self.maximumBytes,
            let block = input.getSlice(at: input.readerIndex + Self.headBytes, length: Int(length))
        else { return nil }
        input.moveReaderIndex(forwardBy: Self.headBytes + Int(length))
        return block
    }
}

/// Raw RFC 1951 deflation of a whole message, level 6: one stream, finished once, never flushed (halibut.md 5.2).
///
/// Memory and `@unchecked` as in ``RawInflater``.
@safe final class RawDeflater: @unchecked Sendable {
    private let stream: UnsafeMutablePointer<z_stream>
    private var ready = false

    init() {
        unsafe self.stream = .allocate(capacity: 1)
        unsafe self.stream.initialize(to: z_stream())
    }

    deinit {
        if self.ready { unsafe deflateEnd(self.stream) }
        unsafe self.stream.deallocate()
    }

    /// Appends the compressed form of `bytes`.
    func deflate(_ bytes: [UInt8], into output: inout ByteBuffer) throws(WireError) {
        try self.reset()
        guard bytes.count <= Int(UInt32.max) else { throw .limit("A message of \(bytes.count) bytes is too large.") }
        let stream = unsafe self.stream
        let bound = Int(unsafe deflateBound(stream, UInt(bytes.count)))
        var status = Z_OK
        // zlib declares the input pointer as not const, but does not write through it.
        unsafe bytes.withUnsafeBufferPointer { source in
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(source.count)
            _ = unsafe output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
                unsafe stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
                unsafe stream.pointee.avail_out = UInt32(min(target.count, Int(UInt32.max)))
                let room = Int(unsafe stream.pointee.avail_out)
                status = unsafe CZlib.deflate(stream, Z_FINISH)
                return room - Int(unsafe stream.pointee.avail_out)
            }
            unsafe stream.pointee.next_in = nil
            unsafe stream.pointee.next_out = nil
        }
        guard status == Z_STREAM_END else { throw .invalidMessage("zlib could not compress the message (\(status)).") }
    }

    private func reset() throws(WireError) {
        if self.ready {
            guard unsafe deflateReset(self.stream) == Z_OK else { throw .invalidMessage("zlib could not be reset.") }
            return
        }
        let size = Int32(unsafe MemoryLayout<z_stream>.size)
        let status = unsafe deflateInit2_(
            self.stream,
            6,
            Z_DEFLATED,
            -MAX_WBITS,
            8,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            size
        )
        guard status == Z_OK else { throw .invalidMessage("zlib could not be started (\(status)).") }
        self.ready = true
    }
}

/// Compressors and decompressors that nobody uses at the moment.
///
/// One deflater takes 260 KB and one inflater 40 KB. Connections hold one only while a message passes, so that ten
/// thousand idle ones cost nothing, and a call does not pay for setting one up.
enum IdleZlib {
    /// More than this many are freed: that many messages at the same time are rare.
    private static let maximumCount = 8
    private static let inflaters = Mutex<[RawInflater]>([])
    private static let deflaters = Mutex<[RawDeflater]>([])

    static func takeInflater() -> RawInflater { self.inflaters.withLock { $0.popLast() } ?? RawInflater() }

    static func giveBack(_ inflater: RawInflater) {
        self.inflaters.withLock { if $0.count < Self.maximumCount { $0.append(inflater) } }
    }

    static func takeDeflater() -> RawDeflater { self.deflaters.withLock { $0.popLast() } ?? RawDeflater() }

    static func giveBack(_ deflater: RawDeflater) {
        self.deflaters.withLock { if $0.count < Self.maximumCount { $0.append(deflater) } }
    }
}
