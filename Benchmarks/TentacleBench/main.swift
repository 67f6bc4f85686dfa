// The figures that `make bench` prints: one a line, each beside the limit or peer measured in the same run.

import BSON
import BenchmarkSupport
import Foundation
import Halibut
import Logging
import NIOCore
import NIOPosix
import SecureTransport
import TentacleContracts

guard CommandLine.arguments.count == 2 else {
    FileHandle.standardError.write(Data("usage: tentacle-bench FOLDER-OF-PROGRAMS\n".utf8))
    exit(1)
}
let agent = try AgentUnderTest(programs: URL(fileURLWithPath: CommandLine.arguments[1]))
defer { agent.remove() }
let peer = try OpenSSLServer(folder: agent.folder, identity: agent.identity)

Figure.printHeader()

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
Figure(
    "agent start to ready",
    startMilliseconds,
    "ms",
    against: "openssl s_server",
    theirs.percentile(0.5) / 1000
).report()

let daemon = try agent.start().process
defer {
    daemon.terminate()
    daemon.waitUntilExit()
}
let reference = try peer.start()
Figure(
    "agent idle RSS",
    try Tool.residentMegabytes(daemon),
    "MB",
    against: "openssl s_server",
    try Tool.residentMegabytes(reference)
).report()
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
// A loop of its own for each side, as the two processes of a remote call have.
let (near, far) = (MultiThreadedEventLoopGroup(numberOfThreads: 1), MultiThreadedEventLoopGroup(numberOfThreads: 1))
let bareListener = try await BareTLS.listen(identity: agent.identity, group: far)
let bare = try await BareTLS.Connection(
    port: bareListener.localAddress?.port ?? 0,
    context: TLSContext(client: agent.identity),
    group: near
)
let exchanges = Array(try await bare.exchanges(count: warmUp + calls, bytes: 400).dropFirst(warmUp))
try await bare.close()
for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
    Figure(
        "remote call, warm connection, \(name)",
        times.percentile(share),
        "µs",
        against: "TLS ping-pong, 400 bytes",
        exchanges.percentile(share)
    ).report()
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
Figure(
    "upload of \(megabytes) MB, best of 3",
    Double(megabytes) * 1.048576 / best.seconds,
    "MB/s",
    against: "openssl s_client to s_server",
    Double(megabytes) * 1.048576 / bestOfPeer.seconds
).report()
Figure(
    "agent RSS after the uploads",
    try Tool.residentMegabytes(daemon),
    "MB",
    against: "budget",
    28
).report()
