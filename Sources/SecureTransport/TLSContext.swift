internal import COpenSSL

/// Protocol versions that we speak.
package enum TLSVersion: Int32, Sendable, Comparable, CaseIterable {
    case tls12 = 0x0303
    case tls13 = 0x0304

    package static func < (left: TLSVersion, right: TLSVersion) -> Bool { left.rawValue < right.rawValue }
}

/// What a peer's certificate must be for the handshake to succeed; no other property of it is ever looked at.
package enum PeerVerification: Sendable, Hashable {
    /// Any certificate or none: listeners, who decide after the opening line, and discovery (halibut.md 2.3, 2.6).
    case any
    /// This one; without a thumbprint every certificate is wrong.
    case thumbprint(Thumbprint?)
    /// One of these: a listener that is about to change its certificate.
    case anyOf(Set<Thumbprint>)
}

/// The parameters that all connections of one role and identity share; immutable once made.
///
/// `@unchecked`: libssl allows any number of threads to make connections from one `SSL_CTX` that nobody changes.
@safe
package final class TLSContext: @unchecked Sendable {
    enum Role {
        case client
        case server
    }

    /// For TLS 1.2: forward-secret AEAD suites first; the others are for old .NET hosts (halibut.md 2.2).
    private static let cipherList =
        "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS"

    let role: Role
    let pointer: OpaquePointer
    let bioMethod: OpaquePointer

    /// A dialler's parameters; without an identity it shows no certificate (discovery).
    package convenience init(
        client identity: TLSIdentity?,
        versions: ClosedRange<TLSVersion> = .tls12 ... .tls13
    ) throws(OpenSSLError) {
        try self.init(role: .client, identity: identity, versions: versions)
    }

    /// A listener's parameters.
    package convenience init(
        server identity: TLSIdentity,
        versions: ClosedRange<TLSVersion> = .tls12 ... .tls13
    ) throws(OpenSSLError) {
        try self.init(role: .server, identity: identity, versions: versions)
    }

    private init(role: Role, identity: TLSIdentity?, versions: ClosedRange<TLSVersion>) throws(OpenSSLError) {
        ERR_clear_error()
        guard let pointer = unsafe SSL_CTX_new(role == .client ? TLS_client_method() : TLS_server_method()) else {
            throw OpenSSLError("set up TLS")
        }
        guard let bioMethod = unsafe CiphertextBuffers.makeBIOMethod() else {
            unsafe SSL_CTX_free(pointer)
            throw OpenSSLError("set up TLS")
        }
        self.role = role
        unsafe self.pointer = pointer
        unsafe self.bioMethod = bioMethod
        try configure(versions: versions)
        if let identity { try use(identity) }
    }

    deinit {
        unsafe SSL_CTX_free(pointer)
        unsafe BIO_meth_free(bioMethod)
    }

    private func configure(versions: ClosedRange<TLSVersion>) throws(OpenSSLError) {
        // Old installations carry SHA-1 signatures and small keys, and trust does not rest on either (halibut.md 2.4).
        unsafe SSL_CTX_set_security_level(pointer, 0)
        _ = unsafe SSL_CTX_set_options(pointer, c_ssl_options)
        _ = unsafe c_ssl_ctx_set_mode(pointer, c_ssl_modes)
        // A resumed session may lack the peer's certificate: no cache, no tickets.
        _ = unsafe c_ssl_ctx_disable_session_cache(pointer)
        guard
            unsafe SSL_CTX_set_num_tickets(pointer, 0) == 1,
            unsafe SSL_CTX_set_cipher_list(pointer, Self.cipherList) == 1,
            unsafe c_ssl_ctx_set_minimum_version(pointer, versions.lowerBound.rawValue) == 1,
            unsafe c_ssl_ctx_set_maximum_version(pointer, versions.upperBound.rawValue) == 1
        else { throw OpenSSLError("set up TLS") }
        // The listener asks for a certificate and is content with none; the callback replaces all of libssl's checks.
        unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        unsafe SSL_CTX_set_cert_verify_callback(pointer, verifyPeerCertificate, nil)
    }

    private func use(_ identity: TLSIdentity) throws(OpenSSLError) {
        let certificate = try identity.makeCertificate()
        let key = try identity.makePrivateKey()
        guard
            unsafe SSL_CTX_use_certificate(pointer, certificate.x509) == 1,
            unsafe SSL_CTX_use_PrivateKey(pointer, key.pkey) == 1
        else { throw OpenSSLError("use the certificate \(identity.thumbprint) for TLS") }
    }
}

/// Decides about a peer's certificate inside the handshake, and remembers it.
final class PeerVerifier {
    let policy: PeerVerification
    private(set) var presented: PeerCertificate?
    private(set) var unexpected: UnexpectedCertificate?

    init(policy: PeerVerification) { self.policy = policy }

    func accepts(_ certificate: PeerCertificate) -> Bool {
        presented = certificate
        switch policy {
        case .any: return true
        case .thumbprint(let expected):
            if expected == certificate.thumbprint { return true }
            unexpected = UnexpectedCertificate(expected: expected, actual: certificate)
        case .anyOf(let expected):
            if expected.contains(certificate.thumbprint) { return true }
            let first = expected.min { $0.description < $1.description }
            unexpected = UnexpectedCertificate(expected: first, actual: certificate)
        }
        return false
    }
}

/// Called by libssl in place of its chain verification; 1 means accepted.
private func verifyPeerCertificate(_ store: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> Int32 {
    guard
        let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let verifier = unsafe SSL_get_ex_data(OpaquePointer(ssl), 0),
        let x509 = unsafe X509_STORE_CTX_get0_cert(store)
    else { return 0 }
    let certificate = PeerCertificate(der: unsafe Certificate.der(of: x509))
    guard unsafe Unmanaged<PeerVerifier>.fromOpaque(verifier).takeUnretainedValue().accepts(certificate) else {
        unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
        return 0
    }
    unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
    return 1
}
