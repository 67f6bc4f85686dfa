public import FoundationEssentials

/// A type that an argument or a result of a remote method may have (halibut.md 6.2, 8.2).
///
/// .NET declares these slots as `object`, so only what comes back as the type it was fits into one: no 32-bit integer, no
/// enumeration, no `Duration` and no list. Inside an ``RPCContract`` all of them work.
public protocol RPCValue: Codable, Sendable {
    /// The type's name in a .NET signature: `Int64`.
    static var rpcTypeName: String { get }
    /// Whether .NET would pass null for it.
    static var isRPCReference: Bool { get }
    /// Whether `nil` is one of its values.
    static var hasRPCNull: Bool { get }

    /// Whether .NET's overload resolution would pass this argument, which is not null.
    static func fits(_ argument: BSONValue) -> Bool

    /// Reads the value from its slot.
    ///
    /// - Throws: `DecodingError`.
    init(rpcValue: BSONValue) throws

    /// The value as it stands in its slot.
    ///
    /// - Throws: `EncodingError`.
    func rpcValue() throws -> BSONValue
}

extension RPCValue {
    public static var isRPCReference: Bool { false }
    public static var hasRPCNull: Bool { false }

    public init(rpcValue: BSONValue) throws { self = try BSONDecoder().decode(Self.self, from: rpcValue) }

    public func rpcValue() throws -> BSONValue { try BSONEncoder().encode(self) }
}

/// A class that travels as an argument or result of a remote method, or inside one.
///
/// As an argument or result it carries its .NET name as first member, inside another object it does not (halibut.md 6.4).
/// The members have .NET's names, `CodingKeys` in capitals as a rule, and are written in the order of the Codable form.
public protocol RPCContract: RPCValue {
    /// The text of `$type` that we write: `Full.Type.Name, Assembly`.
    static var wireTypeName: String { get }

    /// Whether a peer's `$type` names this class.
    static func accepts(wireTypeName: String) -> Bool
}

extension RPCContract {
    /// Compares class and assembly; the assembly's version, culture and key are not looked at.
    public static func accepts(wireTypeName: String) -> Bool {
        wireTypeName == self.wireTypeName || wireTypeName.hasPrefix("\(self.wireTypeName),")
    }

    /// The last word of the class name.
    public static var rpcTypeName: String {
        let fullName = self.wireTypeName.prefix { $0 != "," }
        return String(fullName.split { $0 == "." || $0 == "+" }.last ?? fullName)
    }

    public static var isRPCReference: Bool { true }

    /// A document of this class, or of none.
    public static func fits(_ argument: BSONValue) -> Bool {
        guard case .document(let document) = argument else { return false }
        return document.typeName.map { self.accepts(wireTypeName: $0) } ?? true
    }

    public func rpcValue() throws -> BSONValue { try BSONEncoder().encode(self, typeName: Self.wireTypeName) }
}

// MARK: What .NET calls primitives

extension String: RPCValue {
    public static var rpcTypeName: String { "String" }
    public static var isRPCReference: Bool { true }
    public static func fits(_ argument: BSONValue) -> Bool { argument.string != nil }
}

extension Int64: RPCValue {
    public static var rpcTypeName: String { "Int64" }
    public static func fits(_ argument: BSONValue) -> Bool { argument.integer != nil }
}

extension Int: RPCValue {
    public static var rpcTypeName: String { "Int64" }
    public static func fits(_ argument: BSONValue) -> Bool { argument.integer != nil }
}

extension Double: RPCValue {
    public static var rpcTypeName: String { "Double" }
    public static func fits(_ argument: BSONValue) -> Bool { if case .double = argument { true } else { false } }
}

extension Bool: RPCValue {
    public static var rpcTypeName: String { "Boolean" }
    public static func fits(_ argument: BSONValue) -> Bool { argument.bool != nil }
}

extension UUID: RPCValue {
    public static var rpcTypeName: String { "Guid" }
    public static func fits(_ argument: BSONValue) -> Bool { if case .uuid = argument { true } else { false } }
}

extension Date: RPCValue {
    public static var rpcTypeName: String { "DateTime" }
    public static func fits(_ argument: BSONValue) -> Bool { if case .dateTime = argument { true } else { false } }
}

/// Bytes go as `{"$type": "System.Byte[], mscorlib", "$value": …}` (halibut.md 6.2).
extension Array: RPCValue where Element == UInt8 {
    private static var wireTypeName: String { "System.Byte[], mscorlib" }

    public static var rpcTypeName: String { "Byte[]" }
    public static var isRPCReference: Bool { true }

    public static func fits(_ argument: BSONValue) -> Bool {
        guard case .document(let document) = argument else { return argument.binary != nil }
        return document.typeName?.hasPrefix("System.Byte[],") == true
    }

    public init(rpcValue: BSONValue) throws {
        let content = rpcValue.document?["$value"] ?? rpcValue
        self = try BSONDecoder().decode([UInt8].self, from: content)
    }

    public func rpcValue() throws -> BSONValue {
        ["$type": .string(Self.wireTypeName), "$value": .binary(self, subtype: 0)]
    }
}

extension Optional: RPCValue where Wrapped: RPCValue {
    public static var rpcTypeName: String { Wrapped.rpcTypeName }
    public static var isRPCReference: Bool { Wrapped.isRPCReference }
    public static var hasRPCNull: Bool { true }
    public static func fits(_ argument: BSONValue) -> Bool { Wrapped.fits(argument) }

    public init(rpcValue: BSONValue) throws { self = rpcValue.isNull ? nil : try Wrapped(rpcValue: rpcValue) }

    public func rpcValue() throws -> BSONValue { try self?.rpcValue() ?? .null }
}

extension BSONValue {
    fileprivate var binary: [UInt8]? { if case .binary(let bytes, _) = self { bytes } else { nil } }

    /// How .NET would name the type of this argument (halibut.md 6.2).
    package var rpcTypeName: String {
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
        case .document(let document): document.typeName.map { String($0.prefix { $0 != "," }) } ?? "JObject"
        }
    }
}
