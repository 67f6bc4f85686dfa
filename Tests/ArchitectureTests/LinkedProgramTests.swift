import Foundation
import Testing

/// What the linker put into the release programs.
@Suite(.enabled(if: Repository.releasePrograms != nil, "needs release programs: `make test` builds them"))
struct LinkedProgramTests {
    /// The shared objects that each program may need; none for the launcher, which is static.
    static let allowedLibraries: [(program: String, libraries: Set<String>)] = [
        ("tentacle-launcher", []),
        ("tentacle-agent", base.union(["libssl.so.3", "libcrypto.so.3", "libz.so.1", "libsystemd.so.0"])),
        (
            "tentacle",
            base.union([
                "libssl.so.3", "libcrypto.so.3", "libz.so.1", "libsystemd.so.0", "libcurl.so.4", "libarchive.so.13",
            ])
        ),
    ]

    static let base: Set<String> = [
        "libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2",
    ]

    @Test("a program needs only the libraries it is allowed", arguments: allowedLibraries)
    func libraries(program: String, libraries: Set<String>) async throws {
        let dynamic = try await Repository.output(of: "readelf", ["-d", path(program)])
        let needed = dynamic.matches(of: #/\(NEEDED\).*\[(.+)\]/#).map { String($0.output.1) }
        #expect(Set(needed).subtracting(libraries).isEmpty)
        #expect(libraries.isEmpty == needed.isEmpty)
    }

    @Test(
        "no BoringSSL, no ICU and no full Foundation in the agent's programs",
        arguments: ["tentacle", "tentacle-agent", "tentacle-launcher"]
    )
    func symbols(program: String) async throws {
        let symbols = try await Repository.output(of: "nm", [path(program)])
        #expect(symbols.contains(" T "), "the program has no symbols to look at")
        for forbidden in ["CNIOBoringSSL", "uloc_", "$s10Foundation", "NSRegularExpression"] {
            #expect(!symbols.contains(forbidden), "\(program) contains \(forbidden)")
        }
    }

    private func path(_ program: String) throws -> String {
        try #require(Repository.releasePrograms).appending(path: program).path
    }
}
