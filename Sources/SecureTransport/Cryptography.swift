internal import COpenSSL

/// The digests and ciphers that the formats we read and write prescribe; thin calls of libcrypto.
package enum Cryptography {
    /// Key length of AES in CBC mode; the raw value is the number of key bytes.
    package enum AESKeyLength: Int, Sendable {
        case aes128 = 16
        case aes256 = 32
    }

    /// Bytes of one AES block, and of the initialisation vector.
    package static let aesBlockBytes = 16

    /// SHA-1, 20 bytes: for names of certificates and old formats only.
    package static func sha1(_ bytes: [UInt8]) -> [UInt8] { digest(bytes, .sha1) }

    /// SHA-256, 32 bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { digest(bytes, .sha256) }

    /// A digest in one call.
    package static func digest(_ bytes: [UInt8], _ algorithm: IncrementalDigest.Algorithm) -> [UInt8] {
        var digest = IncrementalDigest(algorithm)
        digest.update(bytes)
        return digest.finish()
    }

    /// AES-CBC with PKCS#7 padding; the key's length (16 or 32 bytes) chooses the cipher.
    package static func encryptAESCBC(_ plain: [UInt8], key: [UInt8], iv: [UInt8]) throws(OpenSSLError) -> [UInt8] {
        try aesCBC(plain, key: key, iv: iv, encrypt: true)
    }

    /// Undoes ``encryptAESCBC(_:key:iv:)``; wrong padding (a wrong key, mostly) is an error.
    package static func decryptAESCBC(_ cipher: [UInt8], key: [UInt8], iv: [UInt8]) throws(OpenSSLError) -> [UInt8] {
        try aesCBC(cipher, key: key, iv: iv, encrypt: false)
    }

    /// Bytes of the nonce that ``sealAESGCM(_:key:associatedData:)`` makes for each value, and of its tag.
    package static let gcmNonceBytes = 12
    package static let gcmTagBytes = 16

    /// AES-256-GCM under a fresh nonce: nonce, ciphertext and tag, one after the other.
    package static func sealAESGCM(
        _ plain: [UInt8],
        key: [UInt8],
        associatedData: [UInt8]
    ) throws(OpenSSLError) -> [UInt8] {
        let nonce = try randomBytes(gcmNonceBytes)
        var tag = [UInt8](repeating: 0, count: gcmTagBytes)
        let cipher = try aesGCM(plain, key: key, nonce: nonce, associatedData: associatedData, tag: &tag, encrypt: true)
        return nonce + cipher + tag
    }

    /// Undoes ``sealAESGCM(_:key:associatedData:)``; whatever was not sealed with this key and data is an error.
    package static func openAESGCM(
        _ sealed: [UInt8],
        key: [UInt8],
        associatedData: [UInt8]
    ) throws(OpenSSLError) -> [UInt8] {
        guard sealed.count >= gcmNonceBytes + gcmTagBytes else {
            throw OpenSSLError("decrypt with AES-GCM", reasons: ["the value is too short for nonce and tag"])
        }
        var tag = Array(sealed.suffix(gcmTagBytes))
        return try aesGCM(
            Array(sealed.dropFirst(gcmNonceBytes).dropLast(gcmTagBytes)),
            key: key,
            nonce: Array(sealed.prefix(gcmNonceBytes)),
            associatedData: associatedData,
            tag: &tag,
            encrypt: false
        )
    }

    /// PBKDF2 with HMAC-SHA1 (.NET `Rfc2898DeriveBytes`).
    package static func pbkdf2SHA1(
        password: [UInt8],
        salt: [UInt8],
        iterations: Int,
        keyBytes: Int
    ) throws(OpenSSLError) -> [UInt8] {
        try unsafe pbkdf2(EVP_sha1(), password: password, salt: salt, iterations: iterations, keyBytes: keyBytes)
    }

    /// PBKDF2 with HMAC-SHA256: for passwords that are stored.
    package static func pbkdf2SHA256(
        password: [UInt8],
        salt: [UInt8],
        iterations: Int,
        keyBytes: Int
    ) throws(OpenSSLError) -> [UInt8] {
        try unsafe pbkdf2(EVP_sha256(), password: password, salt: salt, iterations: iterations, keyBytes: keyBytes)
    }

    private static func pbkdf2(
        _ digest: OpaquePointer?,
        password: [UInt8],
        salt: [UInt8],
        iterations: Int,
        keyBytes: Int
    ) throws(OpenSSLError) -> [UInt8] {
        var key = [UInt8](repeating: 0, count: keyBytes)
        let done = unsafe password.withUnsafeBytes { password in
            // A null pointer would mean "no password, length unknown": give it an address always.
            unsafe PKCS5_PBKDF2_HMAC(
                password.baseAddress?.assumingMemoryBound(to: CChar.self) ?? emptyText,
                Int32(clamping: password.count),
                salt,
                Int32(clamping: salt.count),
                Int32(clamping: iterations),
                digest,
                Int32(clamping: keyBytes),
                &key
            )
        }
        guard done == 1 else { throw OpenSSLError("derive a key from a password") }
        return key
    }

    /// Bytes of the library's cryptographic random generator.
    package static func randomBytes(_ count: Int) throws(OpenSSLError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard unsafe RAND_bytes(&bytes, Int32(clamping: count)) == 1 else {
            throw OpenSSLError("obtain random bytes")
        }
        return bytes
    }

    private static var emptyText: UnsafePointer<CChar> {
        unsafe UnsafeRawPointer(StaticString("").utf8Start).assumingMemoryBound(to: CChar.self)
    }

    private static func aesCBC(
        _ input: [UInt8],
        key: [UInt8],
        iv: [UInt8],
        encrypt: Bool
    ) throws(OpenSSLError) -> [UInt8] {
        let operation = encrypt ? "encrypt with AES-CBC" : "decrypt with AES-CBC"
        guard let length = AESKeyLength(rawValue: key.count), iv.count == aesBlockBytes else {
            throw OpenSSLError(operation, reasons: ["the key must have 16 or 32 bytes, the vector 16"])
        }
        guard input.count < Int(Int32.max) - aesBlockBytes else {
            throw OpenSSLError(operation, reasons: ["the input is too long"])
        }
        guard let context = unsafe EVP_CIPHER_CTX_new() else { throw OpenSSLError(operation) }
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        let cipher = unsafe length == .aes128 ? EVP_aes_128_cbc() : EVP_aes_256_cbc()
        var output = [UInt8](repeating: 0, count: input.count + aesBlockBytes)
        var written: Int32 = 0
        var last: Int32 = 0
        ERR_clear_error()
        guard
            unsafe EVP_CipherInit_ex(context, cipher, nil, key, iv, encrypt ? 1 : 0) == 1,
            unsafe EVP_CipherUpdate(context, &output, &written, input, Int32(input.count)) == 1,
            unsafe output.withUnsafeMutableBufferPointer({
                unsafe EVP_CipherFinal_ex(context, $0.baseAddress?.advanced(by: Int(written)), &last)
            }) == 1
        else { throw OpenSSLError(operation) }
        output.removeLast(output.count - Int(written) - Int(last))
        return output
    }

    private static func aesGCM(
        _ input: [UInt8],
        key: [UInt8],
        nonce: [UInt8],
        associatedData: [UInt8],
        tag: inout [UInt8],
        encrypt: Bool
    ) throws(OpenSSLError) -> [UInt8] {
        let operation = encrypt ? "encrypt with AES-GCM" : "decrypt with AES-GCM"
        guard AESKeyLength(rawValue: key.count) == .aes256 else {
            throw OpenSSLError(operation, reasons: ["the key must have 32 bytes"])
        }
        guard input.count < Int(Int32.max), associatedData.count < Int(Int32.max) else {
            throw OpenSSLError(operation, reasons: ["the input is too long"])
        }
        guard let context = unsafe EVP_CIPHER_CTX_new() else { throw OpenSSLError(operation) }
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var output = [UInt8](repeating: 0, count: input.count + gcmTagBytes)
        var written: Int32 = 0
        var last: Int32 = 0
        let tagBytes = Int32(gcmTagBytes)
        ERR_clear_error()
        // A nonce of 12 bytes is the cipher's default. Nothing is written for the last block: GCM needs no padding.
        guard
            unsafe EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce, encrypt ? 1 : 0) == 1,
            unsafe EVP_CipherUpdate(context, nil, &written, associatedData, Int32(associatedData.count)) == 1,
            unsafe EVP_CipherUpdate(context, &output, &written, input, Int32(input.count)) == 1,
            unsafe encrypt || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tagBytes, &tag) == 1,
            unsafe output.withUnsafeMutableBufferPointer({
                unsafe EVP_CipherFinal_ex(context, $0.baseAddress?.advanced(by: Int(written)), &last)
            }) == 1,
            unsafe !encrypt || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tagBytes, &tag) == 1
        else { throw OpenSSLError(operation) }
        output.removeLast(output.count - Int(written) - Int(last))
        return output
    }
}
