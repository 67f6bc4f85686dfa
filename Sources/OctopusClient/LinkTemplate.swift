/// The links of the server's documents: RFC 6570 templates as far as they are used there (spec tentacle-cli.md 12.2).
package enum LinkTemplate {
    /// Fills a template; parameters that it does not name are dropped, names match in any case.
    package static func expand(_ template: String, _ parameters: [String: String] = [:]) -> String {
        var values: [String: String] = [:]
        for (name, value) in parameters where !value.isEmpty { values[name.lowercased()] = value }
        var result = ""
        var rest = template[...]
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            result += rest[..<open]
            result += Self.expand(expression: rest[rest.index(after: open)..<close], values)
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }

    private static func expand(expression: Substring, _ values: [String: String]) -> String {
        let operators: [Character: (first: String, separator: String, isNamed: Bool)] = [
            "?": ("?", "&", true), "&": ("&", "&", true), ";": (";", ";", true),
            "/": ("/", "/", false), ".": (".", ".", false), "+": ("", ",", false), "#": ("#", ",", false),
        ]
        let form = expression.first.flatMap { operators[$0] }
        let names = (form == nil ? expression : expression.dropFirst()).split(separator: ",")
        let (first, separator, isNamed) = form ?? ("", ",", false)
        let isRaw = expression.first == "+" || expression.first == "#"
        let parts = names.compactMap { name -> String? in
            let name = name.filter { $0 != "*" }
            guard let value = values[name.lowercased()] else { return nil }
            let text = isRaw ? value : Self.encoded(value)
            return isNamed ? "\(name)=\(text)" : text
        }
        return parts.isEmpty ? "" : first + parts.joined(separator: separator)
    }

    /// Percent-encodes everything but the unreserved characters.
    package static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}
