public import FoundationEssentials

/// One value of the BSON subset that Halibut puts on the wire (halibut.md 6.1).
///
/// The tree is what a receiver works on before it knows which contract type a document stands for: ordered, bounded by
/// limits when it was read, written back byte for byte as Json.NET would.
public enum BSONValue: Hashable, Sendable {
    /// Element 01.
    case double(Double)
    /// Element 02. Elements 0B, 0D and 0E are read as this, too.
    case string(String)
    /// Element 03.
    case document(BSONDocument)
    /// Element 04. The keys of the elements are not kept: they are always `0`, `1`, `2`, ….
    case array([BSONValue])
    /// Element 05 with any subtype but 04. Element 07 is read as subtype 00.
    case binary([UInt8], subtype: UInt8)
    /// Element 05, subtype 04. The 16 bytes are permuted to and from .NET order (halibut.md 6.3).
    case uuid(UUID)
    /// Element 08.
    case bool(Bool)
    /// Element 09, milliseconds since 1970-01-01T00:00:00Z.
    case dateTime(millisecondsSince1970: Int64)
    /// Element 0A. Element 06 is read as this, too.
    case null
    /// Element 10.
    case int32(Int32)
    /// Element 12. Element 11 is read as this, too.
    case int64(Int64)
}

extension BSONValue {
    /// The text of a string element.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The members of a document element.
    public var document: BSONDocument? {
        if case .document(let document) = self { document } else { nil }
    }

    /// The members of an array element.
    public var array: [BSONValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The truth value of a boolean element.
    public var bool: Bool? {
        if case .bool(let flag) = self { flag } else { nil }
    }

    /// Whether this is element 0A.
    public var isNull: Bool {
        if case .null = self { true } else { false }
    }

    /// The number of an integer element of either width; contract members are read from both (tentacle-services.md 2.3).
    public var integer: Int64? {
        switch self {
        case .int32(let number): Int64(number)
        case .int64(let number): number
        default: nil
        }
    }

    /// The GUID of an element, with the leniencies of halibut.md 6.3: 16 bytes of subtype 00 or 03, or text.
    public var uuid: UUID? {
        switch self {
        case .uuid(let uuid): uuid
        case .binary(let bytes, subtype: 0), .binary(let bytes, subtype: 3): UUID(dotNetBytes: bytes)
        case .string(let text): UUID(lenientText: text)
        default: nil
        }
    }
}

extension BSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: BSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, BSONValue)...) {
        self = .document(BSONDocument(elements: elements.map { BSONDocument.Element(key: $0, value: $1) }))
    }
}
