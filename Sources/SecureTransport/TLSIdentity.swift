internal import COpenSSL

/// A certificate and its private key: who we are towards every peer.
public struct TLSIdentity: Sendable {
    /// The certificate's bytes.
    public let certificateDER: [UInt8]
    /// What peers know us by.
    public let thumbprint: Thumbprint
    /// The subject in .NET's spelling: `CN=Octopus Tentacle`.
    public let subject: String
    /// The signature algorithm by its .NET name: `sha256RSA`.
    package let signatureAlgorithm: String
    /// PKCS#8 DER; secret.
    let privateKeyDER: [UInt8]

    init(certificate: Certificate, key: PrivateKey) throws(OpenSSLError) {
        guard unsafe X509_check_private_key(certificate.x509, key.pkey) == 1 else {
            throw OpenSSLError("use the certificate: the private key belongs to another one")
        }
        guard
            let keyDER = unsafe MemoryBIO.bytes({
                unsafe i2d_PKCS8PrivateKey_bio($0, key.pkey, nil, nil, 0, nil, nil) == 1
            })
        else { throw OpenSSLError("encode the private key") }
        self.certificateDER = certificate.der
        self.thumbprint = Thumbprint(certificateDER: certificate.der)
        self.subject = certificate.subject
        self.signatureAlgorithm = certificate.signatureAlgorithm
        self.privateKeyDER = keyDER
    }

    /// Reads the first certificate and the first unencrypted private key of a PEM text, in either order.
    ///
    /// - Throws: ``OpenSSLError`` when one of the two is missing, unreadable, or does not belong to the other.
    public init(pem: String) throws(OpenSSLError) {
        let bytes = Array(pem.utf8)
        ERR_clear_error()
        let certificate = try unsafe MemoryBIO.reading(bytes) { (bio) throws(OpenSSLError) in
            guard let x509 = unsafe PEM_read_bio_X509(bio, nil, refusePassword, nil) else {
                throw OpenSSLError("find a certificate in the PEM text")
            }
            return unsafe Certificate(owning: x509)
        }
        let key = try unsafe MemoryBIO.reading(bytes) { (bio) throws(OpenSSLError) in
            guard let pkey = unsafe PEM_read_bio_PrivateKey(bio, nil, refusePassword, nil) else {
                throw OpenSSLError("find an unencrypted private key in the PEM text")
            }
            return unsafe PrivateKey(owning: pkey)
        }
        try self.init(certificate: certificate, key: key)
    }

    /// The certificate as PEM, followed by the private key (PKCS#8, unencrypted) when asked for.
    ///
    /// - Throws: ``OpenSSLError`` when libcrypto fails.
    public func pem(includingPrivateKey: Bool = false) throws(OpenSSLError) -> String {
        let certificate = try makeCertificate()
        let key = try makePrivateKey()
        let text = unsafe MemoryBIO.text { bio in
            guard unsafe PEM_write_bio_X509(bio, certificate.x509) == 1 else { return false }
            guard includingPrivateKey else { return true }
            return unsafe PEM_write_bio_PKCS8PrivateKey(bio, key.pkey, nil, nil, 0, nil, nil) == 1
        }
        guard let text else { throw OpenSSLError("write the certificate as PEM") }
        return text
    }

    /// Bits of the RSA key; nothing for a key of another kind, which real servers do not speak with.
    package func rsaKeyBits() throws(OpenSSLError) -> Int? {
        let key = try makePrivateKey()
        return unsafe EVP_PKEY_get_base_id(key.pkey) == EVP_PKEY_RSA ? Int(EVP_PKEY_get_bits(key.pkey)) : nil
    }

    func makeCertificate() throws(OpenSSLError) -> Certificate {
        ERR_clear_error()
        guard let certificate = Certificate(der: certificateDER) else { throw OpenSSLError("read the certificate") }
        return certificate
    }

    func makePrivateKey() throws(OpenSSLError) -> PrivateKey {
        ERR_clear_error()
        let parsed: OpaquePointer? = unsafe privateKeyDER.withUnsafeBufferPointer {
            var cursor = $0.baseAddress
            return unsafe d2i_AutoPrivateKey(nil, &cursor, $0.count)
        }
        guard let parsed = unsafe parsed else { throw OpenSSLError("read the private key") }
        return unsafe PrivateKey(owning: parsed)
    }
}

extension TLSIdentity: Hashable {
    public static func == (left: TLSIdentity, right: TLSIdentity) -> Bool {
        left.certificateDER == right.certificateDER
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(thumbprint) }
}

extension TLSIdentity: CustomStringConvertible {
    /// Names the certificate; the key never gets into a text by accident.
    public var description: String { "\(subject) (\(thumbprint))" }
}

/// Answers a request for a pass phrase with "none", instead of asking on the terminal.
private func refusePassword(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int32,
    _ writing: Int32,
    _ context: UnsafeMutableRawPointer?
) -> Int32 { 0 }
