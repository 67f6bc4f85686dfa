import TentacleCommands
import Testing

@Suite struct NameSuggestionTests {
    @Test(
        "one slip in a short word, two in a longer one, three in a long one",
        arguments: [
            ("cofigure", "configure"), ("confgiure", "configure"), ("configuer", "configure"),
            ("CONFIGUR", "configure"), ("registerwith", "register-with"), ("regster-wth", "register-with"),
            ("agnet", "agent"), ("x", nil), ("", nil), ("ag", nil), ("agents", "agent"), ("prox", "proxy"),
            ("nothing-like-it", nil), (String(repeating: "a", count: 1000), nil),
        ]
    )
    func closest(typed: String, expected: String?) {
        let names = ["agent", "configure", "proxy", "register-with"]
        #expect(NameSuggestion.closest(to: typed, among: names) == expected)
    }

    @Test("the first of two that are equally close")
    func tie() {
        #expect(NameSuggestion.closest(to: "hoss", among: ["host", "hose"]) == "host")
    }

    @Test(
        "a mistyped command: on standard error, the exit code stays",
        arguments: [
            (["confgure", "--port=1"], 2, "Command 'confgure' is not supported\nDid you mean 'configure'?\n"),
            (["listinstances"], 2, "Command 'listinstances' is not supported\nDid you mean 'list-instances'?\n"),
            (["help", "regster"], 0, "Command 'regster' is not supported\nDid you mean 'register'?\n"),
            (["unknown-command"], 2, "Command 'unknown-command' is not supported\n"),
            (["run-shell"], 2, "Command 'run-shell' is not supported\n"),
            (["import-configuration"], 2, "Command 'import-configuration' is not supported\n"),
        ] as [([String], Int32, String)]
    )
    func command(arguments: [String], code: Int32, errors: String) async throws {
        try await TestWorld.with { world in
            #expect(world.run(arguments) == .init(exitCode: code, output: "See 'Tentacle help'\n", errors: errors))
        }
    }

    @Test(
        "a mistyped option: on standard error, the exit code stays",
        arguments: [
            (["configure", "--prot=1"], "--prot=1\nDid you mean --port?"),
            (["configure", "--prot", "1"], "--prot 1\nDid you mean --port?"),
            (
                ["configure", "-noLisen:true", "--trsut", "A"],
                "-noLisen:true --trsut A\nDid you mean --noListen, --trust?"
            ),
            (["version", "--unknown=argument"], "--unknown=argument"),
            (["version", "fromat"], "fromat"),
            // Hidden ones are not offered.
            (["register-with", "--server-web-sockets=x"], "--server-web-sockets=x"),
        ] as [([String], String)]
    )
    func option(arguments: [String], rest: String) async throws {
        try await TestWorld.with { world in
            try world.makeInstance()
            #expect(
                world.run(arguments)
                    == .init(exitCode: 1, output: "", errors: "Unrecognized command line arguments: \(rest)\n")
            )
        }
    }
}
