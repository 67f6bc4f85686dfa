// The figures that `make bench` prints: one a line, each beside the limit or peer measured in the same run.

import BSON
import Foundation
import Halibut
import Logging
import SecureTransport
import TentacleContracts

guard CommandLine.arguments.count == 2 else {
    FileHandle.standardError.write(Data("usage: tentacle-bench FOLDER-OF-PROGRAMS\n".utf8))
    exit(1)
}
let agent = try AgentUnderTest(programs: URL(fileURLWithPath: CommandLine.arguments[1]))
defer { agent.remove() }
let peer = try OpenSSLServer(folder: agent.folder, identity: agent.identity)

/// Prints at once: the benchmark takes a while, and somebody may be watching.
func report(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
}

func report(_ figure: Figure) {
    report(figure.line)
}

report("figure\tvalue\tunit\treference\treference value\tratio")

// Start to ready: the median of several starts, against `openssl s_server` until it accepts.
let starts = 9
var ours: [Duration] = []
var theirs: [Duration] = []
for _ in 0..<starts {
    let (process, took) = try agent.start()
    ours.append(took)
    process.terminate()
    process.waitUntilExit()
    theirs.append(try peer.measureStart())
}
let startMilliseconds = ours.percentile(0.5) / 1000
report(
    Figure(
        name: "agent start to ready",
        value: startMilliseconds,
        unit: "ms",
        reference: "openssl s_server",
        referenceValue: theirs.percentile(0.5) / 1000
    )
)

let daemon = try agent.start().process
defer {
    daemon.terminate()
    daemon.waitUntilExit()
}
let reference = try peer.start()
report(
    Figure(
        name: "agent idle RSS",
        value: try Tool.residentMegabytes(daemon),
        unit: "MB",
        reference: "openssl s_server",
        referenceValue: try Tool.residentMegabytes(reference)
    )
)
reference.terminate()
reference.waitUntilExit()

let client = try HalibutClient(
    identity: agent.identity,
    configuration: HalibutConfiguration(logger: Logger(label: "bench"))
)
let endPoint = try ServiceEndPoint("https://127.0.0.1:\(agent.port)/", remoteThumbprint: agent.thumbprint)

// Remote calls on a warm connection, against the bare ping-pong. A call is two round trips: NEXT/PROCEED, then the call.
let warmUp = 500
let calls = 5000
var times: [Duration] = []
for number in 0..<(warmUp + calls) {
    let startedAt = ContinuousClock.now
    _ = try await client.call(endPoint, service: "ICapabilitiesServiceV2", method: "GetCapabilities")
    if number >= warmUp { times.append(ContinuousClock.now - startedAt) }
}
let exchanges = Array(try await PingPong.roundTrips(count: warmUp + calls, bytes: 400).dropFirst(warmUp))
for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
    report(
        Figure(
            name: "remote call, warm connection, \(name)",
            value: times.percentile(share),
            unit: "µs",
            reference: "TLS ping-pong, 400 bytes",
            referenceValue: exchanges.percentile(share)
        )
    )
}

// Upload, against the same bytes through openssl's own client and server.
let megabytes = 512
let source = agent.folder.appending(path: "source")
try Tool.run("/bin/dd", ["if=/dev/urandom", "of=\(source.path)", "bs=1M", "count=\(megabytes)"])
var best = Duration.seconds(1_000_000)
for _ in 0..<3 {
    let stream = try OutgoingDataStream(file: source.path)
    let startedAt = ContinuousClock.now
    _ = try await client.call(
        endPoint,
        service: "IFileTransferService",
        method: "UploadFile",
        parameters: [.string("uploaded"), stream.reference(typed: true)],
        streams: [stream]
    )
    best = min(best, ContinuousClock.now - startedAt)
}
var bestOfPeer = Duration.seconds(1_000_000)
for _ in 0..<3 { bestOfPeer = min(bestOfPeer, try peer.measureTransfer(of: source)) }
report(
    Figure(
        name: "upload of \(megabytes) MB, best of 3",
        value: Double(megabytes) * 1.048576 / best.seconds,
        unit: "MB/s",
        reference: "openssl s_client to s_server",
        referenceValue: Double(megabytes) * 1.048576 / bestOfPeer.seconds
    )
)
report(
    Figure(
        name: "agent RSS after the uploads",
        value: try Tool.residentMegabytes(daemon),
        unit: "MB",
        reference: "budget",
        referenceValue: 28
    )
)
