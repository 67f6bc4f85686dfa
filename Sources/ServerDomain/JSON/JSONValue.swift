/// A JSON value whose objects keep their members' order.
///
/// Clients compare what they sent with what they get back (rest-api.md 5, rules 15–17), so everything the server does not
/// interpret travels through it as one of these.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// The members of a JSON object, in order; look-up ignores ASCII case (rest-api.md 1).
package struct JSONObject: Hashable, Sendable {
    package struct Member: Hashable, Sendable {
        package var name: String
        package var value: JSONValue
    }

    package var members: [Member] = []

    package init() {}

    package subscript(name: String) -> JSONValue? {
        get { members.first { $0.name.equalsIgnoringASCIICase(name) }?.value }
        set {
            let index = members.firstIndex { $0.name.equalsIgnoringASCIICase(name) }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    /// This object with `other`'s members laid over it.
    package func merging(_ other: JSONObject) -> JSONObject {
        var result = self
        for member in other.members { result[member.name] = member.value }
        return result
    }

    /// Only the members with these names, in this object's order.
    package func only(_ names: [String]) -> JSONObject {
        var result = JSONObject()
        result.members = members.filter { member in names.contains { $0.equalsIgnoringASCIICase(member.name) } }
        return result
    }

    /// The text of a string member; absent, null and other kinds are nil.
    package func text(_ name: String) -> String? { self[name]?.text }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        members = elements.map { Member(name: $0.0, value: $0.1) }
    }
}

extension JSONValue {
    package var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    package var truth: Bool? {
        guard case .bool(let truth) = self else { return nil }
        return truth
    }

    package var wholeNumber: Int? {
        switch self {
        case .integer(let value): Int(exactly: value)
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    package var items: [JSONValue]? {
        guard case .array(let items) = self else { return nil }
        return items
    }

    package var members: JSONObject? {
        guard case .object(let object) = self else { return nil }
        return object
    }

    /// An array of texts; items of other kinds make it nil.
    package var texts: [String]? {
        guard let items else { return nil }
        let texts = items.compactMap(\.text)
        return texts.count == items.count ? texts : nil
    }

    package init(_ texts: [String]) { self = .array(texts.map(JSONValue.string)) }
    package init(orNull text: String?) { self = text.map(JSONValue.string) ?? .null }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByStringInterpolation
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(nilLiteral: ()) { self = .null }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        object.members = elements.map { JSONObject.Member(name: $0.0, value: $0.1) }
        self = .object(object)
    }
}

/// In the store a JSON value is its own text: that keeps the order of members.
extension JSONValue: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            self = try JSONValue(parsing: Array(container.decode(String.self).utf8))
        } catch let error as JSONSyntaxError {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(decoding: serialized(), as: UTF8.self))
    }
}

extension JSONObject: Codable {
    package init(from decoder: any Decoder) throws {
        let value = try JSONValue(from: decoder)
        self = value.members ?? JSONObject()
    }

    package func encode(to encoder: any Encoder) throws { try JSONValue.object(self).encode(to: encoder) }
}

extension StringProtocol {
    /// ASCII-only case folding: names, ids and slugs are compared so.
    package func equalsIgnoringASCIICase(_ other: some StringProtocol) -> Bool {
        let left = utf8
        let right = other.utf8
        guard left.count == right.count else { return false }
        return zip(left, right).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
    }
}

extension UInt8 {
    fileprivate var asciiLowercased: UInt8 { (0x41...0x5a).contains(self) ? self | 0x20 : self }
}
