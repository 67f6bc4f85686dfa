internal import COpenSSL

/// The certificate that the other side showed; nothing in it is checked, trust compares ``thumbprint`` only.
package struct PeerCertificate: Sendable, Hashable {
    package let thumbprint: Thumbprint
    /// The subject in .NET's spelling, empty when it cannot be read.
    package let subject: String

    /// Takes a certificate's DER as received, and does not keep it: each idle connection would.
    package init(der: [UInt8]) {
        self.thumbprint = Thumbprint(certificateDER: der)
        self.subject = Certificate(der: der)?.subject ?? ""
    }
}

/// Owns one `X509`.
@safe
final class Certificate {
    let x509: OpaquePointer

    /// Takes over a reference.
    init(owning x509: OpaquePointer) { unsafe self.x509 = x509 }

    init?(der: [UInt8]) {
        let parsed: OpaquePointer? = unsafe der.withUnsafeBufferPointer {
            var cursor = $0.baseAddress
            return unsafe d2i_X509(nil, &cursor, $0.count)
        }
        guard let parsed = unsafe parsed else {
            ERR_clear_error()
            return nil
        }
        unsafe self.x509 = parsed
    }

    deinit { unsafe X509_free(x509) }

    /// The DER: for a certificate that was parsed, the very bytes that were parsed.
    var der: [UInt8] { unsafe Self.der(of: x509) }

    static func der(of x509: OpaquePointer) -> [UInt8] {
        let count = unsafe i2d_X509(x509, nil)
        guard count > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, written in
            var cursor = buffer.baseAddress
            written = max(0, Int(unsafe i2d_X509(x509, &cursor)))
        }
    }

    /// The subject as .NET prints it: last component first, `, ` between, `CN=Octopus Tentacle`.
    var subject: String {
        let flags = UInt(XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_DN_REV | XN_FLAG_FN_SN) | UInt(ASN1_STRFLGS_UTF8_CONVERT)
        return unsafe MemoryBIO.text { unsafe X509_NAME_print_ex($0, X509_get_subject_name(x509), 0, flags) >= 0 } ?? ""
    }

    /// The signature algorithm by its .NET name (`sha256RSA`), else by OpenSSL's.
    var signatureAlgorithm: String {
        let identifier = unsafe X509_get_signature_nid(x509)
        switch identifier {
        case NID_md5WithRSAEncryption: return "md5RSA"
        case NID_sha1WithRSAEncryption, NID_sha1WithRSA: return "sha1RSA"
        case NID_sha256WithRSAEncryption: return "sha256RSA"
        case NID_sha384WithRSAEncryption: return "sha384RSA"
        case NID_sha512WithRSAEncryption: return "sha512RSA"
        case NID_ecdsa_with_SHA256: return "sha256ECDSA"
        case NID_ecdsa_with_SHA384: return "sha384ECDSA"
        case NID_ecdsa_with_SHA512: return "sha512ECDSA"
        default:
            guard let name = unsafe OBJ_nid2ln(identifier) else { return "" }
            return unsafe String(cString: name)
        }
    }
}

/// Owns one `EVP_PKEY`.
@safe
final class PrivateKey {
    let pkey: OpaquePointer

    /// Takes over a reference.
    init(owning pkey: OpaquePointer) { unsafe self.pkey = pkey }

    deinit { unsafe EVP_PKEY_free(pkey) }
}

/// Short-lived memory BIOs for the library's readers and writers.
enum MemoryBIO {
    /// What `write` put out, or nothing if it says that it failed.
    static func bytes(_ write: (OpaquePointer) -> Bool) -> [UInt8]? {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        defer { unsafe BIO_free_all(bio) }
        guard unsafe write(bio) else { return nil }
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe c_bio_memory_bytes(bio, &start)
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    static func text(_ write: (OpaquePointer) -> Bool) -> String? {
        unsafe bytes(write).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Lets `read` read `bytes`.
    static func reading<Result>(
        _ bytes: [UInt8],
        _ read: (OpaquePointer) throws(OpenSSLError) -> Result
    ) throws(OpenSSLError)
        -> Result
    {
        // BIO_new_mem_buf keeps the address: the copy into a writable BIO spares us the lifetime question.
        guard let bio = unsafe BIO_new(BIO_s_mem()), bytes.count < Int(Int32.max) else { throw OpenSSLError("read") }
        defer { unsafe BIO_free_all(bio) }
        guard unsafe bytes.isEmpty || BIO_write(bio, bytes, Int32(bytes.count)) == Int32(bytes.count) else {
            throw OpenSSLError("read")
        }
        return try unsafe read(bio)
    }
}
