import BSON

/// The result of `IFileTransferService.UploadFile` (tentacle-services.md 12).
package struct UploadResult: WireContract, Hashable {
    package static let wireTypeName = "Octopus.Shared.Contracts.UploadResult, Octopus.Shared"

    /// The path of the stored file, resolved.
    package var fullPath: String
    /// SHA-1 of the stored file in lower-case hex; `nil` when nothing was stored.
    package var hash: String?
    package var length: Int64

    package init(fullPath: String, hash: String?, length: Int64) {
        self.fullPath = fullPath
        self.hash = hash
        self.length = length
    }

    private enum CodingKeys: String, CodingKey {
        case fullPath = "FullPath"
        case hash = "Hash"
        case length = "Length"
    }
}

/// The result of `ICapabilitiesServiceV2.GetCapabilities` (tentacle-services.md 13).
package struct CapabilitiesResponseV2: WireContract, Hashable {
    package static let wireTypeName =
        "Octopus.Tentacle.Contracts.Capabilities.CapabilitiesResponseV2, Octopus.Tentacle.Contracts"

    package var supportedCapabilities: [String]

    package init(supportedCapabilities: [String]) {
        self.supportedCapabilities = supportedCapabilities
    }

    /// What our agent answers: exactly these three, and nothing that mentions Kubernetes.
    package static let ofTentacle = CapabilitiesResponseV2(
        supportedCapabilities: [
            ServiceName.scriptService, ServiceName.fileTransferService, ServiceName.scriptServiceV2,
        ]
    )

    private enum CodingKeys: String, CodingKey {
        case supportedCapabilities = "SupportedCapabilities"
    }
}
