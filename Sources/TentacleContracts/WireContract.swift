package import BSON

/// A contract of the agent's services, some of which go by two names (tentacle-services.md 2.2).
package protocol WireContract: RPCContract {
    /// Every text of `$type` that we take for this class.
    static var acceptedWireTypeNames: [String] { get }
}

extension WireContract {
    package static var acceptedWireTypeNames: [String] { WireTypeName(self.wireTypeName).accepted.map(\.description) }

    /// Whether a peer's `$type` names this class, whatever version its assembly carries.
    package static func accepts(wireTypeName: String) -> Bool {
        wireTypeName == self.wireTypeName || WireTypeName(wireTypeName).isSameClass(as: WireTypeName(self.wireTypeName))
    }
}

/// A .NET enumeration: written as its ordinal, read from a number or from a name in any case (tentacle-services.md 2.3).
package protocol WireEnumeration: RawRepresentable<Int32>, CaseIterable, Codable, Sendable {
    /// The name of the value in .NET.
    var wireName: String { get }
}

extension WireEnumeration {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let value: Self?
        let text: String
        if let ordinal = try? container.decode(Int32.self) {
            value = Self(rawValue: ordinal)
            text = "\(ordinal)"
        } else {
            text = try container.decode(String.self)
            value = Self(wireText: text)
        }
        guard let value else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\(text) is not a value of \(Self.self)."
            )
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.rawValue)
    }

    /// The value with this name, in any case, or with this ordinal in decimal.
    package init?(wireText text: String) {
        let lowered = text.lowercased()
        let match = Self.allCases.first { $0.wireName.lowercased() == lowered }
        guard let value = match ?? Int32(text).flatMap(Self.init(rawValue:)) else { return nil }
        self = value
    }
}
