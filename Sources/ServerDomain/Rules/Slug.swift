/// The form of a name that fits into a URL (rest-api.md 5.3).
package enum Slug {
    package static func make(from name: String) -> String {
        var slug = ""
        for scalar in name.lowercased().unicodeScalars {
            switch scalar {
            case "a"..."z", "0"..."9": slug.unicodeScalars.append(scalar)
            default: if !slug.isEmpty, !slug.hasSuffix("-") { slug.append("-") }
            }
        }
        return slug.hasSuffix("-") ? String(slug.dropLast()) : slug
    }

    /// The slug of `name`, or the first of `slug-1`, `slug-2`… that is free.
    package static func unique(for name: String, isTaken: (String) throws -> Bool) rethrows -> String {
        let made = make(from: name)
        let base = made.isEmpty ? "unnamed" : made
        guard try isTaken(base) else { return base }
        var number = 1
        while try isTaken("\(base)-\(number)") { number += 1 }
        return "\(base)-\(number)"
    }
}
