import LauncherProtocol

/// Times, and what others wrote, as people read them.
enum ReadableText {
    /// `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`; whole units, never more than two.
    static func duration(microseconds: Int64) -> String {
        // A wall clock that was set back says nothing.
        let seconds = max(0, microseconds / 1_000_000)
        let units: [(name: String, seconds: Int64)] = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)]
        guard let index = units.firstIndex(where: { seconds >= $0.seconds }) else { return "0 s" }
        let text = "\(seconds / units[index].seconds) \(units[index].name)"
        guard let next = units.dropFirst(index + 1).first else { return text }
        let count = seconds % units[index].seconds / next.seconds
        return count == 0 ? text : "\(text) \(count) \(next.name)"
    }

    static func age(of time: UTCMicroseconds, at now: UTCMicroseconds) -> String {
        Self.duration(microseconds: now.sinceEpoch - time.sinceEpoch)
    }

    /// `2024-05-09 10:11:12 UTC`.
    static func time(_ time: UTCMicroseconds) -> String {
        let text = time.description
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8)) UTC"
    }

    /// Control characters as `\u001b`, so that a terminal obeys nothing that came from elsewhere.
    ///
    /// That is JSON's spelling, too: a JSON text stays the same one.
    static func escapingControls(_ text: some StringProtocol, except: Set<Unicode.Scalar> = []) -> String {
        guard text.unicodeScalars.contains(where: { Self.isControl($0) && !except.contains($0) }) else {
            return String(text)
        }
        var escaped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if Self.isControl(scalar), !except.contains(scalar) {
                let digits = String(scalar.value, radix: 16)
                escaped += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".unicodeScalars
            } else {
                escaped.append(scalar)
            }
        }
        return String(escaped)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .control }
}
