import AgentConfiguration
import FuzzSupport

/// The index files of this machine's instances: what other programs may have written there.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzIndexFiles(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = FuzzInput(start, count).rest
    if let entry = try? InstanceRegistry.IndexEntry(bytes: bytes) { requireKept(entry) }
    let text = String(decoding: bytes, as: UTF8.self)
    requireKept(InstanceRegistry.IndexEntry(name: text, configurationFilePath: "/" + text))
    return 0
}

private func requireKept(_ entry: InstanceRegistry.IndexEntry) {
    require((try? InstanceRegistry.IndexEntry(bytes: entry.encoded())) == entry, "an index file changes: \(entry)")
}
