import Halibut
import ScriptExecution
import TentacleContracts

extension RPCService {
    /// `IFileTransferService` (tentacle-services.md 12).
    static func fileTransfer(_ files: FileTransfer) -> RPCService {
        var service = RPCService(agentService: ServiceName.fileTransferService)
        service.method(MethodName.uploadFile) { (_, path: String, contents: DataStream?) in
            let staged = contents?.received.map { StagedStream.file(path: $0.path, length: $0.length) }
            let uploaded = try await files.upload(to: path, staged)
            return UploadResult(fullPath: uploaded.fullPath, hash: uploaded.hash, length: uploaded.length)
        }
        service.method(MethodName.downloadFile) { (_, path: String) in
            try await files.download(path).map { DataStream(file: $0.path, length: $0.length) }
        }
        return service
    }
}
