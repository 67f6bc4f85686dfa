import FoundationEssentials

/// How an agent and a server that trust each other get in touch (wire: `CommunicationStyle`).
///
/// In files the number is written; numbers and names are read. Styles that belong to other products are kept as they are.
package struct CommunicationStyle: Hashable, Sendable, RawRepresentable {
    package var rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    package static let none = CommunicationStyle(rawValue: 0)
    /// The server dials the agent: `TentaclePassive`.
    package static let listening = CommunicationStyle(rawValue: 1)
    /// The agent dials the server: `TentacleActive`.
    package static let polling = CommunicationStyle(rawValue: 2)

    private static let names = [
        "None", "TentaclePassive", "TentacleActive", "Ssh", "OfflineDrop", "AzureWebApp", "Ftp", "AzureCloudService",
        "AzureServiceFabricCluster", "Kubernetes", "StepPackage", "KubernetesTentacle", "AwsEcsCluster",
    ]

    /// The style with this wire name, in any case.
    package init?(wireName: String) {
        guard let index = Self.names.firstIndex(where: { $0.lowercased() == wireName.lowercased() }) else { return nil }
        self.init(rawValue: index)
    }

    package var wireName: String {
        Self.names.indices.contains(self.rawValue) ? Self.names[self.rawValue] : "\(self.rawValue)"
    }
}

/// A server that this agent obeys: an element of `Tentacle.Communication.TrustedOctopusServers` (spec 6.3).
package struct TrustedServer: Hashable, Sendable {
    package var thumbprint: String
    package var communicationStyle: CommunicationStyle
    /// Polling address as it was written, without trailing slash; nil for a server that dials us.
    package var address: String?
    /// The server's, of before certificates named it; kept as it is.
    package var squid: String?
    package var subscriptionID: String?
    /// What an agent of before subscriptions polls under, when the entry has none: made of the agent's own squid.
    package var legacySubscriptionID: String?
    /// Members of another version or product, kept as they were read.
    package var additionalMembers: [OrderedJSON.Member] = []

    package init(
        thumbprint: String,
        communicationStyle: CommunicationStyle,
        address: String? = nil,
        squid: String? = nil,
        subscriptionID: String? = nil
    ) {
        self.thumbprint = thumbprint
        self.communicationStyle = communicationStyle
        self.address = address
        self.squid = squid
        self.subscriptionID = subscriptionID
    }

    /// Where a polling agent takes its work from: `poll://…/`.
    package var effectiveSubscriptionID: String? { self.subscriptionID ?? self.legacySubscriptionID }

    /// Same server and same way to it: what an upsert replaces.
    package func isSameEndpoint(as other: TrustedServer) -> Bool {
        self.thumbprint.lowercased() == other.thumbprint.lowercased()
            && Self.comparable(self.address) == Self.comparable(other.address)
    }

    package func hasAddress(_ address: String) -> Bool {
        self.address != nil && Self.comparable(self.address) == Self.comparable(address)
    }

    private static func comparable(_ address: String?) -> String? {
        address.map { NetworkAddress($0)?.description ?? $0.lowercased() }
    }
}

extension TrustedServer: Decodable {
    private static let members = ["thumbprint", "communicationstyle", "address", "squid", "subscriptionid"]

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: JSONMemberName.self)
        // In an order of their own: of two spellings always the same one counts.
        let keys = container.allKeys.sorted { $0.stringValue < $1.stringValue }
        func text(_ name: String) throws -> String? {
            guard let key = keys.first(where: { $0.stringValue.lowercased() == name }) else { return nil }
            return try container.decodeIfPresent(String.self, forKey: key)
        }
        var style = CommunicationStyle.none
        if let key = keys.first(where: { $0.stringValue.lowercased() == "communicationstyle" }) {
            if let number = try? container.decode(Int.self, forKey: key) {
                style = CommunicationStyle(rawValue: number)
            } else if let named = CommunicationStyle(wireName: try container.decode(String.self, forKey: key)) {
                style = named
            } else {
                throw DecodingError.dataCorruptedError(
                    forKey: key,
                    in: container,
                    debugDescription: "unknown communication style"
                )
            }
        }
        self.init(
            thumbprint: Thumbprints.trimmed(try text("thumbprint") ?? ""),
            communicationStyle: style,
            address: try text("address"),
            squid: try text("squid"),
            subscriptionID: try text("subscriptionid")
        )
        for key in keys where !Self.members.contains(key.stringValue.lowercased()) {
            self.additionalMembers.append(.init(key.stringValue, try container.decode(OrderedJSON.self, forKey: key)))
        }
    }

    /// Members in the order of the stock agent.
    package var json: OrderedJSON {
        .object(
            [
                .init("Thumbprint", .string(self.thumbprint)),
                .init("CommunicationStyle", .integer(Int64(self.communicationStyle.rawValue))),
            ] + self.additionalMembers + [
                .init("Address", .string(orNull: self.address)),
                .init("Squid", .string(orNull: self.squid)),
                .init("SubscriptionId", .string(orNull: self.subscriptionID)),
            ]
        )
    }
}

extension [TrustedServer] {
    /// Replaces the entry of the same thumbprint and address, or appends one (spec 6.3, upsert rule).
    package mutating func upsert(_ server: TrustedServer) {
        var server = server
        server.squid = server.squid?.uppercased()
        self.removeAll { $0.isSameEndpoint(as: server) }
        self.append(server)
    }
}

/// Thumbprints as people type them.
package enum Thumbprints {
    /// Blanks and colons, which copying from other programs brings along, are dropped.
    package static func trimmed(_ text: String) -> String {
        String(text.filter { !$0.isWhitespace && $0 != ":" && $0 != "\u{200E}" })
    }
}
