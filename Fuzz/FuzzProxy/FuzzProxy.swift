import FuzzSupport
import HalibutProtocol
import NIOCore

/// What an HTTP proxy answers to CONNECT, whole and in pieces.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProxy(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    var limits = HalibutLimits()
    if input.flag() { limits.maximumProxyReplyBytes = 1 + Int(input.byte()) }
    var cuts = Cuts(seed: input.byte())
    let bytes = input.rest
    let whole = answer([bytes[...]], limits)
    require(whole == answer(cuts.pieces(of: bytes), limits), "pieces change the answer")
    if whole.outcome == .established {
        require(String(decoding: bytes, as: UTF8.self).contains("200"), "through without a 200")
        require(bytes.count - whole.left.count <= limits.maximumProxyReplyBytes, "more bytes than allowed")
    }
    return 0
}

private struct Answer: Hashable {
    var outcome = ProxyConnect.OnBytes.needMoreBytes
    /// The endpoint's bytes.
    var left: [UInt8] = []
    var end: ProxyError?
}

private func answer(_ pieces: [ArraySlice<UInt8>], _ limits: HalibutLimits) -> Answer {
    let peer = ProxyPeer(address: "192.0.2.1", port: 3128)
    let destination = EndPointURI(scheme: "https", host: "a", port: 10_933)
    let proxy = HTTPProxy(host: "proxy", port: 3128, userName: "u", password: "p")
    var machine = ProxyConnect(to: destination, through: proxy, limits: limits)
    var answer = Answer()
    var buffer = ByteBuffer()
    for piece in pieces {
        buffer.writeBytes(piece)
        let outcome = machine.received(&buffer, from: peer)
        switch answer.outcome {
        case .needMoreBytes: answer.outcome = outcome
        case .established: require(outcome == .established, "the tunnel falls: \(outcome)")
        case .fail:
            guard case .fail = outcome else { fatalError("a refusal becomes \(outcome)") }
        }
    }
    switch answer.outcome {
    case .needMoreBytes: answer.end = machine.ended(peer)
    case .established: answer.left = Array(buffer.readableBytesView)
    case .fail: break
    }
    return answer
}
