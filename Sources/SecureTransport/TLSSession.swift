internal import COpenSSL
package import NIOCore

/// What a finished handshake agreed on.
package struct TLSConnectionDetails: Sendable, Hashable {
    /// The peer's certificate; a listener's peer may have none.
    package var peer: PeerCertificate?
    /// `TLSv1.2` or `TLSv1.3`.
    package var protocolVersion: String
    /// The suite's OpenSSL name.
    package var cipher: String
}

/// One TLS connection without a socket: ciphertext in and out, plaintext in and out, no I/O and no clock.
///
/// Feed what the network brings, call the method that fits the phase, send what ``takeOutput()`` returns after each call.
/// Not `Sendable`: one event loop owns it.
@safe
package final class TLSSession {
    /// Result of ``advanceHandshake()``.
    package enum OnAdvanceHandshake: Equatable {
        case needsInput
        case established(TLSConnectionDetails)
        case failed(TLSError)
    }

    /// Result of ``read(into:)``; whatever the result, the buffer may have got bytes.
    package enum OnRead: Equatable {
        /// All ciphertext is consumed.
        case needsInput
        /// The peer said that it will send no more.
        case closedByPeer
        case failed(TLSError)
    }

    /// Plaintext that one record carries at most (RFC 8446 5.1).
    package static let maximumRecordPlaintext = 16_384
    /// More than what any cipher suite adds to a record: header, nonce, padding, authentication tag.
    private static let recordOverhead = 96

    private let context: TLSContext
    private let buffers = CiphertextBuffers()
    private let verifier: PeerVerifier
    private let ssl: OpaquePointer
    /// `CiphertextBuffers.consumedCount` at the end of the last record that was read.
    private var recordEnd = 0

    /// A session at its start.
    ///
    /// - Parameters:
    ///   - context: Role, identity, parameters.
    ///   - serverName: A dialler's name of its peer, sent unless it is an IP address; nil for a listener.
    ///   - verification: What is asked of the peer's certificate.
    /// - Throws: When libssl cannot set up a connection.
    package init(context: TLSContext, serverName: String?, verification: PeerVerification) throws(TLSError) {
        ERR_clear_error()
        guard let ssl = unsafe SSL_new(context.pointer) else { throw TLSError.draining(.setUpFailed) }
        self.context = context
        self.verifier = PeerVerifier(policy: verification)
        unsafe self.ssl = ssl
        guard let bio = unsafe buffers.makeBIO(method: context.bioMethod) else { throw TLSError.draining(.setUpFailed) }
        // One BIO for both directions: libssl takes over the single reference.
        unsafe SSL_set_bio(ssl, bio, bio)
        let registered = unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(verifier).toOpaque()) == 1
        guard registered else { throw TLSError.draining(.setUpFailed) }
        switch context.role {
        case .client:
            unsafe SSL_set_connect_state(ssl)
            if let name = serverName.flatMap(Self.serverNameIndication) {
                guard unsafe c_ssl_set_server_name(ssl, name) == 1 else { throw TLSError.draining(.setUpFailed) }
            }
        case .server: unsafe SSL_set_accept_state(ssl)
        }
    }

    deinit { unsafe SSL_free(ssl) }

    /// Takes ciphertext from the network.
    package func feed(_ ciphertext: ByteBuffer) { buffers.feed(ciphertext) }

    /// Ciphertext to send, if there is any.
    package func takeOutput() -> ByteBuffer? { buffers.takeOutput() }

    /// Upper bound of the plaintext in all that was fed and not yet read.
    package var unreadPlaintextBound: Int {
        // libssl asks for exactly one record's bytes: what it took since the last whole one is a part of the next.
        buffers.unreadCount + (buffers.consumedCount - recordEnd)
    }

    /// Goes on with the handshake as far as the bytes fed allow.
    package func advanceHandshake() -> OnAdvanceHandshake {
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(ssl)
        guard result != 1 else {
            recordEnd = buffers.consumedCount
            return .established(details)
        }
        guard unsafe SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ else { return .needsInput }
        guard let unexpected = verifier.unexpected else { return .failed(.draining(.handshakeFailed)) }
        ERR_clear_error()
        return .failed(TLSError(code: .unexpectedCertificate, unexpectedCertificate: unexpected))
    }

    /// Appends the plaintext of everything fed to `plaintext`.
    package func read(into plaintext: inout ByteBuffer) -> OnRead {
        ERR_clear_error()
        plaintext.reserveCapacity(minimumWritableBytes: unreadPlaintextBound)
        while true {
            if plaintext.writableBytes == 0 {
                plaintext.reserveCapacity(minimumWritableBytes: Self.maximumRecordPlaintext)
            }
            var result: Int32 = 0
            let ssl = unsafe self.ssl
            let count = unsafe plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { space in
                var count = 0
                result = unsafe SSL_read_ex(ssl, space.baseAddress, space.count, &count)
                return count
            }
            if result == 1, count > 0 {
                recordEnd = buffers.consumedCount
                continue
            }
            switch unsafe SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return .needsInput
            case SSL_ERROR_ZERO_RETURN: return .closedByPeer
            default: return .failed(.draining(.protocolViolation))
            }
        }
    }

    /// Turns plaintext into records.
    package func write(_ plaintext: ByteBuffer) -> TLSError? {
        guard plaintext.readableBytes > 0 else { return nil }
        ERR_clear_error()
        let records = plaintext.readableBytes / Self.maximumRecordPlaintext + 1
        buffers.reserveOutput(plaintext.readableBytes + records * Self.recordOverhead)
        var written = 0
        let ssl = unsafe self.ssl
        let result = unsafe plaintext.withUnsafeReadableBytes {
            unsafe SSL_write_ex(ssl, $0.baseAddress, $0.count, &written)
        }
        // The output always takes everything, and without partial writes success means all of it.
        guard result == 1, written == plaintext.readableBytes else { return .draining(.protocolViolation) }
        return nil
    }

    /// Says that nothing more will be sent.
    ///
    /// Its bytes are best effort: peers take an end without it for the same.
    package func closeOutput() {
        ERR_clear_error()
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
    }

    private var details: TLSConnectionDetails {
        let cipher = unsafe SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)).map { unsafe String(cString: $0) }
        let version = unsafe SSL_get_version(ssl).map { unsafe String(cString: $0) }
        return TLSConnectionDetails(
            peer: verifier.presented,
            protocolVersion: version ?? "",
            cipher: cipher ?? ""
        )
    }

    /// The host name to send, or nothing for an IP address (halibut.md 2.2).
    static func serverNameIndication(_ host: String) -> String? {
        var name = host[...]
        if name.hasPrefix("["), name.hasSuffix("]") { return nil }
        if name.hasSuffix(".") { name.removeLast() }
        let unscoped = name.prefix { $0 != "%" }
        let isAddress = (try? SocketAddress(ipAddress: String(unscoped), port: 0)) != nil
        // RFC 6066 3: at most 255 bytes of ASCII.
        guard !name.isEmpty, name.utf8.count <= 255, name.utf8.allSatisfy({ $0 < 0x80 }), !isAddress else { return nil }
        return String(name)
    }
}
