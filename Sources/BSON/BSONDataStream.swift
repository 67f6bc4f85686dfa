package import FoundationEssentials

/// A data stream that a document announces: its bytes follow the message on the wire (halibut.md 6.6 and 9).
package struct BSONDataStream: Hashable, Sendable {
    /// The wire name of the type, written first in `params` and `result`.
    package static let typeName = "Halibut.DataStream, Halibut"

    package var id: UUID
    /// The announced length; the head in front of the bytes is what counts.
    package var length: Int64

    package init(id: UUID, length: Int64) {
        self.id = id
        self.length = length
    }

    /// The stream that a document stands for, or `nil` when it is another document.
    ///
    /// That is a document with the type name of a stream, or one whose members are exactly `id` (a GUID in any form) and
    /// `length` (an integer of either width). A typed one with unusable members still counts, with the zero id: its
    /// writer sends bytes for it, and skipping it would lose our place on the wire.
    package init?(_ document: BSONDocument) {
        if let typeName = document.typeName, Self.isTypeName(typeName) {
            self.init(id: document["id"]?.uuid ?? .zero, length: document["length"]?.integer ?? 0)
        } else if document.elements.count == 2, let id = document["id"]?.uuid,
            let length = document["length"]?.integer
        {
            self.init(id: id, length: length)
        } else {
            return nil
        }
    }

    /// The value of a stream in a slot declared as `object` (with its type) or as `DataStream` (without).
    package func value(typed: Bool) -> BSONValue {
        var elements: [BSONDocument.Element] = []
        if typed { elements.append(.init(key: "$type", value: .string(Self.typeName))) }
        elements.append(.init(key: "id", value: .uuid(self.id)))
        elements.append(.init(key: "length", value: .int64(self.length)))
        return .document(BSONDocument(elements: elements))
    }

    /// Whether a type name is ours, whatever version and key its assembly carries (halibut.md 6.4).
    private static func isTypeName(_ name: String) -> Bool {
        name.hasPrefix(Self.typeName)
            && (name.utf8.count == Self.typeName.utf8.count
                || name.utf8.dropFirst(Self.typeName.utf8.count).first == 0x2c)
    }
}

extension BSONValue {
    /// Every data stream announced in the value, depth first in document order: the order in which a writer sends them.
    package var dataStreams: [BSONDataStream] {
        var found: [BSONDataStream] = []
        self.collectDataStreams(into: &found)
        return found
    }

    fileprivate func collectDataStreams(into found: inout [BSONDataStream]) {
        switch self {
        case .document(let document): document.collectDataStreams(into: &found)
        case .array(let values): for value in values { value.collectDataStreams(into: &found) }
        default: break
        }
    }
}

extension BSONDocument {
    /// Every data stream announced in the document, depth first in document order.
    package var dataStreams: [BSONDataStream] { BSONValue.document(self).dataStreams }

    fileprivate func collectDataStreams(into found: inout [BSONDataStream]) {
        if let stream = BSONDataStream(self) {
            found.append(stream)
        } else {
            for element in self.elements { element.value.collectDataStreams(into: &found) }
        }
    }
}
