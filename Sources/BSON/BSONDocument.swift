/// An ordered list of named values: element 03, and the root of every message.
///
/// Order is kept because metadata (`$type`) must come first and because data streams follow a message in document order.
/// Names are compared without regard to ASCII case, as Json.NET does on read (halibut.md 6).
public struct BSONDocument: Hashable, Sendable {
    /// One named value.
    public struct Element: Hashable, Sendable {
        /// The member's name, as spelled by its writer.
        public var key: String
        /// The member's value.
        public var value: BSONValue

        /// Creates a named value.
        public init(key: String, value: BSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// The members in wire order.
    ///
    /// A name may occur twice when a peer wrote it twice.
    public var elements: [Element]

    /// Creates a document from its members in wire order.
    public init(elements: [Element] = []) {
        self.elements = elements
    }

    /// The value of a member, named in any case.
    ///
    /// Of several members with one name the last counts, as in Json.NET. Setting replaces the last member of that name
    /// in place or appends; setting `nil` removes every member of that name.
    public subscript(key: String) -> BSONValue? {
        get {
            self.lastIndex(of: key).map { self.elements[$0].value }
        }
        set {
            guard let newValue else {
                self.elements.removeAll { $0.key.equalsIgnoringASCIICase(key) }
                return
            }
            if let index = self.lastIndex(of: key) {
                self.elements[index].value = newValue
            } else {
                self.elements.append(Element(key: key, value: newValue))
            }
        }
    }

    private func lastIndex(of key: String) -> Int? {
        // The spelling is right as a rule, and comparing for equality is much the cheaper.
        self.elements.lastIndex { $0.key == key } ?? self.elements.lastIndex { $0.key.equalsIgnoringASCIICase(key) }
    }

    /// The text of `$type`, when it is the first member; elsewhere it is an ordinary member (halibut.md 6.4).
    public var typeName: String? {
        guard let first = self.elements.first, first.key == "$type" else { return nil }
        return first.value.string
    }
}

extension BSONDocument: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, BSONValue)...) {
        self.elements = elements.map { Element(key: $0, value: $1) }
    }
}

extension String {
    /// Whether two names are equal when the letters A–Z and a–z are not told apart.
    package func equalsIgnoringASCIICase(_ other: String) -> Bool {
        if self == other { return true }
        let left = self.utf8
        let right = other.utf8
        guard left.count == right.count else { return false }
        return zip(left, right).allSatisfy { $0 == $1 || ($0 ^ $1 == 0x20 && (0x61...0x7a).contains($0 | 0x20)) }
    }
}
