import FoundationEssentials
import TentacleCommands
import Testing

/// Pages as people and scripts read them: Tests/Fixtures/help, compared byte by byte.
@Suite struct HelpPageTests {
    static let commands = CommandTable.visible.map(\.name).sorted()

    private static func page(_ name: String) throws -> String {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        return String(
            decoding: try Data(contentsOf: URL(filePath: "/\(tests)/Fixtures/help/\(name)")),
            as: UTF8.self
        )
    }

    @Test("the page of a command, as text and as JSON, however it is asked for", arguments: Self.commands)
    func page(command: String) async throws {
        try await TestWorld.with { world in
            let text = TestWorld.Outcome(exitCode: 0, output: try Self.page("\(command).txt"), errors: "")
            #expect(world.run(command, "--help") == text)
            #expect(world.run("help", command) == text)
            // A format that nobody knows is text.
            #expect(world.run("help", command, "--format=xml") == text)
            let json = TestWorld.Outcome(exitCode: 0, output: try Self.page("\(command).json"), errors: "")
            #expect(world.run(command, "--help", "--format=json") == json)
            #expect(world.run("help", command, "--format", "JSON") == json)
        }
    }

    @Test("the list of commands is sorted and laid out alike for long names")
    func general() async throws {
        try await TestWorld.with { world in
            let lines = world.run("help").output.split(separator: "\n", omittingEmptySubsequences: false)
            let names = lines.filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            #expect(names == names.sorted())
            #expect(names.contains("  livez          ") && names.contains("  set-polling-connection-count"))
            for command in Self.commands {
                let index = try #require(names.first { $0.drop { $0 == " " }.prefix { $0 != " " } == command })
                let line = try #require(lines.firstIndex(of: index))
                let definition = try #require(CommandTable.find(command)?.definition)
                #expect(lines[line + 1] == "   \(definition.summary)")
            }
        }
    }

    @Test("one-letter names come first, also in JSON")
    func letters() {
        let option = OptionDefinition("username", "u", "user", help: "")
        #expect(option.namesInHelp == ["u", "username", "user"])
        #expect(option.name == "username")
    }
}
