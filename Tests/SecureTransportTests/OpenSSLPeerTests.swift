import Foundation
import NIOCore
import SecureTransport
import Testing

@Suite(.timeLimit(.minutes(4))) struct OpenSSLPeerTests {
    static func flag(_ version: TLSVersion) -> String { version == .tls12 ? "-tls1_2" : "-tls1_3" }

    @Test(
        "openssl s_client reaches our listener, with and without a certificate",
        arguments: TLSVersion.allCases,
        [true, false]
    )
    func client(version: TLSVersion, withCertificate: Bool) async throws {
        let agent = try Identities.agent.get()
        let server = try Identities.server.get()
        try await withScratchDirectory { folder in
            try Data(server.pem(includingPrivateKey: true).utf8).write(to: folder.appending(path: "s.pem"))
            try await withListener(identity: agent) { port, accepted in
                let text = try await OpenSSLCommand.run(
                    ["s_client", "-connect", "127.0.0.1:\(port)", Self.flag(version)]
                        + (withCertificate ? ["-cert", "s.pem", "-key", "s.pem"] : []),
                    in: folder,
                    input: "MX\r\n"
                )
                #expect(text.contains("subject=CN = Octopus Tentacle"))
                #expect(text.contains("No client certificate CA names sent"))
                #expect(!text.contains("TLS session ticket:"))
                let (data, others) = await accepted.all()
                #expect(data == Array("MX\r\n".utf8))
                guard case .established(let details)? = others.first else {
                    Issue.record("no handshake")
                    return
                }
                #expect(details.peer?.thumbprint == (withCertificate ? server.thumbprint : nil))
                #expect(others.last == .inactive)
            }
        }
    }

    @Test(
        "we reach openssl s_server, which demands a certificate of a CA we never heard of",
        arguments: TLSVersion.allCases
    )
    func server(version: TLSVersion) async throws {
        let agent = try Identities.agent.get()
        let server = try Identities.server.get()
        try await withScratchDirectory { folder in
            try Data(server.pem(includingPrivateKey: true).utf8).write(to: folder.appending(path: "s.pem"))
            // -Verify demands a certificate; -CAfile puts a foreign name into the CA list of the request.
            let options = ["-cert", "s.pem", "-key", "s.pem", "-Verify", "1", "-CAfile", "s.pem", Self.flag(version)]
            try await OpenSSLCommand.withServer(options, in: folder) { port in
                let (channel, signals) = try await dial(
                    port,
                    identity: agent,
                    expecting: .thumbprint(server.thumbprint)
                )
                try await channel.writeAndFlush(ByteBuffer(string: "olleh\n"))
                #expect(await signals.data(count: 6) == Array("hello\n".utf8))
                try await channel.close()
            }
        }
    }

    @Test(
        "certificates of old installations are accepted on both sides",
        arguments: LegacyShape.all,
        TLSVersion.allCases
    )
    func legacy(shape: LegacyShape, version: TLSVersion) async throws {
        try await withScratchDirectory { folder in
            try await OpenSSLCommand.makeCertificate(shape, name: "old", in: folder)
            let pem = try ["old.crt", "old.key"].map {
                try String(contentsOf: folder.appending(path: $0), encoding: .utf8)
            }
            let old = try TLSIdentity(pem: pem.joined())
            #expect(old.subject.contains("CN=Octopus Legacy"))
            var pair = try SessionPair(
                versions: version...version,
                clientIdentity: old,
                serverIdentity: old,
                expecting: .thumbprint(old.thumbprint)
            )
            pair.shakeHands()
            #expect(pair.clientResult.details?.peer?.thumbprint == old.thumbprint)
            #expect(pair.serverResult.details?.peer?.thumbprint == old.thumbprint)
            // The PKCS#12 form keeps the certificate byte for byte.
            #expect(try TLSIdentity(pkcs12: old.pkcs12()).certificateDER == old.certificateDER)
        }
    }
}
