import Foundation
import SecureTransport
import Testing

@Suite struct TLSIdentityTests {
    @Test("a generated certificate has the shape of Tentacle's own")
    func generated() async throws {
        let identity = try Identities.agent.get()
        #expect(identity.subject == "CN=Octopus Tentacle")
        #expect(identity.signatureAlgorithm == "sha256RSA")
        #expect(identity.thumbprint == Thumbprint(certificateDER: identity.certificateDER))
        try await withScratchDirectory { folder in
            try Data(identity.certificateDER).write(to: folder.appending(path: "c.der"))
            let text = try await OpenSSLCommand.run(
                ["x509", "-inform", "DER", "-in", "c.der", "-noout", "-text", "-fingerprint", "-sha1"],
                in: folder
            )
            #expect(text.contains("Version: 3 (0x2)"))
            #expect(text.contains("Public-Key: (2048 bit)"))
            #expect(text.contains("Exponent: 65537"))
            #expect(text.contains("Signature Algorithm: sha256WithRSAEncryption"))
            #expect(!text.contains("X509v3 extensions"))
            let fingerprint = try #require(text.firstMatch(of: /Fingerprint=([0-9A-F:]+)/)).1
            #expect(Thumbprint(String(fingerprint)) == identity.thumbprint)
            // Midnight yesterday until midnight in a hundred years.
            let dates = text.matches(of: /Not (?:Before|After ?) ?: (\w+ +\d+) 00:00:00 (\d+) GMT/).map {
                (String($0.1), Int($0.2) ?? 0)
            }
            try #require(dates.count == 2)
            #expect((100...101).contains(dates[1].1 - dates[0].1))
            let structure = try await OpenSSLCommand.run(["asn1parse", "-inform", "DER", "-in", "c.der"], in: folder)
            #expect(structure.contains("UTF8STRING        :Octopus Tentacle"))
            #expect(structure.contains("UTCTIME"))
            #expect(structure.contains("GENERALIZEDTIME"))
        }
    }

    @Test("PEM round trip; the key only on demand")
    func pem() throws {
        let identity = try Identities.agent.get()
        let text = try identity.pem(includingPrivateKey: true)
        let copy = try TLSIdentity(pem: text)
        #expect(copy.thumbprint == identity.thumbprint)
        #expect(!(try identity.pem()).contains("PRIVATE KEY"))
        #expect(throws: OpenSSLError.self) { try TLSIdentity(pem: identity.pem()) }
        #expect(throws: OpenSSLError.self) { try TLSIdentity(pem: "no PEM at all") }
    }

    @Test("a key of another certificate is refused")
    func mismatch() throws {
        let other = try Identities.server.get().pem(includingPrivateKey: true)
        let key = try #require(other.range(of: "-----BEGIN PRIVATE KEY-----"))
        let mixed = try Identities.agent.get().pem() + other[key.lowerBound...]
        #expect(throws: OpenSSLError.self) { try TLSIdentity(pem: mixed) }
    }

    @Test(
        "PKCS#12 round trip, with our reader and with openssl",
        arguments: ["", "pass", "Pässwörd €"],
        [TLSIdentity.PKCS12Encryption.aes256, .tripleDES]
    )
    func pkcs12(password: String, encryption: TLSIdentity.PKCS12Encryption) async throws {
        let identity = try Identities.agent.get()
        let file = try identity.pkcs12(password: password, encryption: encryption)
        #expect(try TLSIdentity(pkcs12: file, password: password).thumbprint == identity.thumbprint)
        #expect(throws: OpenSSLError.self) { try TLSIdentity(pkcs12: file, password: "wrong") }
        try await withScratchDirectory { folder in
            try Data(file).write(to: folder.appending(path: "c.pfx"))
            let text = try await OpenSSLCommand.run(
                ["pkcs12", "-in", "c.pfx", "-passin", "pass:\(password)", "-nodes", "-info"],
                in: folder
            )
            #expect(text.contains("BEGIN PRIVATE KEY"))
            #expect(text.contains(encryption == .aes256 ? "MAC: sha256" : "MAC: sha1"))
            #expect(text.contains(encryption == .aes256 ? "AES-256-CBC" : "pbeWithSHA1And3-KeyTripleDES-CBC"))
        }
    }

    /// What .NET writes.
    static let tripleDES = ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "SHA1"]

    @Test(
        "reads files that openssl made",
        arguments: [
            ([], ""), ([], "secret"), (["-legacy"], ""), (["-legacy"], "secret"), (tripleDES, ""),
            (tripleDES, "secret"),
            (["-macalg", "SHA1"], ""), (["-macalg", "SHA512"], "secret"),
            // Without a MAC nothing but the decryption tells a wrong password: as .NET, we read them.
            (["-certpbe", "NONE", "-keypbe", "NONE", "-nomac"], ""), (["-nomac"], ""), (["-nomac"], "secret"),
            (tripleDES + ["-nomac"], ""), (tripleDES + ["-nomac"], "secret"), (["-legacy", "-nomac"], ""),
        ] as [([String], String)]
    )
    func foreign(options: [String], password: String) async throws {
        let identity = try Identities.agent.get()
        try await withScratchDirectory { folder in
            let other = try Identities.server.get().pem()
            try Data(identity.pem(includingPrivateKey: true).utf8).write(to: folder.appending(path: "c.pem"))
            try Data(other.utf8).write(to: folder.appending(path: "extra.pem"))
            try await OpenSSLCommand.run(
                ["pkcs12", "-export", "-in", "c.pem", "-certfile", "extra.pem", "-out", "c.pfx"]
                    + ["-passout", "pass:\(password)"] + options,
                in: folder
            )
            let bytes = [UInt8](try Data(contentsOf: folder.appending(path: "c.pfx")))
            #expect(try TLSIdentity(pkcs12: bytes, password: password).thumbprint == identity.thumbprint)
        }
    }

    @Test(
        "no password and an empty one are the same to the reader",
        arguments: [TLSIdentity.PKCS12Encryption.aes256, .tripleDES]
    )
    func noPassword(encryption: TLSIdentity.PKCS12Encryption) throws {
        let identity = try Identities.agent.get()
        for password in [nil, ""] as [String?] {
            let file = try identity.pkcs12(password: password, encryption: encryption)
            #expect(try TLSIdentity(pkcs12: file).thumbprint == identity.thumbprint)
            #expect(throws: OpenSSLError.self) { try TLSIdentity(pkcs12: file, password: "x") }
        }
    }

    @Test("long RSA keys are as good as any")
    func longKey() async throws {
        try await withScratchDirectory { folder in
            try await OpenSSLCommand.run(
                ["req", "-x509", "-nodes", "-subj", "/CN=x", "-newkey", "rsa:4096"]
                    + ["-keyout", "k.pem", "-out", "c.pem"],
                in: folder
            )
            let pem = try ["c.pem", "k.pem"].map { try String(contentsOf: folder.appending(path: $0), encoding: .utf8) }
            let identity = try TLSIdentity(pem: pem.joined())
            #expect(try identity.rsaKeyBits() == 4096)
            #expect(try TLSIdentity(pkcs12: identity.pkcs12()) == identity)
        }
    }

    @Test("a damaged file is an error wherever the damage is, and says what was attempted")
    func damaged() throws {
        let identity = try Identities.agent.get()
        let file = try identity.pkcs12(password: "secret")
        for position in stride(from: 0, to: file.count, by: 13) {
            var flipped = file
            flipped[position] ^= 0x10
            for bytes in [flipped, Array(file.prefix(position))] {
                do throws(OpenSSLError) {
                    // Names and other attributes nobody needs.
                    #expect(try TLSIdentity(pkcs12: bytes, password: "secret") == identity)
                } catch {
                    #expect(error.description.contains("the PKCS#12 file"), "\(position): \(error)")
                }
            }
        }
    }

    @Test("what is not PKCS#12 is an error that says so", arguments: [[], [0x30], Array("hello".utf8)] as [[UInt8]])
    func notPKCS12(bytes: [UInt8]) {
        let error = #expect(throws: OpenSSLError.self) { try TLSIdentity(pkcs12: bytes) }
        #expect(error?.description.hasPrefix("could not read the PKCS#12 file") == true)
    }
}
