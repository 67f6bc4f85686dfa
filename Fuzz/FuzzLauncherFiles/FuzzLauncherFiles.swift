import FuzzSupport
import Glibc
import LauncherProtocol

/// What agent and launcher read of each other: requests, replies, records, and the log of a script.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLauncherFiles(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    switch input.below(6) {
    case 0: json(input.rest)
    case 1: messages(input.rest)
    case 2: records(input.rest)
    case 3: output(&input)
    case 4: log(&input)
    default: times(input.rest)
    }
    return 0
}

private func json(_ bytes: [UInt8]) {
    guard let value = try? JSONText(bytes: bytes) else { return }
    require((try? JSONText(bytes: value.encoded())) == value, "JSON changes: \(value)")
}

private func messages(_ bytes: [UInt8]) {
    if let request = try? LauncherRequest(line: bytes) {
        require((try? LauncherRequest(line: request.line)) == request, "a request changes: \(request)")
    }
    if let reply = try? LauncherReply(line: bytes) {
        require(reply.line.count <= LauncherReply.maximumBytes, "a reply too long: \(reply)")
        let again = try? LauncherReply(line: reply.line)
        if case .failed(let text) = reply {
            require(again == .failed(String(text.prefix(1000))), "a reply changes: \(reply)")
        } else {
            require(again == reply, "a reply changes: \(reply)")
        }
    }
}

private func records(_ bytes: [UInt8]) {
    if let state = try? ScriptStateRecord(bytes: bytes) {
        require((try? ScriptStateRecord(bytes: state.encoded())) == state, "a state changes: \(state)")
    }
    if let script = try? ScriptSpecification(bytes: bytes) {
        require((try? ScriptSpecification(bytes: script.encoded())) == script, "a script changes: \(script)")
    }
}

private func times(_ bytes: [UInt8]) {
    guard let time = UTCMicroseconds(text: bytes) else { return }
    let text = time.text
    require(text.count == UTCMicroseconds.textBytes, "\(bytes) becomes a text of another length")
    require(UTCMicroseconds(text: text) == time, "\(time) changes")
}

// MARK: Output.log

/// Output of a script: split into lines, written as records and read back.
private func output(_ input: inout FuzzInput) {
    let pieceBytes = 16 + Int(input.byte())
    var cuts = Cuts(seed: input.byte())
    let bytes = input.rest
    let lines = split([bytes[...]], pieceBytes: .max).lines
    let (inPieces, log) = split(cuts.pieces(of: bytes), pieceBytes: pieceBytes)
    require(lines == inPieces, "pieces change the lines")
    let entries = read(log, limit: .max)
    require(entries.map(\.text) == lines.map { String(decoding: $0, as: UTF8.self) }, "the log has other lines")
}

private func split(_ pieces: [ArraySlice<UInt8>], pieceBytes: Int) -> (lines: [[UInt8]], log: [UInt8]) {
    var splitter = OutputLineSplitter(pieceBytes: pieceBytes)
    var batch = OutputLogBatch()
    batch.begin(at: UTCMicroseconds(sinceEpoch: 0))
    var lines: [[UInt8]] = []
    var open: [UInt8] = []
    let emit = { (text: ArraySlice<UInt8>, endsLine: Bool) in
        require(!text.contains(0x0a) && !text.contains(0x0d), "a line end inside a line")
        require((try? UTF8Span(validating: Array(text).span)) != nil, "a line is not UTF-8")
        batch.append(.standardOutput, text, endsLine: endsLine)
        open += text
        if endsLine {
            lines.append(open)
            open = []
        }
    }
    for piece in pieces { splitter.feed(Array(piece), emit) }
    splitter.finish(emit)
    require(open.isEmpty, "a line without its end")
    return (lines, batch.bytes)
}

/// Any bytes as a log: pages of any size give the same entries as one.
private func log(_ input: inout FuzzInput) {
    let limit = 1 + Int(input.byte())
    let offset = Int64(input.byte())
    let bytes = input.rest
    let whole = read(bytes, limit: .max)
    require(read(bytes, limit: limit).map(\.text) == whole.map(\.text), "pages change the log")
    _ = read(bytes, limit: limit, from: offset)
}

/// One file without a name, in memory, for all runs.
private let logFile: Int32 = {
    var path = Array("/dev/shm/fuzz-log-XXXXXX".utf8CString)
    let file = mkstemp(&path)
    unlink(path)
    return file
}()

private func read(_ bytes: [UInt8], limit: Int, from offset: Int64 = 0) -> [OutputLogEntry] {
    let file = dup(logFile)
    require(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, bytes, bytes.count, 0) == bytes.count, "no log file")
    let reader = OutputLogReader(takingOver: file)
    var entries: [OutputLogEntry] = []
    var next = offset
    while true {
        guard let page = try? reader.read(after: next, final: true, limit: limit) else { fatalError("cannot read") }
        require(page.next >= next || page.reachedEnd, "the log goes backwards")
        entries += page.entries
        if page.reachedEnd { return entries }
        require(page.next > next, "the log does not go on")
        next = page.next
    }
}
