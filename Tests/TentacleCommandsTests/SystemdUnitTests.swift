import TentacleCommands
import Testing

@Suite struct SystemdUnitTests {
    @Test(
        "a unit is named after its instance",
        arguments: [("Tentacle", "Tentacle"), ("My  Tentacle", "My-Tentacle"), ("a/b c", "ab-c")]
    )
    func name(instance: String, expected: String) {
        #expect(SystemdUnit(selection: .instance(instance), executablePath: "/t").name == expected)
        #expect(
            SystemdUnit(selection: .configuration(path: "/c"), executablePath: "/t").name == "OctopusDeploy-Tentacle"
        )
    }

    @Test("the unit of the stock agent, byte for byte")
    func stock() {
        let unit = SystemdUnit(selection: .instance("Tentacle"), executablePath: "/opt/octopus/tentacle/Tentacle")
        #expect(unit.text == Self.stockUnit)
    }

    /// Spec tentacle-cli.md 16.
    static let stockUnit = """
        [Unit]
        Description=Octopus Deploy: Tentacle deployment agent
        After=network.target

        [Service]
        Type=simple
        User=root
        ExecStart=/opt/octopus/tentacle/Tentacle run --instance=Tentacle --noninteractive
        Restart=always

        [Install]
        WantedBy=multi-user.target

        """

    @Test("another user, other units before it, and names that have to be quoted")
    func differences() {
        let unit = SystemdUnit(
            selection: .instance("My Tentacle"),
            executablePath: "/opt/octopus/tentacle/Tentacle",
            user: "deploy",
            dependencies: ["postgresql.service"]
        )
        let lines = unit.text.split(separator: "\n").map(String.init)
        #expect(
            lines.contains("ExecStart=/opt/octopus/tentacle/Tentacle run \"--instance=My Tentacle\" --noninteractive")
        )
        #expect(lines.contains("User=deploy"))
        #expect(lines.contains("After=network.target postgresql.service"))
        let other = SystemdUnit(selection: .configuration(path: "/etc/c.config"), executablePath: "/t")
        #expect(other.text.contains("ExecStart=/t run --config=/etc/c.config --noninteractive\nRestart=always"))
    }

    @Test(
        "words are quoted by systemd's rules",
        arguments: [
            ("plain", "plain"), ("", "\"\""), ("a b", "\"a b\""), ("a\"b", #""a\"b""#), (#"a\b"#, #""a\\b""#),
            ("50%", "50%%"), ("$HOME", "$$HOME"), ("a\nb", #""a\nb""#),
        ]
    )
    func quoting(word: String, expected: String) {
        #expect(SystemdUnit.quoted(word) == expected)
    }
}
