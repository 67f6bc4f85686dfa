import TentacleCommands
import Testing

@Suite struct OptionGrammarTests {
    private static let grammar = OptionGrammar([
        OptionDefinition("name", "n", help: ""),
        OptionDefinition("port", "p", kind: .integer, help: ""),
        OptionDefinition("noListen", kind: .boolean, help: ""),
        OptionDefinition("force", "f", kind: .flag, help: ""),
        OptionDefinition("quiet", "q", kind: .flag, help: ""),
        OptionDefinition("address", kind: .listenAddress, help: ""),
    ])

    struct Golden: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        /// `name=value` of what was recognised, in order.
        var options: [String]
        var unrecognised: [String] = []
        var testDescription: String { self.arguments.joined(separator: " ") }

        init(_ arguments: [String], _ options: [String], _ unrecognised: [String] = []) {
            self.arguments = arguments
            self.options = options
            self.unrecognised = unrecognised
        }
    }

    @Test(
        "what the command line means",
        arguments: [
            Golden(["--name=a=b:c"], ["name=a=b:c"]), Golden(["--name:a=b"], ["name=a=b"]),
            Golden(["-name=x"], ["name=x"]),
            Golden(["/name=x"], ["name=x"]), Golden(["--name="], ["name="]), Golden(["--name", "x"], ["name=x"]),
            Golden(["/name", "--force"], ["name=--force"]), Golden(["--NAME", "x"], ["name=x"]),
            Golden(["--n=x"], ["name=x"]),
            Golden(["/N:x"], ["name=x"]), Golden(["--name", "a\nb", "--name=c\nd"], ["name=a\nb", "name=c\nd"]),
            Golden(["--force"], ["force="]), Golden(["--force=false"], ["force="]), Golden(["--force+"], ["force="]),
            Golden(["--force-"], ["force="]), Golden(["/f"], ["force="]), Golden(["-fq"], ["force=", "quiet="]),
            Golden(["-fnx"], ["force=", "name=x"]), Golden(["-fn", "x"], ["force=", "name=x"]),
            Golden(["-nf=1"], ["name=f=1"]), Golden(["-p80"], ["port=80"]), Golden(["--port= 80 "], ["port= 80 "]),
            Golden(["--noListen= TRUE "], ["noListen= TRUE "]), Golden(["--address=ANY"], ["address=ANY"]),
            Golden(["--address", "::1"], ["address=::1"]), Golden(["--address=10.0.0.1"], ["address=10.0.0.1"]),
            Golden(["--name=a", "--port=1", "--name=b"], ["name=a", "port=1", "name=b"]),
            Golden(["word"], [], ["word"]), Golden(["--other=1"], [], ["--other=1"]),
            Golden(["/etc/x"], [], ["/etc/x"]),
            Golden(["-xf"], [], ["-xf"]), Golden(["--fq"], [], ["--fq"]), Golden(["-"], [], ["-"]),
            Golden([""], [], [""]),
            Golden(["--=x"], [], ["--=x"]), Golden(["---force"], [], ["---force"]),
            Golden(["--force", "--", "--quiet"], ["force="], ["--", "--quiet"]), Golden(["--name", "--"], ["name=--"]),
        ]
    )
    func golden(golden: Golden) throws {
        let parsed = try Self.grammar.parse(golden.arguments)
        #expect(parsed.occurrences.map { "\($0.name)=\($0.value)" } == golden.options)
        #expect(parsed.unrecognised == golden.unrecognised)
    }

    @Test(
        "an operand: the first token that is no option",
        arguments: [
            Golden(["x"], ["name=x"]), Golden(["--force", "x", "-q"], ["force=", "name=x", "quiet="]),
            Golden(["x", "y"], ["name=x"], ["y"]), Golden(["--", "-x"], ["name=-x"]),
            Golden(["--", "-x", "y"], ["name=-x"], ["--", "y"]), Golden(["x", "--", "y"], ["name=x"], ["--", "y"]),
            Golden(["--other", "x"], ["name=x"], ["--other"]), Golden(["x", "--name=y"], ["name=x", "name=y"]),
            Golden([], []), Golden(["--"], [], ["--"]),
        ]
    )
    func operand(golden: Golden) throws {
        let grammar = OptionGrammar(
            [
                OptionDefinition("name", "n", help: ""), OptionDefinition("force", kind: .flag, help: ""),
                OptionDefinition("quiet", "q", kind: .flag, help: ""),
            ],
            operand: "name"
        )
        let parsed = try grammar.parse(golden.arguments)
        #expect(parsed.occurrences.map { "\($0.name)=\($0.value)" } == golden.options)
        #expect(parsed.unrecognised == golden.unrecognised)
    }

    @Test(
        "what cannot be meant, exit code 100",
        arguments: [
            (["--name"], "Missing required value for option '--name'."),
            (["/Port"], "Missing required value for option '/Port'."),
            (["-fn"], "Missing required value for option '-n'."), (["-fx"], "Cannot bundle unregistered option '-x'."),
            (["--port=abc", "junk"], "The value 'abc' of --port is not a whole number."),
            (["--port=2147483648"], "The value '2147483648' of --port is not a whole number."),
            (["--noListen=yes"], "The value 'yes' of --noListen is not a valid boolean; use true or false."),
            (["--address=host"], "The value 'host' of --address is not an IP address; give one or 'any'."),
        ]
    )
    func errors(arguments: [String], message: String) {
        let error = #expect(throws: CommandError.self) { try Self.grammar.parse(arguments) }
        #expect(error == CommandError(.failure, message))
    }

    @Test("the last of repeated scalars counts, blank ones count as not given")
    func values() throws {
        let parsed = try Self.grammar.parse(["--name=a", "--name=b", "--name= ", "--port=1"])
        #expect(parsed.text("name") == nil)
        #expect(parsed.rawText("name") == " ")
        #expect(parsed.list("name") == ["a", "b"])
        #expect(parsed.integer("port") == 1)
        #expect(!parsed.isSet("force"))
    }
}
