/// Version numbers of releases.
package enum ReleaseVersion {
    package static let defaultTemplate =
        "#{Octopus.Version.LastMajor}.#{Octopus.Version.LastMinor}.#{Octopus.Version.NextPatch}"
    /// Longer than any version in use; keeps list pages readable.
    package static let maximumLength = 349

    /// Why a text cannot be a version, or nil.
    package static func problem(with text: String) -> String? {
        if text.isEmpty { return "Please provide a release version." }
        if text.count > maximumLength { return "A release version may have at most \(maximumLength) characters." }
        let allowed = text.unicodeScalars.allSatisfy {
            switch $0 {
            case "a"..."z", "A"..."Z", "0"..."9", ".", "-", "+", "_": true
            default: false
            }
        }
        guard allowed, let first = text.first, first.isNumber || first.isLetter else {
            return "'\(text)' is not a version: use digits and letters, '.', '-', '+' and '_', such as 1.0.3-beta."
        }
        return nil
    }

    /// The next version by a template of `Octopus.Version.Last…` and `Next…` parts (rest-api.md 14.2).
    ///
    /// Nil when the template needs something else: the caller must then give the version.
    package static func next(template: String, after last: String?) -> String? {
        let core = (last ?? "").prefix { $0 != "-" && $0 != "+" }
        let parts = core.split(separator: ".").map { Int($0) ?? 0 }
        var bindings: [String: String] = [:]
        for (index, name) in ["Major", "Minor", "Patch", "Build"].enumerated() {
            let value = index < parts.count ? parts[index] : 0
            bindings["Octopus.Version.Last\(name)"] = String(value)
            bindings["Octopus.Version.Next\(name)"] = String(value &+ 1)
        }
        bindings["Octopus.Version.LastRevision"] = bindings["Octopus.Version.LastBuild"]
        bindings["Octopus.Version.NextRevision"] = bindings["Octopus.Version.NextBuild"]
        let version = VariableBinding.substitute(bindings, in: template)
        return problem(with: version) == nil ? version : nil
    }
}
