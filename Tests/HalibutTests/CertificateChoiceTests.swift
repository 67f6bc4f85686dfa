import Halibut
import HalibutTesting
import SecureTransport
import Testing

@Suite("Which certificate is shown to whom")
struct CertificateChoiceTests {
    private let server = TestIdentities.client.thumbprint
    private let other = TestIdentities.stranger.thumbprint

    @Test("a listener: strangers, then what a server at an address took or turned away")
    func addresses() {
        var choice = ListenerCertificateChoice()
        #expect(choice.turn(for: "a") == .present)
        choice.inform([], strangers: true)
        #expect(choice.turn(for: "a") == .next)
        choice.inform([], strangers: false)
        choice.refused(.present, "a", nil)
        #expect(choice.turn(for: "a") == .next)
        #expect(choice.turn(for: "b") == .present)
        choice.refused(.next, "a", server)
        #expect(choice.turn(for: "a") == .present)
        choice.took(.present, "a", server)
        #expect(choice.turn(for: "a") == .present)
    }

    @Test("a listener: a server that is told gets the next one where it was seen, even where it took the present one")
    func told() {
        var choice = ListenerCertificateChoice()
        choice.took(.present, "a", server)
        choice.took(.present, "b", other)
        choice.inform([server], strangers: false)
        #expect(choice.turn(for: "a") == .next)
        #expect(choice.turn(for: "b") == .present)
        // Not told after all: what is seen counts, and another server's mark does not take it back.
        choice.refused(.next, "a", server)
        choice.inform([server, other], strangers: false)
        #expect(choice.turn(for: "a") == .present)
        #expect(choice.turn(for: "b") == .next)
    }

    @Test("a listener remembers a bounded number of addresses, those heard of last")
    func bounded() {
        var choice = ListenerCertificateChoice()
        for number in 0...ListenerCertificateChoice.maximumAddresses {
            choice.refused(.present, "\(number)", nil)
            choice.refused(.present, "last", nil)
        }
        #expect(choice.addressCount == ListenerCertificateChoice.maximumAddresses)
        #expect(choice.turn(for: "0") == .present)
        #expect(choice.turn(for: "last") == .next)
    }

    @Test("a poller: the mark, then what was taken since; the next one once taken stays")
    func poller() {
        let (next, later) = (TestIdentities.service.thumbprint, TestIdentities.stranger.thumbprint)
        var choice = PollingCertificateChoice()
        #expect(choice.first(isKnown: false, next: next, generation: 1) == .present)
        #expect(choice.first(isKnown: true, next: next, generation: 1) == .next)
        choice.took(.present, next: next, generation: 1)
        #expect(choice.first(isKnown: true, next: next, generation: 1) == .present)
        #expect(choice.first(isKnown: true, next: next, generation: 2) == .next)
        choice.took(.next, next: next, generation: 2)
        #expect(choice.first(isKnown: false, next: next, generation: 3) == .next)
        #expect(choice.first(isKnown: false, next: later, generation: 4) == .present)
    }
}
