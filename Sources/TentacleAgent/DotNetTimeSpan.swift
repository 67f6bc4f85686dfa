extension Duration {
    /// A .NET TimeSpan as operators write it: `[d.]hh:mm[:ss[.f…]]`, or whole days (tentacle-services.md 14.3).
    init?(dotNetTimeSpan text: String) {
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 1 {
            guard let days = Int64(parts[0]), (0...10_675_199).contains(days) else { return nil }
            self = .seconds(days * 86400)
            return
        }
        guard parts.count <= 3 else { return nil }
        var days: Int64 = 0
        if let dot = parts[0].firstIndex(of: ".") {
            guard let value = Int64(parts[0][..<dot]) else { return nil }
            days = value
            parts[0] = String(parts[0][parts[0].index(after: dot)...])
        }
        guard let hours = Int64(parts[0]), let minutes = Int64(parts[1]), (0..<24).contains(hours),
            (0..<60).contains(minutes), (0...10_675_199).contains(days)
        else { return nil }
        let seconds = parts.count == 3 ? Double(parts[2]) : 0
        guard let seconds, (0..<60).contains(seconds) else { return nil }
        self = .seconds(days * 86400 + hours * 3600 + minutes * 60) + .seconds(seconds)
    }
}
