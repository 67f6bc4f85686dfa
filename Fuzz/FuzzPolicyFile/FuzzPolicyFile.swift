import FuzzSupport
import Sandbox

/// What root writes for the launcher: policies, the machine's file, and the TOML under both.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPolicyFile(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    switch input.below(4) {
    case 0: policy(input.rest)
    case 1: machine(input.rest)
    case 2: texts(input.rest)
    default: patterns(&input)
    }
    return 0
}

private func policy(_ bytes: [UInt8]) {
    do throws(SettingsFileError) {
        let policy = try PolicyFile.policy(bytes, name: "web", path: "web.toml")
        let text = PolicyFile.text(of: policy)
        // Names of capabilities and long lists may take more room in full.
        guard text.utf8.count <= PolicyFile.maximumBytes else { return }
        require(
            (try? PolicyFile.policy(Array(text.utf8), name: "web", path: "")) == policy,
            "a policy changes: \(text)"
        )
    } catch {
        let lines = bytes.count { $0 == 0x0A } + 1
        require(!error.problems.isEmpty, "no problem in an error")
        for problem in error.problems { check(problem, lines) }
    }
}

private func machine(_ bytes: [UInt8]) {
    do throws(SettingsFileError) {
        _ = try MachineSettings(bytes, path: "launcher.toml")
    } catch {
        let lines = bytes.count { $0 == 0x0A } + 1
        for problem in error.problems { check(problem, lines) }
    }
}

/// One line for a person, about a line that there is.
private func check(_ problem: SettingsFileError.Problem, _ lines: Int) {
    require((1...lines).contains(problem.line ?? 0), "a line that is not there: \(problem)")
    require(!problem.description.utf8.contains { $0 < 0x20 }, "a control character: \(problem)")
}

private func texts(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let file = Array("a = \(TOMLText.quoted(text))".utf8)
    guard file.count <= TOMLReader.maximumBytes else { return }
    guard case .string(let again)? = try? TOMLReader.read(file)["a"]?.kind else { fatalError("\(text) is not read") }
    require(again.utf8.elementsEqual(text.utf8), "a text changes: \(text)")
}

private func patterns(_ input: inout FuzzInput) {
    let pattern = input.take(Int(input.byte()))
    let text = input.rest
    let matches = GlobPattern.matches(String(decoding: pattern, as: UTF8.self), String(decoding: text, as: UTF8.self))
    guard pattern.count <= 12, text.count <= 12, pattern.allSatisfy({ $0 < 0x80 }), text.allSatisfy({ $0 < 0x80 })
    else {
        return
    }
    require(matches == matchesSlowly(pattern[...], text[...]), "\(pattern) and \(text)")
}

private func matchesSlowly(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
    guard let first = pattern.first else { return text.isEmpty }
    if first == UInt8(ascii: "*") {
        return matchesSlowly(pattern.dropFirst(), text) || !text.isEmpty && matchesSlowly(pattern, text.dropFirst())
    }
    guard let byte = text.first, first == UInt8(ascii: "?") || first == byte else { return false }
    return matchesSlowly(pattern.dropFirst(), text.dropFirst())
}
