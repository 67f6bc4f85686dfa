import Foundation

/// One line of the benchmark's output.
package struct Figure {
    private let name: String
    private let value: Double
    private let unit: String
    /// The limit or peer measured in the same run.
    private let reference: String
    private let referenceValue: Double

    package init(_ name: String, _ value: Double, _ unit: String, against reference: String, _ referenceValue: Double) {
        self.name = name
        self.value = value
        self.unit = unit
        self.reference = reference
        self.referenceValue = referenceValue
    }

    /// Tab-separated: figure, value, unit, reference, reference value, ratio.
    private var line: String {
        let ratio = referenceValue == 0 ? 0 : value / referenceValue
        return [name, rounded(value), unit, reference, rounded(referenceValue), rounded(ratio)].joined(separator: "\t")
    }

    private func rounded(_ number: Double) -> String {
        String((number * 1000).rounded() / 1000)
    }

    /// Prints at once: a benchmark takes a while, and somebody may be watching.
    package func report() {
        Self.print(line)
    }

    package static func printHeader() {
        print("figure\tvalue\tunit\treference\treference value\tratio")
    }

    private static func print(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }
}

extension [Duration] {
    /// The value that `share` of the measurements do not exceed, in microseconds.
    package func percentile(_ share: Double) -> Double {
        let sorted = self.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[Swift.min(sorted.count - 1, Int(Double(sorted.count) * share))].microseconds
    }
}

extension Duration {
    package var microseconds: Double { self / .microseconds(1) }
    package var seconds: Double { self / .seconds(1) }
}
