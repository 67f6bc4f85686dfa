import SecureTransport
import Testing

@Suite struct CryptographyTests {
    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test("digests agree with the standards' vectors, whole and in pieces")
    func digests() {
        #expect(Self.hex(Cryptography.sha1(Array("abc".utf8))) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(
            Self.hex(Cryptography.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
        var digest = IncrementalDigest(.sha1)
        for byte in "abc".utf8 { digest.update([byte]) }
        digest.update([])
        #expect(Self.hex(digest.finish()) == "a9993e364706816aba3e25717850c26c9cd0d89d")
    }

    @Test("AES-256-CBC agrees with what an agent wrote (tentacle-cli.md 7)")
    func secretsAtRest() throws {
        let key = Array("816490f117f14c7a8fa2697781ed795b".utf8)
        let iv = Array("743677397A244326".utf8)
        let cipher = try Cryptography.encryptAESCBC(Array("FooBar".utf8), key: key, iv: iv)
        #expect(Self.hex(cipher) == "caca6a70aef10af77973ed4e481ee4c7")
        #expect(try Cryptography.decryptAESCBC(cipher, key: key, iv: iv) == Array("FooBar".utf8))
    }

    @Test("AES-128-CBC round trip at every length around a block", arguments: 0...33)
    func roundTrip(count: Int) throws {
        let key = try Cryptography.randomBytes(16)
        let iv = try Cryptography.randomBytes(16)
        let plain = [UInt8](repeating: 7, count: count)
        let cipher = try Cryptography.encryptAESCBC(plain, key: key, iv: iv)
        #expect(cipher.count == (count / 16 + 1) * 16)
        #expect(try Cryptography.decryptAESCBC(cipher, key: key, iv: iv) == plain)
    }

    @Test("a key or vector of a wrong size, and damaged ciphertext, are errors")
    func badInput() throws {
        let block = [UInt8](repeating: 0, count: 16)
        #expect(throws: OpenSSLError.self) { try Cryptography.encryptAESCBC([], key: [1], iv: block) }
        #expect(throws: OpenSSLError.self) { try Cryptography.encryptAESCBC([], key: block, iv: [1]) }
        #expect(throws: OpenSSLError.self) { try Cryptography.decryptAESCBC([1, 2, 3], key: block, iv: block) }
        #expect(throws: OpenSSLError.self) { try Cryptography.decryptAESCBC([], key: block, iv: block) }
    }

    @Test("AES-256-GCM opens what it sealed, with the same key and associated data only", arguments: [0, 1, 16, 33])
    func authenticated(count: Int) throws {
        let key = try Cryptography.randomBytes(32)
        let plain = [UInt8](repeating: 7, count: count)
        let sealed = try Cryptography.sealAESGCM(plain, key: key, associatedData: [1, 2])
        #expect(sealed.count == 12 + count + 16)
        #expect(try Cryptography.openAESGCM(sealed, key: key, associatedData: [1, 2]) == plain)
        for index in sealed.indices {
            var altered = sealed
            altered[index] ^= 0x80
            #expect(throws: OpenSSLError.self) {
                try Cryptography.openAESGCM(altered, key: key, associatedData: [1, 2])
            }
        }
        #expect(throws: OpenSSLError.self) { try Cryptography.openAESGCM(sealed, key: key, associatedData: [1]) }
        #expect(throws: OpenSSLError.self) { try Cryptography.openAESGCM([], key: key, associatedData: []) }
        #expect(throws: OpenSSLError.self) { try Cryptography.sealAESGCM(plain, key: [1], associatedData: []) }
    }

    @Test("PBKDF2-HMAC-SHA1 agrees with RFC 6070")
    func keyDerivation() throws {
        let key = try Cryptography.pbkdf2SHA1(
            password: Array("password".utf8),
            salt: Array("salt".utf8),
            iterations: 4096,
            keyBytes: 20
        )
        #expect(Self.hex(key) == "4b007901b765489abead49d926f721d065a429c1")
        #expect(try Cryptography.pbkdf2SHA1(password: [], salt: [1], iterations: 1, keyBytes: 16).count == 16)
    }

    @Test("random bytes have the length asked for and differ")
    func random() throws {
        #expect(try Cryptography.randomBytes(0).isEmpty)
        #expect(try Cryptography.randomBytes(32) != Cryptography.randomBytes(32))
    }
}
