import BSON
import FuzzSupport
import HalibutProtocol

/// The reader under its limits, the writer, and the envelopes that are read from documents.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let limits =
        input.flag()
        ? BSONLimits(maximumDocumentBytes: 256, maximumDepth: 4, maximumValueBytes: 32, maximumMemoryBytes: 1024)
        : BSONLimits()
    let bytes = input.rest
    let document: BSONDocument
    do throws(BSONError) {
        document = try BSONDocument(bytes: bytes, limits: limits)
    } catch {
        require((0...max(bytes.count, limits.maximumDocumentBytes)).contains(error.offset), "\(error) is outside")
        return 0
    }
    var cost = Cost()
    cost.add(.document(document), depth: 1)
    require(cost.depth <= limits.maximumDepth, "deeper than allowed")
    require(cost.memory <= limits.maximumMemoryBytes, "more memory than allowed")
    require(cost.largestValue <= limits.maximumValueBytes, "a larger value than allowed")
    // Bytes, not values: a NaN does not equal itself.
    let written = requireBytes(of: document)
    guard let again = try? BSONDocument(bytes: written) else {
        fatalError("what was written cannot be read: \(document)")
    }
    require(requireBytes(of: again) == written, "written as it was read, it changes: \(document)")
    envelopes(document)
    return 0
}

private func requireBytes(of document: BSONDocument) -> [UInt8] {
    guard let bytes = try? document.encoded() else { fatalError("what was read cannot be written: \(document)") }
    return bytes
}

/// What a message makes of the document, and of that again.
private func envelopes(_ document: BSONDocument) {
    let content = document["Message"]?.document ?? document
    if let request = try? RequestMessage(content) {
        let written = requireBytes(of: request.document)
        guard let again = try? RequestMessage(request.document) else { fatalError("a request is not read back") }
        require(requireBytes(of: again.document) == written, "a request changes: \(request)")
        require(again.dataStreams == request.dataStreams, "a request's streams change: \(request)")
    }
    if let response = try? ResponseMessage(content) {
        let written = requireBytes(of: response.document)
        guard let again = try? ResponseMessage(response.document) else { fatalError("a response is not read back") }
        require(requireBytes(of: again.document) == written, "a response changes: \(response)")
        require(again.dataStreams == response.dataStreams, "a response's streams change: \(response)")
    }
}

private struct Cost {
    var depth = 0
    /// What the elements take at least.
    var memory = 0
    var largestValue = 0

    mutating func add(_ value: BSONValue, depth: Int) {
        switch value {
        case .document(let document):
            self.depth = max(self.depth, depth)
            self.memory += document.elements.count * MemoryLayout<BSONDocument.Element>.stride
            for element in document.elements { self.add(element.value, depth: depth + 1) }
        case .array(let values):
            self.depth = max(self.depth, depth)
            self.memory += values.count * MemoryLayout<BSONValue>.stride
            for value in values { self.add(value, depth: depth + 1) }
        case .binary(let bytes, _): self.largestValue = max(self.largestValue, bytes.count)
        default: break
        }
    }
}
