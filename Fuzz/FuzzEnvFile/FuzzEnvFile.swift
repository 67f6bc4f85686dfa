import AgentConfiguration
import FuzzSupport

/// A `.env` file in front of the configuration.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzEnvFile(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = FuzzInput(start, count).rest
    do throws(ConfigurationError) {
        let values = try EnvironmentSettings.parse(bytes, path: ".env")
        // A comment first: a byte-order mark there is none of the first key's.
        let lines = ["# again"] + values.map { "\($0.key) = \($0.value)" }
        let again = try? EnvironmentSettings.parse(Array(lines.joined(separator: "\n").utf8), path: ".env")
        require(again == values, "values change: \(values)")
    } catch {
        require(error.message.contains(".env"), "an error without the file's name: \(error.message)")
        require(!error.message.utf8.contains { $0 < 0x20 }, "a control character: \(error.message)")
    }
    return 0
}
