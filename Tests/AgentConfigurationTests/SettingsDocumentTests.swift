import AgentConfiguration
import Testing

@Suite struct SettingsDocumentTests {
    /// As the stock agent writes it: byte-order mark, namespaces, empty elements, keys we know nothing of.
    static let stockFile = """
        \u{FEFF}<?xml version="1.0" encoding="utf-8"?>
        <octopus-settings xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
          <set key="Octopus.Home">/etc/octopus/Tentacle</set>
          <set key="Octopus.Proxy.ProxyHost" />
          <set key="Octopus.Proxy.UseDefaultProxy">false</set>
          <set key="Some.Future.Key">&lt;a b="c"&gt; &amp; ümläut</set>
          <set key="Tentacle.Communication.TrustedOctopusServers">[{"Thumbprint":"9CF3","CommunicationStyle":2,"Address":"https://octopus.example.com:10943","Squid":null,"SubscriptionId":"poll://k7fw/"}]</set>
          <set key="Tentacle.Services.NoListen">true</set>
        </octopus-settings>
        """

    @Test("a file of the stock agent is written back byte for byte")
    func roundTrip() throws {
        let document = try SettingsDocument(bytes: Array(Self.stockFile.utf8))
        #expect(String(decoding: document.encoded(), as: UTF8.self) == Self.stockFile)
    }

    @Test("one changed key leaves all other lines as they were")
    func oneKey() throws {
        var document = try SettingsDocument(bytes: Array(Self.stockFile.utf8))
        document["tentacle.services.nolisten"] = "false"
        let expected = Self.stockFile.replacing(#"NoListen">true<"#, with: #"NoListen">false<"#)
        #expect(String(decoding: document.encoded(), as: UTF8.self) == expected)
    }

    @Test(
        "forms that other programs write",
        arguments: [
            "<?xml version='1.0' encoding='UTF-8' ?><octopus-settings><set key='A'>1</set></octopus-settings>",
            "<octopus-settings><!-- note --><other><set key='A'>no</set></other><set key='A'>1</set></octopus-settings>",
            "<octopus-settings><set key='a'>2</set><set key=\"A\">1</set></octopus-settings>",
            "<octopus-settings>\r\n<set key='A'><![CDATA[1]]></set>\r\n</octopus-settings>",
            "<octopus-settings><set key='&#65;'>&#x31;</set></octopus-settings>",
        ]
    )
    func forms(text: String) throws {
        #expect(try SettingsDocument(bytes: Array(text.utf8))["A"] == "1")
    }

    @Test("the empty file of create-instance has no keys")
    func empty() throws {
        let text = "<?xml version='1.0' encoding='UTF-8' ?><octopus-settings></octopus-settings>"
        #expect(try SettingsDocument(bytes: Array(text.utf8)).keys.isEmpty)
    }

    @Test(
        "what is no configuration file is refused with its line",
        arguments: [
            ("", 1), ("<octopus-settings>", 1), ("<octopus-settings>\n<set key=A/></octopus-settings>", 2),
            ("<octopus-settings></other>", 1), ("<a/>\n<b/>", 2), ("text", 1),
            ("<!DOCTYPE x [<!ENTITY e 'v'>]><octopus-settings/>", 1),
            ("<octopus-settings>&unknown;</octopus-settings>", 1), ("<octopus-settings>&</octopus-settings>", 1),
            (String(repeating: "<a>", count: 40), 1),
            // As itself, as a reference, in a key, and the two at the end of the first plane: XML has no such characters.
            ("<octopus-settings>\n<set key='a'>\u{1}</set></octopus-settings>", 2),
            ("<octopus-settings>\n<set key='a'>&#x1F;</set></octopus-settings>", 2),
            ("<octopus-settings>\n<set key='&#8;' /></octopus-settings>", 2),
            ("<octopus-settings><set key='a'>\u{FFFE}</set></octopus-settings>", 1),
        ]
    )
    func malformed(text: String, line: Int) throws {
        let error = #expect(throws: ConfigurationError.self) { try SettingsDocument(bytes: Array(text.utf8)) }
        #expect(error?.message.contains("line \(line):") == true, "\(error?.message ?? "")")
    }

    @Test("every prefix of a file is refused, none crashes")
    func truncated() throws {
        let bytes = Array(Self.stockFile.utf8)
        for count in 0..<bytes.count {
            #expect(throws: ConfigurationError.self) { try SettingsDocument(bytes: Array(bytes[..<count])) }
        }
    }

    @Test(
        "values survive whatever characters they have",
        arguments: ["a\rb", "a\nb", "<&>\"'", " leading and trailing ", "\u{1F419}", "]]>"]
    )
    func values(value: String) throws {
        var document = SettingsDocument()
        document["Key \"<&>\n"] = value
        let read = try SettingsDocument(bytes: document.encoded())
        #expect(read["Key \"<&>\n"].map { Array($0.utf8) } == Array(value.utf8))
    }
}
