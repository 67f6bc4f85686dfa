import AgentConfiguration
import Testing

/// Files as other programs leave them: one key is set, every other keeps its value, and the result reads the same again.
@Suite struct StockFileTests {
    struct Sample: CustomTestStringConvertible, Sendable {
        var name: String
        var bytes: [UInt8]
        var values: [String: String?]

        var testDescription: String { self.name }

        init(_ name: String, _ text: String, _ values: [String: String?]) {
            self.init(name, bytes: Array(text.utf8), values)
        }

        init(_ name: String, bytes: [UInt8], _ values: [String: String?]) {
            self.name = name
            self.bytes = bytes
            self.values = values
        }
    }

    private static let stock = String(SettingsDocumentTests.stockFile.drop { $0 == "\u{FEFF}" })
    private static let stockValues: [String: String?] = [
        "Octopus.Home": "/etc/octopus/Tentacle", "Octopus.Proxy.ProxyHost": nil,
        "Octopus.Proxy.UseDefaultProxy": "false", "Some.Future.Key": "<a b=\"c\"> & ümläut",
        "Tentacle.Services.NoListen": "true",
        "Tentacle.Communication.TrustedOctopusServers":
            #"[{"Thumbprint":"9CF3","CommunicationStyle":2,"Address":"https://octopus.example.com:10943","Squid":null,"SubscriptionId":"poll://k7fw/"}]"#,
    ]

    private static func utf16(_ text: String, isLittle: Bool) -> [UInt8] {
        let units = Array("\u{FEFF}\(text.replacing("utf-8", with: "utf-16"))".utf16)
        return units.flatMap { unit -> [UInt8] in
            let (high, low) = (UInt8(unit >> 8), UInt8(unit & 0xFF))
            return isLittle ? [low, high] : [high, low]
        }
    }

    static let samples = [
        Sample("with a byte-order mark", "\u{FEFF}\(Self.stock)", Self.stockValues),
        Sample("without one", Self.stock, Self.stockValues),
        Sample("with line ends of Windows", "\u{FEFF}\(Self.stock.replacing("\n", with: "\r\n"))", Self.stockValues),
        Sample("UTF-16, little end first", bytes: Self.utf16(Self.stock, isLittle: true), Self.stockValues),
        Sample("UTF-16, big end first", bytes: Self.utf16(Self.stock, isLittle: false), Self.stockValues),
        Sample(
            "Latin 1",
            bytes: Array("<?xml version='1.0' encoding='ISO-8859-1'?><octopus-settings><set key='A'>".utf8)
                + [0xE4, 0xF6, 0xFC] + Array("</set></octopus-settings>".utf8),
            ["A": "äöü"]
        ),
        Sample(
            "without namespaces, in single quotes, on one line",
            "<?xml version='1.0' encoding='UTF-8' ?><octopus-settings><set key='B'>2</set><set key='a'>1</set></octopus-settings>",
            ["A": "1", "B": "2"]
        ),
        Sample(
            "unknown elements and attributes, comments, instructions",
            """
            <?xml version="1.0"?><!-- by hand --><octopus-settings version="2"><?note x?>
              <future><set key="Inside">no</set></future><set xml:lang="en" key="A" type="text">1<!-- here -->2</set>
              <set>no key</set><set key="Empty"></set><set key="Blank">  </set>
            </octopus-settings>
            """,
            ["A": "12", "Empty": nil, "Blank": nil]
        ),
        Sample(
            "CDATA and references",
            "<octopus-settings><set key='&#x41;&amp;'><![CDATA[<&\r\n]]>&lt;&#228;&quot;&apos;&gt;</set></octopus-settings>",
            ["A&": "<&\n<ä\"'>"]
        ),
        Sample(
            "duplicates: the last one counts, in any case of letters, an empty one too",
            "<octopus-settings><set key='a'>1</set><set key='A'>2</set><set key='b'>1</set><set key='B' /></octopus-settings>",
            ["a": "2", "b": nil]
        ),
        Sample(
            "keys of other products, other programs and later versions",
            """
            <octopus-settings><set key="Octopus.Node.Cache">{"a":[1]}</set>
            <set key="Tentacle.Communication.LastReceivedHandshake">"{\\"Thumbprint\\":\\"9C\\"}"</set>
            <set key="Octopus.Communications.Squid">SQ-1</set><set key="Tentacle.Sandbox.Policy">strict</set>
            <set key="Later.Secret">$OctopusMachineKeyV1$AAAA</set></octopus-settings>
            """,
            [
                "Octopus.Node.Cache": #"{"a":[1]}"#, "Octopus.Communications.Squid": "SQ-1",
                "Tentacle.Communication.LastReceivedHandshake": #""{\"Thumbprint\":\"9C\"}""#,
                "Tentacle.Sandbox.Policy": "strict", "Later.Secret": "$OctopusMachineKeyV1$AAAA",
            ]
        ),
    ]

    @Test("one key is set, the others stay", arguments: Self.samples)
    func oneKey(sample: Sample) throws {
        var document = try SettingsDocument(bytes: sample.bytes)
        for (key, value) in sample.values { #expect(document[key] == value, "\(key)") }
        let keys = document.keys
        document["New.Key"] = "new"
        let written = document.encoded()
        #expect(written.starts(with: [0xEF, 0xBB, 0xBF]))
        let again = try SettingsDocument(bytes: written)
        #expect(again["New.Key"] == "new")
        #expect(Set(again.keys) == Set(keys + ["New.Key"]))
        for (key, value) in sample.values {
            #expect(again[key].map { Array($0.utf8) } == value.map { Array($0.utf8) }, "\(key)")
        }
        #expect(again.encoded() == written)
    }

    @Test(
        "an encoding that nobody can read says what to do",
        arguments: [
            (Array("<?xml version='1.0' encoding='EBCDIC-FR'?><octopus-settings/>".utf8), "save it as UTF-8"),
            ([0xFF, 0xFE, 0x3C], "not UTF-16"), ([0xFF, 0xFE, 0x00, 0xD8], "not UTF-16"),
            (Array("<octopus-settings><set key='".utf8) + [0xE4] + Array("' /></octopus-settings>".utf8), "not UTF-8"),
        ] as [([UInt8], String)]
    )
    func encodings(bytes: [UInt8], reason: String) {
        let error = #expect(throws: ConfigurationError.self) { try SettingsDocument(bytes: bytes) }
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }
}
