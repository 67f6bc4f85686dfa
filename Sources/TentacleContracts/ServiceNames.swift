/// The services of an agent, as they stand in `service` (tentacle-services.md 1).
///
/// There is no other.
package enum ServiceName {
    package static let scriptServiceV2 = "IScriptServiceV2"
    package static let scriptService = "IScriptService"
    package static let fileTransferService = "IFileTransferService"
    package static let capabilitiesServiceV2 = "ICapabilitiesServiceV2"

    package static let all = [scriptServiceV2, scriptService, fileTransferService, capabilitiesServiceV2]
}

/// The methods of the services, as they stand in `method`: always the name without `Async`, looked up in any case.
package enum MethodName {
    /// Both script services.
    package static let startScript = "StartScript"
    package static let getStatus = "GetStatus"
    package static let cancelScript = "CancelScript"
    package static let completeScript = "CompleteScript"
    /// `UploadFile(remotePath: string, upload: DataStream) → UploadResult`.
    package static let uploadFile = "UploadFile"
    /// `DownloadFile(remotePath: string) → DataStream`, or null when there is no such file.
    package static let downloadFile = "DownloadFile"
    /// `GetCapabilities() → CapabilitiesResponseV2`.
    package static let getCapabilities = "GetCapabilities"

    /// The methods of a service; empty for a service that no agent has.
    package static func all(of service: String) -> [String] {
        switch service {
        case ServiceName.scriptServiceV2, ServiceName.scriptService:
            [self.startScript, self.getStatus, self.cancelScript, self.completeScript]
        case ServiceName.fileTransferService: [self.uploadFile, self.downloadFile]
        case ServiceName.capabilitiesServiceV2: [self.getCapabilities]
        default: []
        }
    }
}
