/// One line of the benchmark's output.
struct Figure {
    var name: String
    var value: Double
    var unit: String
    /// The limit or peer measured in the same run.
    var reference: String
    var referenceValue: Double

    /// Tab-separated: figure, value, unit, reference, reference value, ratio.
    var line: String {
        let ratio = referenceValue == 0 ? 0 : value / referenceValue
        return [name, rounded(value), unit, reference, rounded(referenceValue), rounded(ratio)].joined(separator: "\t")
    }

    private func rounded(_ number: Double) -> String {
        String((number * 1000).rounded() / 1000)
    }
}

extension [Duration] {
    /// The value that `share` of the measurements do not exceed, in microseconds.
    func percentile(_ share: Double) -> Double {
        let sorted = self.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[Swift.min(sorted.count - 1, Int(Double(sorted.count) * share))].microseconds
    }
}

extension Duration {
    var microseconds: Double { self / .microseconds(1) }
    var seconds: Double { self / .seconds(1) }
}
