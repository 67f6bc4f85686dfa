package import FoundationEssentials

/// A host that receives deployments (the wire calls it Machine).
package struct DeploymentTarget: Codable, Hashable, Sendable {
    package enum Health: String, Codable, Sendable {
        case unknown = "Unknown"
        case healthy = "Healthy"
        case hasWarnings = "HasWarnings"
        case unhealthy = "Unhealthy"
        case unavailable = "Unavailable"

        /// The legacy status of the same meaning (rest-api.md 19.2).
        package var legacyStatus: String {
            switch self {
            case .unknown: "Unknown"
            case .healthy, .hasWarnings: "Online"
            case .unhealthy, .unavailable: "Offline"
            }
        }
    }

    /// What the last health check found out about the host; nil where nothing is known.
    package struct HostFacts: Codable, Hashable, Sendable {
        package var operatingSystem: String?
        package var shellName: String?
        package var shellVersion: String?
        package var architecture: String?
        package var agentVersion: String?

        package init() {}
    }

    package var id: String
    package var spaceID: String
    package var name: String
    package var slug: String
    package var environmentIDs: [String]
    package var roles: [String]
    package var endpoint: AgentEndpoint
    package var isDisabled: Bool
    package var machinePolicyID: String
    package var health: Health
    package var healthSummary: String
    package var lastChecked: Date?
    package var facts: HostFacts
    package var echoed: JSONObject

    package init(
        id: String,
        spaceID: String,
        name: String,
        slug: String,
        environmentIDs: [String],
        roles: [String],
        endpoint: AgentEndpoint,
        isDisabled: Bool = false,
        machinePolicyID: String = "MachinePolicies-1",
        echoed: JSONObject = [:]
    ) {
        (self.id, self.spaceID, self.name, self.slug) = (id, spaceID, name, slug)
        (self.environmentIDs, self.roles, self.endpoint) = (environmentIDs, roles, endpoint)
        (self.isDisabled, self.machinePolicyID, self.echoed) = (isDisabled, machinePolicyID, echoed)
        (self.health, self.healthSummary) = (.unknown, "This machine has not been checked yet.")
        (self.lastChecked, self.facts) = (nil, HostFacts())
    }
}

/// How the server reaches an agent, and whom it expects there.
package struct AgentEndpoint: Codable, Hashable, Sendable {
    package enum Style: String, Codable, Sendable {
        case listening = "TentaclePassive"
        case polling = "TentacleActive"
    }

    package var style: Style
    /// As the client wrote it (rest-api.md 19.2 wants it back verbatim).
    package var uri: String
    /// 40 upper-case hexadecimal digits.
    package var thumbprint: String
    package var proxyID: String?

    package init(style: Style, uri: String, thumbprint: String, proxyID: String? = nil) {
        (self.style, self.uri, self.thumbprint, self.proxyID) = (style, uri, thumbprint, proxyID)
    }

    /// The form in which endpoints are compared: lower case, empty path written `/` (halibut.md 1).
    package var normalisedURI: String {
        let lowered = uri.lowercased()
        guard let scheme = lowered.range(ofText: "://") else { return lowered }
        let rest = lowered[scheme.upperBound...]
        let host = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return "\(lowered[..<scheme.upperBound])\(host)/"
    }
}

extension String {
    /// The first place of `text`, without Foundation.
    fileprivate func range(ofText text: String) -> Range<String.Index>? { firstRange(of: text) }
}
