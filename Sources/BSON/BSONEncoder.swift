import FoundationEssentials

/// Turns `Encodable` values into documents as Json.NET would (halibut.md 6.2, tentacle-services.md 2.3).
///
/// Members keep their order and `nil` is written as null. `Int64`, `UInt64`, `Int` and `UInt` become int64, narrower
/// integers int32; a .NET `int` is therefore an `Int32` in a contract. `Date` becomes a datetime, `UUID` a GUID,
/// `Duration` the text of a `TimeSpan`, `[UInt8]` and `Data` binary.
public struct BSONEncoder: Sendable {
    /// Creates an encoder; it holds no state.
    public init() {}

    /// The value's form in a slot declared with its own type: no type name.
    ///
    /// - Throws: `EncodingError` for a value without a form on the wire, and whatever the value's own code throws.
    public func encode<T: Encodable>(_ value: T) throws -> BSONValue {
        try BSONEncoding.encode(value, in: nil, key: nil)
    }

    /// The value's form in a slot declared as `object`, an element of `params` or a `result`: type name first.
    ///
    /// Values that are not documents carry no type name (halibut.md 6.4).
    ///
    /// - Throws: As ``encode(_:)``.
    public func encode<T: Encodable>(_ value: T, typeName: String) throws -> BSONValue {
        let encoded = try self.encode(value)
        guard case .document(var document) = encoded else { return encoded }
        document.elements.insert(.init(key: "$type", value: .string(typeName)), at: 0)
        return .document(document)
    }
}

/// The `Encoder` of one value, and the place its containers write to.
///
/// Members are kept in their final form; the few that are nested containers, filled later, leave a null in their place
/// until ``resolved`` puts them in.
private final class BSONEncoding: Encoder {
    private enum Storage {
        case empty
        case value(BSONValue)
        case members([BSONDocument.Element])
        case values([BSONValue])
    }

    private let parent: BSONEncoding?
    private let key: (any CodingKey)?
    private var storage = Storage.empty
    private var nested: [(index: Int, encoding: BSONEncoding)] = []

    /// From the root to here; made when asked for, which is for error messages only.
    var codingPath: [any CodingKey] {
        guard let key = self.key else { return self.parent?.codingPath ?? [] }
        return (self.parent?.codingPath ?? []) + [key]
    }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(parent: BSONEncoding?, key: (any CodingKey)?) {
        self.parent = parent
        self.key = key
    }

    static func encode<T: Encodable>(
        _ value: T,
        in parent: BSONEncoding?,
        key: (any CodingKey)?
    ) throws -> BSONValue {
        let encoding = BSONEncoding(parent: parent, key: key)
        if let direct = try encoding.direct(value) { return direct }
        try value.encode(to: encoding)
        return encoding.resolved
    }

    /// The form of the types whose own `encode(to:)` is not what the wire wants.
    private func direct<T: Encodable>(_ value: T) throws -> BSONValue? {
        // Comparing the static type first keeps dynamic casts off the path of every other member.
        if T.self == UUID.self, let uuid = value as? UUID { return .uuid(uuid) }
        if T.self == Duration.self, let duration = value as? Duration { return .string(TimeSpanText.encode(duration)) }
        if T.self == [UInt8].self, let bytes = value as? [UInt8] { return .binary(bytes, subtype: 0) }
        if T.self == Data.self, let data = value as? Data { return .binary(Array(data), subtype: 0) }
        if T.self == Date.self, let date = value as? Date {
            guard let milliseconds = Int64(exactly: (date.timeIntervalSince1970 * 1000).rounded()) else {
                throw EncodingError.invalidValue(
                    value,
                    .init(codingPath: self.codingPath, debugDescription: "The date is out of range.")
                )
            }
            return .dateTime(millisecondsSince1970: milliseconds)
        }
        return nil
    }

    var resolved: BSONValue {
        switch self.storage {
        case .empty: return .document(BSONDocument())
        case .value(let value): return value
        case .members(var members):
            for (index, encoding) in self.nested { members[index].value = encoding.resolved }
            return .document(BSONDocument(elements: members))
        case .values(var values):
            for (index, encoding) in self.nested { values[index] = encoding.resolved }
            return .array(values)
        }
    }

    // MARK: What containers call

    func set(_ value: BSONValue) { self.storage = .value(value) }

    func append(_ value: BSONValue, key: String) {
        guard case .members(var members) = self.storage else { return }
        // The storage lets go of the array first, so that appending does not copy it.
        self.storage = .empty
        members.append(.init(key: key, value: value))
        self.storage = .members(members)
    }

    func append(_ value: BSONValue) {
        guard case .values(var values) = self.storage else { return }
        self.storage = .empty
        values.append(value)
        self.storage = .values(values)
    }

    func nested(key: any CodingKey) -> BSONEncoding {
        let encoding = BSONEncoding(parent: self, key: key)
        self.nested.append((self.count, encoding))
        self.append(.null, key: key.stringValue)
        return encoding
    }

    func nestedInArray() -> BSONEncoding {
        let encoding = BSONEncoding(parent: self, key: IndexKey(intValue: self.count))
        self.nested.append((self.count, encoding))
        self.append(.null)
        return encoding
    }

    var count: Int {
        switch self.storage {
        case .members(let members): members.count
        case .values(let values): values.count
        case .empty, .value: 0
        }
    }

    // MARK: Encoder

    func container<Key: CodingKey>(keyedBy: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .members = self.storage {} else { self.storage = .members([]) }
        return KeyedEncodingContainer(KeyedContainer<Key>(encoding: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .values = self.storage {} else { self.storage = .values([]) }
        return UnkeyedContainer(encoding: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { SingleValueContainer(encoding: self) }
}

/// Places scalars where a container puts them; the widths follow the .NET type that the Swift type stands for.
private protocol ScalarSink {
    var codingPath: [any CodingKey] { get }
}

extension ScalarSink {
    func scalar(_ value: UInt32) -> BSONValue {
        // Json.NET writes a uint as int32 while it fits.
        Int32(exactly: value).map(BSONValue.int32) ?? .int64(Int64(value))
    }

    func scalar(_ value: UInt64) throws -> BSONValue {
        guard let number = Int64(exactly: value) else {
            throw EncodingError.invalidValue(
                value,
                .init(codingPath: self.codingPath, debugDescription: "The number does not fit into 64 bits with sign.")
            )
        }
        return .int64(number)
    }
}

private struct KeyedContainer<Key: CodingKey>: KeyedEncodingContainerProtocol, ScalarSink {
    let encoding: BSONEncoding
    var codingPath: [any CodingKey] { self.encoding.codingPath }

    private func put(_ value: BSONValue, _ key: Key) { self.encoding.append(value, key: key.stringValue) }

    func encodeNil(forKey key: Key) { self.put(.null, key) }
    func encode(_ value: Bool, forKey key: Key) { self.put(.bool(value), key) }
    func encode(_ value: String, forKey key: Key) { self.put(.string(value), key) }
    func encode(_ value: Double, forKey key: Key) { self.put(.double(value), key) }
    func encode(_ value: Float, forKey key: Key) { self.put(.double(Double(value)), key) }
    func encode(_ value: Int, forKey key: Key) { self.put(.int64(Int64(value)), key) }
    func encode(_ value: Int8, forKey key: Key) { self.put(.int32(Int32(value)), key) }
    func encode(_ value: Int16, forKey key: Key) { self.put(.int32(Int32(value)), key) }
    func encode(_ value: Int32, forKey key: Key) { self.put(.int32(value), key) }
    func encode(_ value: Int64, forKey key: Key) { self.put(.int64(value), key) }
    func encode(_ value: UInt, forKey key: Key) throws { self.put(try self.scalar(UInt64(value)), key) }
    func encode(_ value: UInt8, forKey key: Key) { self.put(.int32(Int32(value)), key) }
    func encode(_ value: UInt16, forKey key: Key) { self.put(.int32(Int32(value)), key) }
    func encode(_ value: UInt32, forKey key: Key) { self.put(self.scalar(value), key) }
    func encode(_ value: UInt64, forKey key: Key) throws { self.put(try self.scalar(value), key) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        self.put(try BSONEncoding.encode(value, in: self.encoding, key: key), key)
    }

    // Synthesised conformances call these for optionals; the standard ones leave nil out, the wire wants null.
    private func putIfPresent<T: Encodable>(_ value: T?, _ key: Key) throws {
        guard let value else { return self.encodeNil(forKey: key) }
        try self.encode(value, forKey: key)
    }
    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try self.putIfPresent(value, key) }
    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws { try self.putIfPresent(value, key) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy keyType: Nested.Type,
        forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        self.encoding.nested(key: key).container(keyedBy: keyType)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        self.encoding.nested(key: key).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { self.encoding.nested(key: SuperKey()) }
    func superEncoder(forKey key: Key) -> any Encoder { self.encoding.nested(key: key) }
}

private struct UnkeyedContainer: UnkeyedEncodingContainer, ScalarSink {
    let encoding: BSONEncoding
    var codingPath: [any CodingKey] { self.encoding.codingPath }
    var count: Int { self.encoding.count }

    func encodeNil() { self.encoding.append(.null) }
    func encode(_ value: Bool) { self.encoding.append(.bool(value)) }
    func encode(_ value: String) { self.encoding.append(.string(value)) }
    func encode(_ value: Double) { self.encoding.append(.double(value)) }
    func encode(_ value: Float) { self.encoding.append(.double(Double(value))) }
    func encode(_ value: Int) { self.encoding.append(.int64(Int64(value))) }
    func encode(_ value: Int8) { self.encoding.append(.int32(Int32(value))) }
    func encode(_ value: Int16) { self.encoding.append(.int32(Int32(value))) }
    func encode(_ value: Int32) { self.encoding.append(.int32(value)) }
    func encode(_ value: Int64) { self.encoding.append(.int64(value)) }
    func encode(_ value: UInt) throws { self.encoding.append(try self.scalar(UInt64(value))) }
    func encode(_ value: UInt8) { self.encoding.append(.int32(Int32(value))) }
    func encode(_ value: UInt16) { self.encoding.append(.int32(Int32(value))) }
    func encode(_ value: UInt32) { self.encoding.append(self.scalar(value)) }
    func encode(_ value: UInt64) throws { self.encoding.append(try self.scalar(value)) }
    func encode<T: Encodable>(_ value: T) throws {
        let key = IndexKey(intValue: self.count)
        self.encoding.append(try BSONEncoding.encode(value, in: self.encoding, key: key))
    }

    func nestedContainer<Nested: CodingKey>(keyedBy keyType: Nested.Type) -> KeyedEncodingContainer<Nested> {
        self.encoding.nestedInArray().container(keyedBy: keyType)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { self.encoding.nestedInArray().unkeyedContainer() }
    func superEncoder() -> any Encoder { self.encoding.nestedInArray() }
}

private struct SingleValueContainer: SingleValueEncodingContainer, ScalarSink {
    let encoding: BSONEncoding
    var codingPath: [any CodingKey] { self.encoding.codingPath }

    func encodeNil() { self.encoding.set(.null) }
    func encode(_ value: Bool) { self.encoding.set(.bool(value)) }
    func encode(_ value: String) { self.encoding.set(.string(value)) }
    func encode(_ value: Double) { self.encoding.set(.double(value)) }
    func encode(_ value: Float) { self.encoding.set(.double(Double(value))) }
    func encode(_ value: Int) { self.encoding.set(.int64(Int64(value))) }
    func encode(_ value: Int8) { self.encoding.set(.int32(Int32(value))) }
    func encode(_ value: Int16) { self.encoding.set(.int32(Int32(value))) }
    func encode(_ value: Int32) { self.encoding.set(.int32(value)) }
    func encode(_ value: Int64) { self.encoding.set(.int64(value)) }
    func encode(_ value: UInt) throws { self.encoding.set(try self.scalar(UInt64(value))) }
    func encode(_ value: UInt8) { self.encoding.set(.int32(Int32(value))) }
    func encode(_ value: UInt16) { self.encoding.set(.int32(Int32(value))) }
    func encode(_ value: UInt32) { self.encoding.set(self.scalar(value)) }
    func encode(_ value: UInt64) throws { self.encoding.set(try self.scalar(value)) }
    func encode<T: Encodable>(_ value: T) throws {
        self.encoding.set(try BSONEncoding.encode(value, in: self.encoding, key: nil))
    }
}

/// The place of an element of an array, for error messages.
struct IndexKey: CodingKey {
    let index: Int
    var intValue: Int? { self.index }
    var stringValue: String { "\(self.index)" }

    init(intValue: Int) { self.index = intValue }
    init?(stringValue: String) { nil }
}

/// The name `Codable` gives to a superclass's members.
struct SuperKey: CodingKey {
    var intValue: Int? { nil }
    var stringValue: String { "super" }

    init() {}
    init?(intValue: Int) { nil }
    init?(stringValue: String) { nil }
}
