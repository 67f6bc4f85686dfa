/// Replaces plain `#{Name}` by its value; everything else of the template language stays as it is.
///
/// The real engine (filters, conditions, loops) has an issue of its own. Until then a reference that is not a known name
/// reaches the script unchanged, as an unresolved one does in the real product.
package enum VariableBinding {
    package static func substitute(_ values: [String: String], in text: String) -> String {
        guard text.contains("#{") else { return text }
        var folded: [String: String] = [:]
        for (name, value) in values { folded[name.lowercased()] = value }
        var result = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "#{") {
            result += rest[..<start.lowerBound]
            let body = rest[start.upperBound...]
            guard let end = body.firstIndex(of: "}") else {
                result += rest[start.lowerBound...]
                return result
            }
            let name = body[..<end].trimmingSpaces
            result += folded[name.lowercased()] ?? String(rest[start.lowerBound...end])
            rest = body[body.index(after: end)...]
        }
        return result + rest
    }
}
