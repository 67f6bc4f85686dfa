internal import COpenSSL

extension TLSIdentity {
    /// How a PKCS#12 file is encrypted.
    public enum PKCS12Encryption: Sendable {
        /// PBES2 with AES-256, MAC with SHA-256: .NET 6 and later, FIPS hosts.
        case aes256
        /// 3DES with a SHA-1 based key, MAC with SHA-1: what .NET writes by default, for old agents.
        case tripleDES
    }

    /// As .NET and OpenSSL use for such files; the password is empty in our own use, so more would only cost time.
    private static let iterations: Int32 = 2048

    /// Reads a PKCS#12 file: any password including none, the old ciphers too, extra certificates are ignored.
    ///
    /// - Throws: ``OpenSSLError`` for a wrong password, another format, or a file without key and certificate.
    public init(pkcs12: [UInt8], password: String = "") throws(OpenSSLError) {
        let contents = try PKCS12Contents(pkcs12, password: password)
        guard let identity = contents.identity else {
            let missing = contents.hasPrivateKey ? "certificate of its key" : "private key"
            throw OpenSSLError("use the PKCS#12 file: it holds no \(missing)", reasons: [])
        }
        self = identity
    }

    /// Writes certificate and key as PKCS#12, with an empty password unless told otherwise (tentacle-cli.md 8.2).
    ///
    /// Nil is no password at all, from which the old ciphers and the MAC derive other keys than from an empty one.
    ///
    /// - Throws: ``OpenSSLError`` when libcrypto fails.
    public func pkcs12(
        password: String? = "",
        encryption: PKCS12Encryption = .aes256
    ) throws(OpenSSLError) -> [UInt8] {
        let certificate = try makeCertificate()
        let key = try makePrivateKey()
        let cipher = encryption == .aes256 ? NID_aes_256_cbc : NID_pbe_WithSHA1And3_Key_TripleDES_CBC
        // Without a digest of its own for the MAC: PKCS12_create would always take the library's default.
        guard
            let file = unsafe PKCS12_create(
                password,
                nil,
                key.pkey,
                certificate.x509,
                nil,
                cipher,
                cipher,
                Self.iterations,
                -1,
                0
            )
        else { throw OpenSSLError("make a PKCS#12 file") }
        defer { unsafe PKCS12_free(file) }
        let method = unsafe encryption == .aes256 ? EVP_sha256() : EVP_sha1()
        let sealed = unsafe PKCS12_set_mac(file, password, -1, nil, 0, Self.iterations, method) == 1
        guard sealed, let bytes = unsafe MemoryBIO.bytes({ unsafe i2d_PKCS12_bio($0, file) == 1 }) else {
            throw OpenSSLError("write a PKCS#12 file")
        }
        return bytes
    }
}

/// What is in a PKCS#12 file.
package struct PKCS12Contents: Sendable {
    /// The private key and its certificate, if the file holds both.
    package let identity: TLSIdentity?
    package let hasPrivateKey: Bool
    /// All certificates, that of the key included.
    package let certificateCount: Int

    /// Opens the file: any password including none, the old ciphers too.
    ///
    /// - Throws: ``OpenSSLError`` for a wrong password or another format.
    package init(_ bytes: [UInt8], password: String = "") throws(OpenSSLError) {
        ERR_clear_error()
        do {
            try self.init(parsing: bytes, password: password)
        } catch {
            // RC2-40, the customary cipher for the certificate in old files, is in a provider of its own. The default
            // one stays active beside it.
            guard let provider = unsafe OSSL_PROVIDER_try_load(nil, "legacy", 1) else {
                ERR_clear_error()
                throw error
            }
            defer { unsafe OSSL_PROVIDER_unload(provider) }
            guard let contents = try? Self(parsing: bytes, password: password) else {
                ERR_clear_error()
                throw error
            }
            self = contents
        }
    }

    private init(parsing bytes: [UInt8], password: String) throws(OpenSSLError) {
        let file = try unsafe MemoryBIO.reading(bytes) { (bio) throws(OpenSSLError) in
            guard let file = unsafe d2i_PKCS12_bio(bio, nil) else { throw OpenSSLError("read the PKCS#12 file") }
            return unsafe file
        }
        defer { unsafe PKCS12_free(file) }
        var pkey: OpaquePointer?
        var x509: OpaquePointer?
        var others: OpaquePointer?
        let hasMAC = unsafe PKCS12_mac_present(file) == 1
        // Only the MAC tells libcrypto which password is meant, the empty one or none: without one it takes none. A file
        // whose MAC is left out, which .NET reads as well, is tried without a password, and then gets a MAC of the given one.
        var isOpen = hasMAC || password.isEmpty
        isOpen = unsafe isOpen && PKCS12_parse(file, password, &pkey, &x509, &others) == 1
        if !isOpen, !hasMAC {
            isOpen = unsafe PKCS12_set_mac(file, password, -1, nil, 0, 1, EVP_sha256()) == 1
            isOpen = unsafe isOpen && PKCS12_parse(file, password, &pkey, &x509, &others) == 1
        }
        guard isOpen else { throw OpenSSLError("open the PKCS#12 file (is the password right?)") }
        defer { unsafe c_certificates_free(others) }
        let key = unsafe pkey.map { unsafe PrivateKey(owning: $0) }
        let certificate = unsafe x509.map { unsafe Certificate(owning: $0) }
        ERR_clear_error()
        self.hasPrivateKey = key != nil
        self.certificateCount = unsafe (certificate == nil ? 0 : 1) + max(0, Int(c_certificates_count(others)))
        if let key, let certificate {
            self.identity = try TLSIdentity(certificate: certificate, key: key)
        } else {
            self.identity = nil
        }
    }
}
