import BSON
import FuzzSupport
import HalibutProtocol
import NIOCore
import TentacleContracts

/// Documents of a peer as contract types: what can be decoded is written and decoded to the same value.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzContracts(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let check = contracts[input.below(contracts.count)]
    for value in values(input.rest) { check(value) }
    return 0
}

private let contracts: [@Sendable (BSONValue) -> Void] = [
    requireRoundTrip(StartScriptCommandV2.self), requireRoundTrip(ScriptStatusRequestV2.self),
    requireRoundTrip(CancelScriptCommandV2.self), requireRoundTrip(CompleteScriptCommandV2.self),
    requireRoundTrip(ScriptStatusResponseV2.self), requireRoundTrip(StartScriptCommand.self),
    requireRoundTrip(ScriptStatusRequest.self), requireRoundTrip(CancelScriptCommand.self),
    requireRoundTrip(CompleteScriptCommand.self), requireRoundTrip(ScriptStatusResponse.self),
    requireRoundTrip(ScriptTicket.self), requireRoundTrip(ScriptFile.self), requireRoundTrip(DataStreamReference.self),
    requireRoundTrip(UploadResult.self), requireRoundTrip(CapabilitiesResponseV2.self),
]

/// The parameters of a request, the result of a response, or else the document itself.
private func values(_ bytes: [UInt8]) -> [BSONValue] {
    guard let document = try? BSONDocument(bytes: bytes) else { return [] }
    guard let message = document["Message"]?.document else { return [.document(document)] }
    if let request = try? RequestMessage(message) { return request.parameters }
    if case .result(let value) = (try? ResponseMessage(message))?.outcome { return [value] }
    return [.document(message)]
}

private func requireRoundTrip<T: WireContract & Hashable>(_ type: T.Type) -> @Sendable (BSONValue) -> Void {
    { value in
        if let name = value.document?.typeName { _ = T.accepts(wireTypeName: name) }
        guard let decoded = try? BSONDecoder().decode(T.self, from: value) else { return }
        guard let written = try? BSONEncoder().encode(decoded, typeName: T.wireTypeName) else {
            fatalError("cannot be written: \(decoded)")
        }
        guard let again = try? BSONDecoder().decode(T.self, from: written) else {
            fatalError("cannot be read back: \(decoded)")
        }
        require(again == decoded, "\(decoded) is read back as \(again)")
    }
}
