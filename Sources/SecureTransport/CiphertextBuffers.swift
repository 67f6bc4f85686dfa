internal import COpenSSL
internal import NIOCore

/// The two ends of a TLS session towards the network: what came in and is not yet consumed, and what is to go out.
///
/// A BIO of our own lets libssl read from and write to `ByteBuffer`s without a copy through a memory BIO.
final class CiphertextBuffers {
    private var incoming = ByteBuffer()
    private var outgoing = ByteBuffer()
    /// Bytes that libssl has taken since the session began; it takes exactly one record at a time.
    private(set) var consumedCount = 0

    var hasOutput: Bool { outgoing.readableBytes > 0 }
    var unreadCount: Int { incoming.readableBytes }

    func feed(_ ciphertext: ByteBuffer) {
        if incoming.readableBytes == 0 {
            incoming = ciphertext
        } else {
            incoming.writeImmutableBuffer(ciphertext)
        }
    }

    /// Makes room for `count` more bytes of output, so that records are written without growing the buffer.
    func reserveOutput(_ count: Int) { outgoing.reserveCapacity(minimumWritableBytes: count) }

    /// Everything written since the last call.
    func takeOutput() -> ByteBuffer? {
        guard hasOutput else { return nil }
        let taken = outgoing
        outgoing = ByteBuffer()
        return taken
    }

    /// Copies what is there, at most the size of `destination`; 0 when there is nothing.
    func read(into destination: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(destination.count, incoming.readableBytes)
        guard count > 0 else { return 0 }
        unsafe incoming.withUnsafeReadableBytes { source in
            unsafe destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: source.prefix(count)))
        }
        incoming.moveReaderIndex(forwardBy: count)
        consumedCount += count
        // Do not hold the network's buffer any longer than needed.
        if incoming.readableBytes == 0 { incoming = ByteBuffer() }
        return count
    }

    func write(_ source: UnsafeRawBufferPointer) { unsafe outgoing.writeBytes(source) }

    // MARK: The BIO

    private static let bioType = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK

    static func makeBIOMethod() -> OpaquePointer? {
        guard let method = unsafe BIO_meth_new(bioType, "ByteBuffer") else { return nil }
        unsafe BIO_meth_set_read(method, readCiphertext)
        unsafe BIO_meth_set_write(method, writeCiphertext)
        unsafe BIO_meth_set_ctrl(method, controlCiphertext)
        return unsafe method
    }

    /// A BIO over these buffers, which must outlive it.
    func makeBIO(method: OpaquePointer) -> OpaquePointer? {
        guard let bio = unsafe BIO_new(method) else { return nil }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }
}

private func buffers(of bio: OpaquePointer?) -> CiphertextBuffers? {
    unsafe BIO_get_data(bio).map { unsafe Unmanaged<CiphertextBuffers>.fromOpaque($0).takeUnretainedValue() }
}

private func readCiphertext(_ bio: OpaquePointer?, _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
    guard let bio = unsafe bio, let bytes = unsafe bytes, let buffers = unsafe buffers(of: bio) else { return -1 }
    unsafe c_bio_clear_retry_flags(bio)
    let copied = unsafe buffers.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: Int(max(0, count))))
    guard copied > 0 else {
        unsafe c_bio_set_retry_read(bio)
        return -1
    }
    return Int32(copied)
}

private func writeCiphertext(_ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
    guard let bio = unsafe bio, let bytes = unsafe bytes, let buffers = unsafe buffers(of: bio) else { return -1 }
    unsafe c_bio_clear_retry_flags(bio)
    unsafe buffers.write(UnsafeRawBufferPointer(start: bytes, count: Int(max(0, count))))
    return count
}

private func controlCiphertext(
    _ bio: OpaquePointer?,
    _ command: Int32,
    _ number: Int,
    _ pointer: UnsafeMutableRawPointer?
) -> Int {
    command == BIO_CTRL_FLUSH ? 1 : 0
}
