import Foundation
import TentacleCommands
import Testing

@Suite struct ExtractCommandTests {
    /// A zip file with one stored entry `a.txt`, made by hand: no zip program is needed.
    private static let package: [UInt8] = {
        let name = Array("a.txt".utf8)
        let text = Array("hello".utf8)
        let middle: [UInt8] =
            [0, 0, 0, 0, 0, 0, 0x21, 0x50, 0x86, 0xA6, 0x10, 0x36, 5, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0]
        let local = [0x50, 0x4B, 3, 4, 10, 0] + middle + name + text
        let central =
            [0x50, 0x4B, 1, 2, 10, 0, 10, 0] + middle + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + name
        let end: [UInt8] =
            [
                0x50, 0x4B, 5, 6, 0, 0, 0, 0, 1, 0, 1, 0, UInt8(central.count), 0, 0, 0, UInt8(local.count), 0, 0, 0, 0,
                0,
            ]
        return local + central + end
    }()

    @Test("unpacks, and says how much")
    func extract() async throws {
        try await TestWorld.with { world in
            try Data(Self.package).write(to: URL(filePath: world.path + "/cwd/x.nupkg"))
            let outcome = world.run("extract", "--package=x.nupkg", "--destination=out/deep")
            #expect(
                outcome
                    == .init(
                        exitCode: 0,
                        output: """
                            Package: \(world.path)/cwd/x.nupkg
                            Destination: \(world.path)/cwd/out/deep
                            1 files extracted

                            """,
                        errors: ""
                    )
            )
            #expect(try world.text("cwd/out/deep/a.txt") == "hello")
        }
    }

    @Test("what is missing")
    func missing() async throws {
        try await TestWorld.with { world in
            #expect(
                world.run("extract").errors == "Please specify the package to extract via the --package argument.\n"
            )
            let absent = world.run("extract", "--package=x.nupkg", "--destination=out")
            #expect(absent == .init(exitCode: 1, output: "", errors: "Package not found: \(world.path)/cwd/x.nupkg\n"))
            try world.write("no zip", "cwd/x.nupkg")
            let outcome = world.run("extract", "--package=x.nupkg")
            #expect(outcome.exitCode == 1)
            #expect(
                outcome.errors == "Please specify the destination directory via the --destination argument.\n"
            )
            #expect(world.names(in: "cwd") == ["x.nupkg"])
        }
    }

    @Test("a damaged package is not tried again, a full disk is")
    func failures() async throws {
        try await TestWorld.with { world in
            try world.write("no zip", "cwd/x.nupkg")
            let damaged = world.run("extract", "--package=x.nupkg", "--destination=out")
            #expect(damaged.exitCode == 1)
            #expect(damaged.output.contains("Failed to extract package to '\(world.path)/cwd/out'"))
            #expect(world.pauses.isEmpty)
            try Data(Self.package).write(to: URL(filePath: world.path + "/cwd/x.nupkg"))
            // Something that is no file stands where the file is to be.
            try FileManager.default.createDirectory(
                atPath: world.path + "/cwd/out/a.txt",
                withIntermediateDirectories: true
            )
            let blocked = world.run("extract", "--package=x.nupkg", "--destination=out")
            #expect(blocked.exitCode == 100)
            #expect(world.pauses == Array(repeating: .seconds(5), count: 9))
        }
    }
}
