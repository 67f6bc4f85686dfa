import BSON
import Halibut
import HalibutTesting
import SecureTransport
import Testing

@Suite("Who is let in, and for how long", .timeLimit(.minutes(4)))
struct TrustTests {
    private func hello(_ pair: ListeningPair) async throws -> BSONValue {
        try await pair.client.call(pair.endPoint, service: "IEchoService", method: "SayHello", parameters: ["x"]).value
    }

    @Test("TrustOnly ends calls under way of those it drops, and they do not come back")
    func trustOnly() async throws {
        try await ListeningPair.with { pair in
            let gate = pair.service.gate("g")
            let error = try await withThrowingTaskGroup(of: HalibutError.self) { group in
                group.addTask {
                    try await #require(throws: HalibutError.self) {
                        try await pair.client.call(
                            pair.endPoint,
                            service: "IEchoService",
                            method: "Wait",
                            parameters: ["g"]
                        )
                    }
                }
                await gate.untilArrivals(1)
                pair.trust.trustOnly([TestIdentities.stranger.thumbprint])
                return try await #require(group.next())
            }
            gate.open()
            #expect(error.phase == .transferring)
            let refused = try await #require(throws: HalibutError.self) { try await hello(pair) }
            #expect(refused.message.contains("This usually means that the server rejected the certificate"))
            #expect(refused.phase == .connecting)
            pair.trust.trustOnly([TestIdentities.stranger.thumbprint, TestIdentities.client.thumbprint])
            #expect(try await hello(pair) == "x...")
        }
    }

    @Test("the program may trust a stranger when it comes, for good")
    func trustAndAllow() async throws {
        let asked = Watched<[Thumbprint]>([])
        let metrics = HalibutMetrics()
        let allow: @Sendable (String, Thumbprint) -> UntrustedPeerAction = { _, peer in
            asked.change { $0.append(peer) }
            return .trustAndAllow
        }
        try await ListeningPair.with(
            clientIdentity: TestIdentities.stranger,
            untrusted: allow,
            observer: metrics
        ) { pair in
            let first = try await hello(pair)
            pair.trust.removeTrust(TestIdentities.client.thumbprint)
            let second = try await hello(pair)
            #expect([first, second] == ["x...", "x..."])
            #expect(pair.trust.all == [TestIdentities.stranger.thumbprint])
        }
        #expect(asked.value == [TestIdentities.stranger.thumbprint])
        #expect(metrics.snapshot.denials.isEmpty)
    }

    @Test("a certificate of an old installation is accepted by its thumbprint on both sides")
    func legacy() async throws {
        let old = try TLSIdentity(pem: legacyCertificate)
        #expect(old.signatureAlgorithm == "sha1RSA")
        let allow: @Sendable (String, Thumbprint) -> UntrustedPeerAction = { _, peer in
            peer == old.thumbprint ? .trustAndAllow : .block
        }
        let said = try await ListeningPair.with(
            clientIdentity: old,
            serviceIdentity: old,
            expecting: old.thumbprint,
            untrusted: allow
        ) { pair in
            try await hello(pair)
        }
        #expect(said == "x...")
    }

    @Test("an endpoint is https or poll, and nothing else", arguments: ["wss", "queue", "http", "ftp"])
    func unknownType(_ scheme: String) {
        let error = #expect(throws: HalibutError.self) {
            try ServiceEndPoint("\(scheme.uppercased())://host/", remoteThumbprint: nil)
        }
        #expect(error?.message == "Unknown endpoint type: \(scheme)")
    }

    @Test("discovery: the thumbprint through a proxy, and a failure with its own words only")
    func discovery() async throws {
        try await ListeningPair.with(serviceIdentity: try TLSIdentity(pem: legacyCertificate)) { pair in
            let found = try await FakeProxy.with(.tunnel()) { proxy in
                let through = HTTPProxy(host: "127.0.0.1", port: proxy.port)
                return try await pair.client.discover(host: "127.0.0.1", port: pair.port, proxy: through)
            }
            #expect(found == (try TLSIdentity(pem: legacyCertificate)).thumbprint)
            let error = try await #require(throws: HalibutError.self) {
                try await pair.client.discover(host: "127.0.0.1", port: 1)
            }
            #expect(error.message == "Connection refused (127.0.0.1:1)")
            #expect(error.isNetworkError)
        }
    }
}

/// Everything at once that halibut.md 2.4 tells of old installations: RSA 1024, signed with SHA-1, expired, critical
/// basicConstraints and authorityKeyIdentifier, an empty e-mail address.
///
/// Made with `openssl req -newkey rsa:1024 -sha1`, then `openssl ca -selfsign -md sha1 -startdate 20000101000000Z
/// -enddate 20010101000000Z` with `authorityKeyIdentifier = critical,keyid:always`; openssl leaves out an empty
/// emailAddress, so it was put into both names by hand and the result signed with `openssl dgst -sha1 -sign`.
private let legacyCertificate = """
    -----BEGIN CERTIFICATE-----
    MIICSjCCAbOgAwIBAgIUJz+Qymb6zrjlIcmydAqOu9fElm0wDQYJKoZIhvcNAQEF
    BQAwNzELMAkGA1UEBhMCQVUxFzAVBgNVBAMMDk9jdG9wdXMgTGVnYWN5MQ8wDQYJ
    KoZIhvcNAQkBFgAwHhcNMDAwMTAxMDAwMDAwWhcNMDEwMTAxMDAwMDAwWjA3MQsw
    CQYDVQQGEwJBVTEXMBUGA1UEAwwOT2N0b3B1cyBMZWdhY3kxDzANBgkqhkiG9w0B
    CQEWADCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA2ljwOCtCEMBj3adYGLO+
    5HlSq0oTQZScYKRdnnHnuiM7C/hQOfCsNOKdzuI7CzK19rAzUIwe/kWjDV3uQmme
    ClHpfqVD6n2irbd6OxS0VGFH4Ayq8xKBvFxZEUghhxufLizfWXc50EFtxTDpJDuX
    75KKyHzOdoOA+/H3l58eBmMCAwEAAaNTMFEwDAYDVR0TAQH/BAIwADAdBgNVHQ4E
    FgQUgkgxn5KyyczspOsMjxdAJvgQNc4wIgYDVR0jAQH/BBgwFoAUgkgxn5Kyyczs
    pOsMjxdAJvgQNc4wDQYJKoZIhvcNAQEFBQADgYEAug3dyoWndcjzrlXWuQ6c4xxP
    EQ8sSsKEwVYdVsW0bENutVk2ZuQ80m5hiJr36Sj+5qoKSZwTLl3Cx4Ul3C+Cj2oy
    e/ib5cNxlOk8pbvihwSJEvoanmzgdVXFo+sJn08UkLoF1me0nqCxzznH2TGvuoWY
    WNx0/6JGyI7HutpI5QU=
    -----END CERTIFICATE-----
    -----BEGIN PRIVATE KEY-----
    MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBANpY8DgrQhDAY92n
    WBizvuR5UqtKE0GUnGCkXZ5x57ojOwv4UDnwrDTinc7iOwsytfawM1CMHv5Fow1d
    7kJpngpR6X6lQ+p9oq23ejsUtFRhR+AMqvMSgbxcWRFIIYcbny4s31l3OdBBbcUw
    6SQ7l++Sish8znaDgPvx95efHgZjAgMBAAECgYEAkuIXn0GCbPBvffGQMvXf6aSv
    9yiasZg+ZkjL7cWkZDRFCXVeystbnSwBiuXnYE4Z2LyJmJraUqUX3esdV7HjLMHC
    1CpEe0MqCtLpAHgBq54pt1S8bK5NdxKgcDOuJBnp264Fgsv95uIMlWlezq/53JbY
    bYOLm52dFo6g6QxaDBkCQQD1b/2Ot7sKt8fzGJabdrS2Gmm+0ODgiaDpPv3uGdkm
    zlPDWkqShKVtGx8zAFgATAyV+xOyo6P6Bt1VxxNyj75NAkEA475+fHIUxmSWr5mp
    z1X6rBfVyW/wiQuscr0m5vNo2zPlBY/mfMlzadY8t3SVB1FFoestVMc/iIbFeR1E
    2zQPbwJAdReCni3lXA2lpMJcR7rwJ9ieDlzUjArc66oTtx45zRuuNorC/PevfEfu
    MIS/dxTRBFSOZzFOr5/KxHt/Oa5+GQJBANWsdJ/tqPA6j+ZRFbEhyf6MnlhQXi02
    dqVwMn+dAFQpbEa7rFSH7XDvQCgfiXNEHUC9ldpk1ocRa1Um0OOZBKECQDp9TXDh
    s6tqiD1ygObEdiubhNOKiOXcpjCR94VXfmdHWv4I8bcdYUT2XXIcMzauZT+T2InK
    cFh3DcPQOZZpIpQ=
    -----END PRIVATE KEY-----
    """
