/// Takes values out of a TOML table, and remembers what is wrong with them.
///
/// Whoever asks goes on after a problem, so that a person sees all of them at once.
struct SettingsReader {
    /// In one list.
    static let maximumElements = 256
    static let maximumTextBytes = 4095

    let path: String
    private(set) var problems: [SettingsFileError.Problem] = []

    /// A text in a list, with the line it stands on.
    struct Element {
        var text: String
        var line: Int
    }

    init(path: String) { self.path = path }

    func finish() throws(SettingsFileError) {
        if !problems.isEmpty { throw SettingsFileError(problems) }
    }

    mutating func refuse(_ line: Int, _ text: String) {
        problems.append(SettingsFileError.Problem(path: path, line: line, text: text))
    }

    /// `KEY is …, not VALUE`.
    mutating func refuse(_ entry: TOMLEntry, _ allowed: String, not value: TOMLValue? = nil) {
        let value = value ?? entry.value
        refuse(value.line, "\(entry.key) is \(allowed), not \(value.description)")
    }

    mutating func unknown(_ entry: TOMLEntry, in table: String, known: String) {
        refuse(entry.line, "unknown key \(TOMLText.key(entry.key))\(table); known are \(known)")
    }

    // MARK: Values

    mutating func table(_ entry: TOMLEntry) -> TOMLTable? {
        guard case .table(let table) = entry.value.kind else {
            refuse(entry, "a table: [\(entry.key)]")
            return nil
        }
        return table
    }

    mutating func boolean(_ entry: TOMLEntry, _ former: Bool) -> Bool {
        guard case .boolean(let value) = entry.value.kind else {
            refuse(entry, "true or false")
            return former
        }
        return value
    }

    /// A text without control characters.
    mutating func text(_ entry: TOMLEntry, _ allowed: String) -> String? {
        guard case .string(let text) = entry.value.kind else {
            refuse(entry, allowed)
            return nil
        }
        guard Self.isPlain(text) else {
            refuse(entry, "one line of at most \(Self.maximumTextBytes) bytes")
            return nil
        }
        return text
    }

    mutating func integer(_ entry: TOMLEntry, _ range: ClosedRange<Int64>, _ allowed: String) -> Int64? {
        guard case .integer(let number) = entry.value.kind, range.contains(number) else {
            refuse(entry, allowed)
            return nil
        }
        return number
    }

    /// Bytes, as a number or as a text with a unit.
    mutating func size(_ entry: TOMLEntry) -> Int64? {
        switch entry.value.kind {
        case .integer(let number) where number >= 0: return number
        case .string(let text): if let bytes = ByteSize.parse(text) { return bytes }
        default: break
        }
        refuse(entry, "a number of bytes, or a text like \"512M\" that ends in K, M, G or T")
        return nil
    }

    /// A list of texts; numbers count as texts where they are allowed.
    mutating func list(_ entry: TOMLEntry, of what: String, numbers: Bool = false) -> [Element] {
        var elements: [Element] = []
        for value in array(entry, of: what) {
            switch value.kind {
            case .string(let text) where Self.isPlain(text): elements.append(Element(text: text, line: value.line))
            case .integer(let number) where numbers: elements.append(Element(text: "\(number)", line: value.line))
            default: refuse(entry, "a list of \(what)", not: value)
            }
        }
        return elements
    }

    /// Adds what is not in the list yet.
    mutating func ports(_ entry: TOMLEntry, into list: inout [UInt16]) {
        for value in array(entry, of: "ports") {
            guard case .integer(let number) = value.kind, (1...65_535).contains(number) else {
                refuse(entry, "a list of ports from 1 to 65535", not: value)
                continue
            }
            if !list.contains(UInt16(number)) { list.append(UInt16(number)) }
        }
    }

    /// Adds what is not in the list yet.
    mutating func paths(_ entry: TOMLEntry, into list: inout [String]) {
        for element in paths(entry) where !list.contains(element.text) { list.append(element.text) }
    }

    /// Without a slash at the end.
    mutating func paths(_ entry: TOMLEntry) -> [Element] {
        var elements: [Element] = []
        for var element in list(entry, of: "absolute paths") {
            if element.text.utf8.count > 1, element.text.utf8.last == UInt8(ascii: "/") { element.text.removeLast() }
            if let why = Self.problem(ofPath: element.text) {
                refuse(element.line, "\(entry.key): \(TOMLText.quoted(TOMLText.shortened(element.text))) \(why)")
            } else {
                elements.append(element)
            }
        }
        return elements
    }

    private mutating func array(_ entry: TOMLEntry, of what: String) -> [TOMLValue] {
        guard case .array(let values) = entry.value.kind else {
            refuse(entry, "a list of \(what)")
            return []
        }
        guard values.count <= Self.maximumElements else {
            refuse(entry.line, "\(entry.key) has \(values.count) values; at most \(Self.maximumElements) are allowed")
            return []
        }
        return values
    }

    // MARK: Forms

    static func isPlain(_ text: String) -> Bool {
        guard text.utf8.count <= maximumTextBytes else { return false }
        for byte in text.utf8 where byte < 0x20 || byte == 0x7F { return false }
        return true
    }

    /// What is wrong with a path that a policy names.
    static func problem(ofPath path: String) -> String? {
        guard path.utf8.first == UInt8(ascii: "/") else { return "is no absolute path" }
        guard path != "/" else { return "cannot be listed; read-only-root is for everything" }
        var parts = ByteParts(of: Array(path.utf8)[1...], separator: "/")
        while let part = parts.next() {
            if part.isEmpty { return "has an empty part" }
            if part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) { return "must be without . and .. parts" }
        }
        return nil
    }
}
