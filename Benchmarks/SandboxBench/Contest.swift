import Glibc

/// Ways of starting the same program, measured in turns, so that what else the machine does slows all of them.
struct Contest {
    /// Starts the program; what it returns waits until nothing of it is left.
    typealias Start = () throws -> () throws -> Void

    private static let warmUp = 10

    private let stage: SandboxStage
    private var contenders: [(name: String, start: Start)] = []
    private var times: [String: [Int64]] = [:]

    static let bare = "posix_spawn"

    init(stage: SandboxStage) {
        self.stage = stage
        add(Self.bare) {
            let program = try stage.spawn([stage.probe])
            return { try program.end() }
        }
    }

    mutating func add(_ name: String, _ start: @escaping Start) { contenders.append((name, start)) }

    mutating func run(rounds: Int) throws {
        for number in 0..<Self.warmUp + rounds {
            for index in contenders.indices {
                // Nobody is always behind the same one.
                let contender = contenders[(index + number) % contenders.count]
                let begin = SandboxStage.now
                let end = try contender.start()
                let passed = try stage.passed()
                try end()
                if number >= Self.warmUp { times[contender.name, default: []].append(passed - begin) }
            }
        }
    }

    /// Milliseconds that `share` of the starts do not exceed.
    func time(_ name: String, _ share: Double) -> Double {
        let sorted = (times[name] ?? []).sorted()
        guard !sorted.isEmpty else { return 0 }
        return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1_000_000
    }

    func isMeasured(_ name: String) -> Bool { times[name] != nil }

    /// What is added to a bare start at the same percentile.
    func added(_ name: String, _ share: Double) -> Double { time(name, share) - time(Self.bare, share) }

    static let percentiles: [(name: String, share: Double)] = [("p50", 0.5), ("p99", 0.99)]
}

/// Tab-separated as in the other benchmarks: figure, value, unit, reference, reference value, ratio.
func report(_ name: String, _ value: Double, against reference: String, _ referenceValue: Double) {
    func rounded(_ number: Double) -> String { String((number * 1000).rounded() / 1000) }
    let ratio = referenceValue == 0 ? 0 : value / referenceValue
    let line = [name, rounded(value), "ms", reference, rounded(referenceValue), rounded(ratio)].joined(separator: "\t")
    let bytes = Array((line + "\n").utf8)
    _ = write(1, bytes, bytes.count)
}
