import BSON
import Halibut
import ScriptExecution
import TentacleContracts

/// `IFileTransferService` (tentacle-services.md 12).
struct FileTransferServiceAdapter: ServiceAdapter {
    static let name = ServiceName.fileTransferService

    let files: FileTransfer

    func call(_ method: String, _ arguments: CallArguments) async throws -> RPCResult {
        switch method.lowercased() {
        case "uploadfile": try await upload(arguments)
        case "downloadfile": try await download(arguments)
        default: throw methodNotFound(method)
        }
    }

    private func upload(_ arguments: CallArguments) async throws -> RPCResult {
        let signature = "UploadResult UploadFile(String, DataStream)"
        guard arguments.parameters.count == 2, case .string(let path) = arguments.parameters[0] else {
            throw arguments.doNotFit(signature)
        }
        let contents: StagedStream?
        switch arguments.parameters[1] {
        case .null: contents = nil
        case .document(let document):
            guard let reference = BSONDataStream(document) else { throw arguments.doNotFit(signature) }
            contents = try arguments.staged(DataStreamReference(id: reference.id, length: reference.length))
        default: throw arguments.doNotFit(signature)
        }
        let uploaded = try await files.upload(to: path, contents)
        return try RPCResult(
            contract: UploadResult(fullPath: uploaded.fullPath, hash: uploaded.hash, length: uploaded.length)
        )
    }

    private func download(_ arguments: CallArguments) async throws -> RPCResult {
        guard arguments.parameters.count == 1, case .string(let path) = arguments.parameters[0] else {
            throw arguments.doNotFit("DataStream DownloadFile(String)")
        }
        guard let file = try await files.download(path) else { return .void }
        let stream = OutgoingDataStream(file: file.path, length: file.length)
        return RPCResult(stream.reference(typed: true), streams: [stream])
    }
}
