import AgentConfiguration
import SecureTransport
import Testing

@Suite struct CertificateOverlapTests {
    private static let present = Result { try TLSIdentity.generate() }
    private static let next = Result { try TLSIdentity.generate() }
    private static let first = String(repeating: "A", count: 40)
    private static let second = String(repeating: "B", count: 40)
    private static let polling = TrustedServer(
        thumbprint: first,
        communicationStyle: .polling,
        address: "https://one:10943",
        subscriptionID: "poll://Sub"
    )
    private static let listening = TrustedServer(thumbprint: first, communicationStyle: .listening)
    private static let other = TrustedServer(thumbprint: second, communicationStyle: .listening)

    private func with(_ servers: [TrustedServer], _ body: (inout TentacleConfiguration) throws -> Void) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = try scratch.write("<octopus-settings><set key=\"Own\">kept</set></octopus-settings>", "x.config")
        var configuration = try TentacleConfiguration.load(from: path, host: scratch.host)
        try configuration.setIdentity(Self.present.get())
        configuration.setTrustedServers(servers)
        try configuration.beginOverlap(Self.next.get())
        try configuration.save()
        configuration = try TentacleConfiguration.load(from: path, host: scratch.host)
        try body(&configuration)
    }

    @Test("both certificates are in the file, the present one in the usual keys, the next one sealed alike")
    func bothStored() throws {
        try with([Self.polling]) { configuration in
            #expect(try configuration.identity() == Self.present.get())
            #expect(try configuration.overlap()?.next == Self.next.get())
            #expect(try configuration.identityToRegister() == Self.next.get())
            #expect(
                configuration.thumbprints
                    == [try Self.present.get(), try Self.next.get()].map(\.thumbprint.description)
            )
            let sealed = try #require(configuration.document["Tentacle.Certificate.Next"])
            #expect(!sealed.isEmpty && !sealed.hasPrefix("MI"))
            #expect(configuration.document["Own"] == "kept")
        }
    }

    @Test("a server that was told is known in all its ways, others are not; the last one completes the change")
    func markByThumbprint() throws {
        try with([Self.polling, Self.listening, Self.other]) { configuration in
            try configuration.markKnown(by: Self.first.lowercased())
            #expect(try configuration.serversToTell() == [Self.other])
            let tooEarly = try configuration.completeOverlapIfAllKnow()
            #expect(!tooEarly)
            try configuration.markKnown(by: Self.first)
            #expect(try configuration.contactsThatKnowNext().count == 2)
            try configuration.markKnown(by: Self.second)
            let complete = try configuration.completeOverlapIfAllKnow()
            #expect(complete)
            #expect(try configuration.identity() == Self.next.get())
            #expect(configuration.nextThumbprint == nil)
            #expect(!configuration.document.keys.contains { $0.contains("Next") })
        }
    }

    @Test("what one subscription shows says nothing of another or of a server that dials")
    func markBySubscription() throws {
        try with([Self.polling, Self.listening]) { configuration in
            try configuration.markKnown(by: Self.first, subscription: "poll://else/")
            #expect(try configuration.serversToTell().count == 2)
            try configuration.markKnown(by: Self.first, subscription: "POLL://sub/")
            #expect(try configuration.serversToTell() == [Self.listening])
        }
    }

    @Test("the two thumbprints of a polled server that changes its certificate are one server")
    func serverChanges() throws {
        var renewed = Self.polling
        renewed.thumbprint = Self.second
        renewed.address = "https://ONE:10943/"
        try with([Self.polling, renewed]) { configuration in
            try configuration.markKnown(by: Self.first)
            #expect(try configuration.serversToTell().isEmpty)
        }
    }

    @Test("registering counts for a new server and for a subscription, not for the other records of one that dials")
    func registration() throws {
        try with([Self.polling, Self.listening]) { configuration in
            let next = configuration.nextThumbprint
            try configuration.noteRegistration(as: configuration.thumbprint, with: Self.polling)
            #expect(try configuration.contactsThatKnowNext().isEmpty)
            try configuration.noteRegistration(as: next, with: Self.listening)
            #expect(try configuration.contactsThatKnowNext().isEmpty)
            try configuration.noteRegistration(as: next, with: Self.polling)
            try configuration.noteRegistration(as: next, with: Self.other)
            #expect(try configuration.contactsThatKnowNext().count == 2)
            #expect(try configuration.serversToTell() == [Self.listening])
        }
    }

    @Test("dropping the next certificate leaves no trace, and so does another one put in place by hand")
    func abandon() throws {
        try with([Self.polling]) { configuration in
            try configuration.markKnown(by: Self.first)
            configuration.abandonOverlap()
            #expect(!configuration.document.keys.contains { $0.contains("Next") })
            #expect(try configuration.identity() == Self.present.get())
            try configuration.beginOverlap(Self.next.get())
            try configuration.setIdentity(Self.present.get())
            #expect(try configuration.overlap() == nil)
            let again = configuration.completeOverlap()
            #expect(!again)
        }
    }

    @Test("a damaged list of servers is an error that names the key", arguments: ["x", "{}", "[1]", #"[{"A":1}]"#])
    func damaged(text: String) throws {
        try with([Self.polling]) { configuration in
            configuration.set(.nextCertificateKnownBy, text)
            let error = #expect(throws: ConfigurationError.self) { try configuration.overlap() }
            #expect(
                error?.message
                    == "Unable to parse configuration key 'Tentacle.Certificate.NextKnownBy' as a 'list of servers'. Value "
                    + "was '\(text)'."
            )
        }
    }
}
