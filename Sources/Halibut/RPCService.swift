public import BSON

/// A service made of closures, each with the types of its method.
///
///     var echo = RPCService("IEchoService")
///     echo.method("SayHello") { (_, name: String) in "Hello \(name)" }
///
/// Several closures of one name are overloads; the arguments decide (halibut.md 8.2). An error that a closure throws is
/// reported as the service's own failure, with its `description`; ``RPCServiceError`` says more.
public struct RPCService: Sendable {
    /// The contract's name on the wire: `IEchoService`.
    public let name: String
    private let implementation: String
    private var overloads: [String: [Method]] = [:]

    private struct Method: Sendable {
        /// In the form `ReturnType Name(ParameterTypes)`.
        var signature: String
        var fits: @Sendable ([BSONValue]) -> Bool
        var call: @Sendable (RPCRequest) async throws -> RPCResult
    }

    /// A service without methods.
    ///
    /// - Parameters:
    ///   - name: The contract's name on the wire, without a namespace.
    ///   - implementation: The class that "method not found" errors name; by default the contract's name without its `I`.
    public init(_ name: String, implementation: String? = nil) {
        self.name = name
        self.implementation = implementation ?? String(name.first == "I" ? name.dropFirst() : name[...])
    }

    /// Adds a method, or an overload of one, that returns a value.
    ///
    /// - Parameters:
    ///   - name: The method's name without `Async`; callers may spell it in any case.
    ///   - body: Gets the request (who calls, its data streams) and the arguments.
    public mutating func method<each Argument: RPCValue, Result: RPCValue>(
        _ name: String,
        _ body: @escaping @Sendable (RPCRequest, repeat each Argument) async throws -> Result
    ) {
        self.add(name, (repeat (each Argument).self), returning: Result.rpcTypeName) { request in
            var arguments = Arguments(request)
            let result = try await body(request, repeat try arguments.next((each Argument).self))
            let (value, streams) = try DataStream.writing { try result.rpcValue() }
            return RPCResult(value, streams: streams)
        }
    }

    /// Adds a method, or an overload of one, that returns nothing.
    ///
    /// - Parameters:
    ///   - name: The method's name without `Async`; callers may spell it in any case.
    ///   - body: Gets the request (who calls, its data streams) and the arguments.
    public mutating func method<each Argument: RPCValue>(
        _ name: String,
        _ body: @escaping @Sendable (RPCRequest, repeat each Argument) async throws -> Void
    ) {
        self.add(name, (repeat (each Argument).self), returning: "Void") { request in
            var arguments = Arguments(request)
            try await body(request, repeat try arguments.next((each Argument).self))
            return .void
        }
    }

    private mutating func add<each Argument: RPCValue>(
        _ name: String,
        _ types: (repeat (each Argument).Type),
        returning result: String,
        _ call: @escaping @Sendable (RPCRequest) async throws -> RPCResult
    ) {
        var names: [String] = []
        for type in repeat each types { names.append(type.rpcTypeName) }
        let count = names.count
        let method = Method(
            signature: "\(result) \(name)(\(names.joined(separator: ", ")))",
            fits: { arguments in
                guard arguments.count == count else { return false }
                var rest = arguments[...]
                for type in repeat (each Argument).self {
                    guard let argument = rest.popFirst() else { return false }
                    guard argument.isNull ? type.isRPCReference : type.fits(argument) else { return false }
                }
                return true
            },
            call: call
        )
        self.overloads[name.lowercased(), default: []].append(method)
    }

    /// Executes one call of this service.
    func dispatch(_ request: RPCRequest) async throws -> RPCResult {
        guard let candidates = self.overloads[request.method.lowercased()] else {
            throw RPCMethodNotFound(service: self.implementation, method: request.method)
        }
        let fitting = candidates.filter { $0.fits(request.parameters) }
        guard let method = fitting.first, fitting.count == 1 else {
            throw RPCAmbiguousMethod(
                candidates: (fitting.isEmpty ? candidates : fitting).map(\.signature),
                argumentTypes: request.parameters.map(\.rpcTypeName),
                severalFit: !fitting.isEmpty
            )
        }
        return try await method.call(request)
    }
}

/// The arguments of a call, one after the other.
private struct Arguments {
    private var rest: ArraySlice<BSONValue>
    private let request: RPCRequest

    init(_ request: RPCRequest) {
        self.rest = request.parameters[...]
        self.request = request
    }

    mutating func next<Argument: RPCValue>(_ type: Argument.Type) throws -> Argument {
        let argument = self.rest.popFirst() ?? .null
        guard !argument.isNull || type.hasRPCNull else {
            // Null fits any class; the method then trips over it.
            throw RPCServiceError(
                "Object reference not set to an instance of an object.",
                typeName: "System.NullReferenceException"
            )
        }
        return try DataStream.reading(self.request.streams) { try type.init(rpcValue: argument) }
    }
}

/// The services of a program, by name.
public struct RPCServices: RPCDispatcher {
    private let services: [String: RPCService]
    private let matchesCase: Bool

    /// Services of different names.
    ///
    /// - Parameters:
    ///   - services: The services; of several with one name the last counts.
    ///   - matchesCase: Whether callers must spell a service's name as it is. Halibut itself takes any case (halibut.md
    ///     8.1), the stock agent does not.
    public init(_ services: [RPCService], matchesCase: Bool = false) {
        let pairs = services.map { (matchesCase ? $0.name : $0.name.lowercased(), $0) }
        self.services = Dictionary(pairs) { _, last in last }
        self.matchesCase = matchesCase
    }

    public func dispatch(_ request: RPCRequest) async throws -> RPCResult {
        let name = self.matchesCase ? request.service : request.service.lowercased()
        guard let service = self.services[name] else { throw RPCServiceNotFound(service: request.service) }
        return try await service.dispatch(request)
    }
}
