import BSON
import FoundationEssentials
import Halibut
import ScriptExecution
import TentacleContracts

/// One service's translation between the wire and the domain; it knows names and types, and nothing about scripts.
protocol ServiceAdapter: Sendable {
    /// The contract's name on the wire.
    static var name: String { get }

    /// Executes one method, or throws ``RPCMethodNotFound`` for a name that is none.
    func call(_ method: String, _ arguments: CallArguments) async throws -> RPCResult
}

extension ServiceAdapter {
    /// What a caller gets who asks for a method that the contract does not have.
    func methodNotFound(_ method: String) -> RPCMethodNotFound {
        RPCMethodNotFound(service: "Octopus.Tentacle.Services.\(Self.name.dropFirst())", method: method)
    }
}

/// The arguments of one call.
struct CallArguments: Sendable {
    let parameters: [BSONValue]
    let streams: [UUID: ReceivedDataStream]

    init(_ request: RPCRequest) {
        parameters = request.parameters
        streams = request.streams
    }

    /// The only argument, which must be a contract object of this type.
    ///
    /// - Throws: ``RPCAmbiguousMethod`` when the arguments do not fit, as .NET's overload resolution would.
    func only<Contract: WireContract>(_ type: Contract.Type, of signature: String) throws -> Contract {
        if parameters.count == 1, case .null = parameters[0] {
            // Null fits any class; the method then trips over it.
            throw RPCServiceError(
                "Object reference not set to an instance of an object.",
                typeName: "System.NullReferenceException"
            )
        }
        guard parameters.count == 1, case .document(let document) = parameters[0],
            document.typeName.map({ type.accepts(wireTypeName: $0) }) ?? true
        else { throw doNotFit(signature) }
        return try BSONDecoder().decode(type, from: parameters[0])
    }

    /// The error for arguments that fit no overload (halibut.md 8.2).
    func doNotFit(_ signature: String) -> RPCAmbiguousMethod {
        RPCAmbiguousMethod(candidates: [signature], argumentTypes: parameters.map(\.wireTypeText))
    }

    /// The bytes that came for a reference inside the arguments.
    func staged(_ reference: DataStreamReference) throws -> StagedStream {
        guard let stream = streams[reference.id] else {
            throw RPCServiceError("The data stream \(reference.id) did not come with the call.")
        }
        return .file(path: stream.path, length: stream.length)
    }
}

extension RPCResult {
    /// A contract object, with its `$type`.
    init<Contract: WireContract>(contract value: Contract) throws {
        self.init(try BSONEncoder().encode(value, typeName: Contract.wireTypeName))
    }
}

extension BSONValue {
    /// How .NET would name the type of this argument.
    fileprivate var wireTypeText: String {
        switch self {
        case .null: "<null>"
        case .string: "String"
        case .bool: "Boolean"
        case .int32, .int64: "Int64"
        case .double: "Double"
        case .dateTime: "DateTime"
        case .uuid: "Guid"
        case .binary: "Byte[]"
        case .array: "JArray"
        case .document(let document):
            document.typeName.map { WireTypeName($0).description.split(separator: ",").first.map(String.init) ?? $0 }
                ?? "JObject"
        }
    }
}
