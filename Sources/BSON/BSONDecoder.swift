import FoundationEssentials

/// Turns documents into `Decodable` values with the leniencies of Json.NET (halibut.md 6.7, tentacle-services.md 2.3).
///
/// Names match in any case, the last of several wins, unknown members are ignored. A missing member and a null are the
/// default of their type: null, 0, `false`, the empty text or list, the zero id; a class has all its members at their
/// defaults. Integers come from any numeric element, `Date` from a datetime or ISO 8601 text, `UUID` from binary or text,
/// `Duration` from the text of a `TimeSpan`.
public struct BSONDecoder: Sendable {
    /// Creates a decoder; it holds no state.
    public init() {}

    /// The value that an element stands for.
    ///
    /// - Throws: `DecodingError` for an element of another kind, a number out of range, or an unknown enumeration value.
    public func decode<T: Decodable>(_ type: T.Type, from value: BSONValue) throws -> T {
        try BSONDecoding.decode(type, from: value, at: [])
    }
}

/// The `Decoder` of one value.
///
/// Paths are passed unevaluated: they are needed for error messages only, and building one allocates.
private struct BSONDecoding: Decoder {
    let value: BSONValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func decode<T: Decodable>(
        _ type: T.Type,
        from value: BSONValue,
        at path: @autoclosure () -> [any CodingKey]
    ) throws -> T {
        if let direct = try Self.direct(type, from: value, at: path()) { return direct }
        return try T(from: BSONDecoding(value: value, codingPath: path()))
    }

    /// The types whose own `init(from:)` is not what the wire carries.
    private static func direct<T>(
        _ type: T.Type,
        from value: BSONValue,
        at path: @autoclosure () -> [any CodingKey]
    ) throws -> T? {
        if T.self == UUID.self { return try value.decodeUUID(at: path()) as? T }
        if T.self == Duration.self { return try value.decodeDuration(at: path()) as? T }
        if T.self == Date.self { return try value.decodeDate(at: path()) as? T }
        if T.self == [UInt8].self { return try value.decodeBytes(at: path()) as? T }
        if T.self == Data.self { return Data(try value.decodeBytes(at: path())) as? T }
        return nil
    }

    func container<Key: CodingKey>(keyedBy: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(
            KeyedContainer<Key>(
                document: try self.value.decodeDocument(at: self.codingPath),
                codingPath: self.codingPath
            )
        )
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        UnkeyedContainer(values: try self.value.decodeArray(at: self.codingPath), codingPath: self.codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer {
        SingleValueContainer(value: self.value, codingPath: self.codingPath)
    }
}

// MARK: - Scalars

extension BSONValue {
    fileprivate func mismatch(_ expected: Any.Type, _ what: String, at path: [any CodingKey]) -> DecodingError {
        .typeMismatch(expected, .init(codingPath: path, debugDescription: "Expected \(what), found \(self.kind)."))
    }

    /// What the element is called in messages; never its content, which may be secret.
    private var kind: String {
        switch self {
        case .double: "a double"
        case .string: "a string"
        case .document: "a document"
        case .array: "an array"
        case .binary(let bytes, let subtype): "\(bytes.count) bytes of binary \(subtype)"
        case .uuid: "a GUID"
        case .bool: "a boolean"
        case .dateTime: "a datetime"
        case .null: "null"
        case .int32, .int64: "an integer"
        }
    }

    fileprivate func decodeBool(at path: @autoclosure () -> [any CodingKey]) throws -> Bool {
        switch self {
        case .bool(let flag): return flag
        case .int32(let number): return number != 0
        case .int64(let number): return number != 0
        case .null: return false
        default: throw self.mismatch(Bool.self, "a boolean", at: path())
        }
    }

    fileprivate func decodeString(at path: @autoclosure () -> [any CodingKey]) throws -> String {
        switch self {
        case .string(let text): return text
        case .uuid(let uuid): return uuid.wireText
        case .null: return ""
        default: throw self.mismatch(String.self, "a string", at: path())
        }
    }

    fileprivate func decodeInteger<T: FixedWidthInteger>(
        _: T.Type,
        at path: @autoclosure () -> [any CodingKey]
    ) throws -> T {
        let number: T?
        switch self {
        case .int32(let value): number = T(exactly: value)
        case .int64(let value): number = T(exactly: value)
        // .NET rounds to even.
        case .double(let value): number = T(exactly: value.rounded(.toNearestOrEven))
        case .null: number = 0
        default: throw self.mismatch(T.self, "a number", at: path())
        }
        guard let number else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: path(), debugDescription: "The number does not fit into \(T.bitWidth) bits.")
            )
        }
        return number
    }

    fileprivate func decodeDouble(at path: @autoclosure () -> [any CodingKey]) throws -> Double {
        switch self {
        case .double(let number): return number
        case .int32(let number): return Double(number)
        case .int64(let number): return Double(number)
        case .null: return 0
        default: throw self.mismatch(Double.self, "a number", at: path())
        }
    }

    fileprivate func decodeUUID(at path: @autoclosure () -> [any CodingKey]) throws -> UUID {
        if self.isNull { return .zero }
        guard let uuid = self.uuid else { throw self.mismatch(UUID.self, "a GUID", at: path()) }
        return uuid
    }

    fileprivate func decodeDuration(at path: @autoclosure () -> [any CodingKey]) throws -> Duration {
        switch self {
        case .string(let text):
            guard let duration = TimeSpanText.decode(text) else {
                throw DecodingError.dataCorrupted(
                    .init(codingPath: path(), debugDescription: "\(text) is not a time span; write it as d.hh:mm:ss.")
                )
            }
            return duration
        case .null: return .zero
        default: throw self.mismatch(Duration.self, "the text of a time span", at: path())
        }
    }

    fileprivate func decodeDate(at path: @autoclosure () -> [any CodingKey]) throws -> Date {
        switch self {
        case .dateTime(let milliseconds): return Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        case .string(let text):
            guard let date = DateText.decode(text) else {
                throw DecodingError.dataCorrupted(
                    .init(codingPath: path(), debugDescription: "\(text) is not an ISO 8601 date and time.")
                )
            }
            return date
        // The default of a DateTimeOffset: 0001-01-01.
        case .null: return Date(timeIntervalSince1970: -62_135_596_800)
        default: throw self.mismatch(Date.self, "a date and time", at: path())
        }
    }

    fileprivate func decodeBytes(at path: @autoclosure () -> [any CodingKey]) throws -> [UInt8] {
        switch self {
        case .binary(let bytes, _): return bytes
        case .null: return []
        // A byte array in an `object` slot is wrapped to carry its type (halibut.md 6.2).
        case .document(let document) where document.typeName != nil:
            return try (document["$value"] ?? .null).decodeBytes(at: path())
        default: throw self.mismatch([UInt8].self, "binary", at: path())
        }
    }

    fileprivate func decodeDocument(at path: @autoclosure () -> [any CodingKey]) throws -> BSONDocument {
        switch self {
        case .document(let document): return document
        case .null: return BSONDocument()
        default: throw self.mismatch(BSONDocument.self, "a document", at: path())
        }
    }

    fileprivate func decodeArray(at path: @autoclosure () -> [any CodingKey]) throws -> [BSONValue] {
        switch self {
        case .array(let values): return values
        case .null: return []
        // A list in a slot of another type is wrapped to carry its own (halibut.md 6.2, 6.4).
        case .document(let document) where document.typeName != nil && document["$values"] != nil:
            return try (document["$values"] ?? .null).decodeArray(at: path())
        default: throw self.mismatch([BSONValue].self, "an array", at: path())
        }
    }
}

// MARK: - Containers

private struct KeyedContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let document: BSONDocument
    let codingPath: [any CodingKey]
    /// Lower-case names to values, when there are too many members to look through them for each.
    private let index: [String: BSONValue]?

    /// A contract class has at most ten members; more are a dictionary.
    private static var membersWithoutIndex: Int { 16 }

    init(document: BSONDocument, codingPath: [any CodingKey]) {
        self.document = document
        self.codingPath = codingPath
        self.index =
            document.elements.count <= Self.membersWithoutIndex
            ? nil
            : Dictionary(
                document.elements.map { ($0.key.lowercased(), $0.value) },
                uniquingKeysWith: { _, last in last }
            )
    }

    private func member(_ key: Key) -> BSONValue? {
        if let index = self.index { index[key.stringValue.lowercased()] } else { self.document[key.stringValue] }
    }

    private func value(_ key: Key) -> BSONValue { self.member(key) ?? .null }
    private func path(_ key: Key) -> [any CodingKey] { self.codingPath + [key] }

    var allKeys: [Key] { self.document.elements.compactMap { Key(stringValue: $0.key) } }
    func contains(_ key: Key) -> Bool { self.member(key) != nil }
    func decodeNil(forKey key: Key) -> Bool { self.value(key).isNull }

    func decode(_: Bool.Type, forKey key: Key) throws -> Bool { try self.value(key).decodeBool(at: self.path(key)) }
    func decode(_: String.Type, forKey key: Key) throws -> String {
        try self.value(key).decodeString(at: self.path(key))
    }
    func decode(_: Double.Type, forKey key: Key) throws -> Double {
        try self.value(key).decodeDouble(at: self.path(key))
    }
    func decode(_: Float.Type, forKey key: Key) throws -> Float {
        Float(try self.value(key).decodeDouble(at: self.path(key)))
    }
    func decode(_: Int.Type, forKey key: Key) throws -> Int { try self.integer(key) }
    func decode(_: Int8.Type, forKey key: Key) throws -> Int8 { try self.integer(key) }
    func decode(_: Int16.Type, forKey key: Key) throws -> Int16 { try self.integer(key) }
    func decode(_: Int32.Type, forKey key: Key) throws -> Int32 { try self.integer(key) }
    func decode(_: Int64.Type, forKey key: Key) throws -> Int64 { try self.integer(key) }
    func decode(_: UInt.Type, forKey key: Key) throws -> UInt { try self.integer(key) }
    func decode(_: UInt8.Type, forKey key: Key) throws -> UInt8 { try self.integer(key) }
    func decode(_: UInt16.Type, forKey key: Key) throws -> UInt16 { try self.integer(key) }
    func decode(_: UInt32.Type, forKey key: Key) throws -> UInt32 { try self.integer(key) }
    func decode(_: UInt64.Type, forKey key: Key) throws -> UInt64 { try self.integer(key) }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try BSONDecoding.decode(type, from: self.value(key), at: self.path(key))
    }
    private func integer<T: FixedWidthInteger>(_ key: Key) throws -> T {
        try self.value(key).decodeInteger(T.self, at: self.path(key))
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type,
        forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try self.nested(key).container(keyedBy: keyType)
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try self.nested(key).unkeyedContainer()
    }
    func superDecoder() -> any Decoder {
        BSONDecoding(value: self.document["super"] ?? .null, codingPath: self.codingPath + [SuperKey()])
    }
    func superDecoder(forKey key: Key) -> any Decoder { self.nested(key) }
    private func nested(_ key: Key) -> BSONDecoding { BSONDecoding(value: self.value(key), codingPath: self.path(key)) }
}

private struct UnkeyedContainer: UnkeyedDecodingContainer {
    let values: [BSONValue]
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0

    init(values: [BSONValue], codingPath: [any CodingKey]) {
        self.values = values
        self.codingPath = codingPath
    }

    var count: Int? { self.values.count }
    var isAtEnd: Bool { self.currentIndex >= self.values.count }

    /// Decodes the next value; the place moves on only when that works.
    private mutating func next<T>(_ decode: (BSONValue, () -> [any CodingKey]) throws -> T) throws -> T {
        let index = self.currentIndex
        let codingPath = self.codingPath
        let path = { () -> [any CodingKey] in codingPath + [IndexKey(intValue: index)] }
        guard index < self.values.count else {
            throw DecodingError.valueNotFound(
                T.self,
                .init(codingPath: path(), debugDescription: "The array has no more values.")
            )
        }
        let result = try decode(self.values[index], path)
        self.currentIndex += 1
        return result
    }

    private mutating func integer<T: FixedWidthInteger>() throws -> T {
        try self.next { try $0.decodeInteger(T.self, at: $1()) }
    }

    mutating func decodeNil() -> Bool {
        guard !self.isAtEnd, self.values[self.currentIndex].isNull else { return false }
        self.currentIndex += 1
        return true
    }
    mutating func decode(_: Bool.Type) throws -> Bool { try self.next { try $0.decodeBool(at: $1()) } }
    mutating func decode(_: String.Type) throws -> String { try self.next { try $0.decodeString(at: $1()) } }
    mutating func decode(_: Double.Type) throws -> Double { try self.next { try $0.decodeDouble(at: $1()) } }
    mutating func decode(_: Float.Type) throws -> Float { Float(try self.next { try $0.decodeDouble(at: $1()) }) }
    mutating func decode(_: Int.Type) throws -> Int { try self.integer() }
    mutating func decode(_: Int8.Type) throws -> Int8 { try self.integer() }
    mutating func decode(_: Int16.Type) throws -> Int16 { try self.integer() }
    mutating func decode(_: Int32.Type) throws -> Int32 { try self.integer() }
    mutating func decode(_: Int64.Type) throws -> Int64 { try self.integer() }
    mutating func decode(_: UInt.Type) throws -> UInt { try self.integer() }
    mutating func decode(_: UInt8.Type) throws -> UInt8 { try self.integer() }
    mutating func decode(_: UInt16.Type) throws -> UInt16 { try self.integer() }
    mutating func decode(_: UInt32.Type) throws -> UInt32 { try self.integer() }
    mutating func decode(_: UInt64.Type) throws -> UInt64 { try self.integer() }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try self.next { try BSONDecoding.decode(type, from: $0, at: $1()) }
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try self.next { try BSONDecoding(value: $0, codingPath: $1()).container(keyedBy: keyType) }
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try self.next { try BSONDecoding(value: $0, codingPath: $1()).unkeyedContainer() }
    }
    mutating func superDecoder() throws -> any Decoder {
        try self.next { BSONDecoding(value: $0, codingPath: $1()) }
    }
}

private struct SingleValueContainer: SingleValueDecodingContainer {
    let value: BSONValue
    let codingPath: [any CodingKey]

    private func integer<T: FixedWidthInteger>() throws -> T {
        try self.value.decodeInteger(T.self, at: self.codingPath)
    }

    func decodeNil() -> Bool { self.value.isNull }
    func decode(_: Bool.Type) throws -> Bool { try self.value.decodeBool(at: self.codingPath) }
    func decode(_: String.Type) throws -> String { try self.value.decodeString(at: self.codingPath) }
    func decode(_: Double.Type) throws -> Double { try self.value.decodeDouble(at: self.codingPath) }
    func decode(_: Float.Type) throws -> Float { Float(try self.value.decodeDouble(at: self.codingPath)) }
    func decode(_: Int.Type) throws -> Int { try self.integer() }
    func decode(_: Int8.Type) throws -> Int8 { try self.integer() }
    func decode(_: Int16.Type) throws -> Int16 { try self.integer() }
    func decode(_: Int32.Type) throws -> Int32 { try self.integer() }
    func decode(_: Int64.Type) throws -> Int64 { try self.integer() }
    func decode(_: UInt.Type) throws -> UInt { try self.integer() }
    func decode(_: UInt8.Type) throws -> UInt8 { try self.integer() }
    func decode(_: UInt16.Type) throws -> UInt16 { try self.integer() }
    func decode(_: UInt32.Type) throws -> UInt32 { try self.integer() }
    func decode(_: UInt64.Type) throws -> UInt64 { try self.integer() }
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        try BSONDecoding.decode(type, from: self.value, at: self.codingPath)
    }
}
