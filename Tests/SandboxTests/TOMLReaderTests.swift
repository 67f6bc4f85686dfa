import Testing

@testable import Sandbox

/// A table in a form that is easy to compare: `key=value` lines, deeper keys with dots.
func flat(_ table: TOMLTable, _ prefix: String = "") -> [String] {
    table.entries.flatMap { flat($0.value, prefix + $0.key) }
}

private func flat(_ value: TOMLValue, _ name: String) -> [String] {
    switch value.kind {
    case .string(let text): ["\(name)=\(TOMLText.quoted(text))"]
    case .integer(let number): ["\(name)=\(number)"]
    case .boolean(let value): ["\(name)=\(value)"]
    case .array(let values): ["\(name)=[]"] + values.enumerated().flatMap { flat($0.element, "\(name)[\($0.offset)]") }
    case .table(let table): ["\(name)={}"] + flat(table, name + ".")
    case .tables(let tables): tables.enumerated().flatMap { flat($0.element, "\(name)[\($0.offset)].") }
    }
}

@Suite struct TOMLReaderTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var text: String
        var values: [String]
        var testDescription: String { text.debugDescription }

        init(_ text: String, _ values: [String]) {
            self.text = text
            self.values = values
        }
    }

    static let valid: [Case] = [
        Case("", []), Case("\n\r\n  # only words\t\n", []), Case("\u{FEFF}a=1", ["a=1"]),
        Case("a = 1 # one\r\nb=2", ["a=1", "b=2"]), Case("1234 = 1\n-_ = 2", ["1234=1", "-_=2"]),
        Case("\"a b\" = 1\n'c\"' = 2\n\"\" = 3", ["a b=1", "c\"=2", "=3"]),
        Case("a.b . \"c d\" = 1\na.e = 2", ["a={}", "a.b={}", "a.b.c d=1", "a.e=2"]),
        // Numbers.
        Case(
            "a = [0, +99, -17, 1_000, -0, +0]",
            ["a=[]", "a[0]=0", "a[1]=99", "a[2]=-17", "a[3]=1000", "a[4]=0", "a[5]=0"]
        ),
        Case("a = [0xDEAD_beef, 0o755, 0b1101]", ["a=[]", "a[0]=3735928559", "a[1]=493", "a[2]=13"]),
        Case(
            "a = [9223372036854775807, -9223372036854775808]",
            ["a=[]", "a[0]=9223372036854775807", "a[1]=-9223372036854775808"]
        ),
        Case("a = true\nb = false", ["a=true", "b=false"]),
        // Strings.
        Case(#"a = "x\"\\\n\t\u00e9\U0001F600""#, [#"a="x\"\\\n\té😀""#]),
        Case(#"a = 'C:\x "y"'"#, [#"a="C:\\x \"y\"""#]),
        Case("a = \"\"\nb = ''", [#"a="""#, #"b="""#]), Case("a = \"\"\"\"\"\"\nb = ''''''", [#"a="""#, #"b="""#]),
        Case("a = \"\"\"\r\none\r\n  two \\\n \n\t three\"\"\"", [#"a="one\n  two three""#]),
        Case("a = \"\"\"\"quoted\"\"\"\"\"", [#"a="\"quoted\"\"""#]),
        Case("a = '''\nx\\n\n'y'''''", [#"a="x\\n\n'y''""#]),
        // Lists and tables.
        Case("a = [\n 1, # one\n 2,\n]\nb = []", ["a=[]", "a[0]=1", "a[1]=2", "b=[]"]),
        Case("a = [[1], ['x']]", ["a=[]", "a[0]=[]", "a[0][0]=1", "a[1]=[]", "a[1][0]=\"x\""]),
        Case("a = {}\nb = { x = 1, y.z = 2, y.w = 3 }", ["a={}", "b={}", "b.x=1", "b.y={}", "b.y.z=2", "b.y.w=3"]),
        Case("[a.b]\nc = 1\n[a]\nd = 2", ["a={}", "a.b={}", "a.b.c=1", "a.d=2"]),
        Case("[ a . 'b' ] # table\n[a.b.c]", ["a={}", "a.b={}", "a.b.c={}"]),
        Case("[a]\nb.c = 1\n[a.b.d]\ne = 2", ["a={}", "a.b={}", "a.b.c=1", "a.b.d={}", "a.b.d.e=2"]),
        Case(
            "[[r]]\na = 1\n[r.t]\nb = 2\n[[r]]\n[[r.s]]\nc = 3",
            ["r[0].a=1", "r[0].t={}", "r[0].t.b=2", "r[1].s[0].c=3"]
        ),
    ]

    @Test("what TOML 1.0 allows is read", arguments: valid)
    func reads(example: Case) throws {
        #expect(flat(try TOMLReader.read(Array(example.text.utf8))) == example.values)
    }

    static let refused: [(String, String)] = [
        ("a", "line 1: expected = behind a"),
        ("\n\n= 1", "line 3: expected a key: letters, digits, _ and -, or anything in quotes"),
        ("a. = 1", "line 1: expected a key: letters, digits, _ and -, or anything in quotes"),
        ("ä = 1", "line 1: expected a key: letters, digits, _ and -, or anything in quotes"),
        ("a = ", "line 1: expected a value: a text in quotes, a number, true, false, a list or a table"),
        ("a = 1 b = 2", "line 1: the line goes on where it should end"),
        ("a = 1\rb = 2", "line 1: the line goes on where it should end"),
        ("\r", "line 1: the line goes on where it should end"),
        ("a = standard", "line 1: a text stands in quotes: \"standard\""),
        ("a = True", "line 1: a text stands in quotes: \"True\""),
        // Twice.
        ("a = 1\n\na = 2", "line 3: a is already there, on line 1"),
        ("a = 1\n\"a\" = 2", "line 2: a is already there, on line 1"),
        ("a = 1\na.b = 2", "line 2: a is already there, on line 1"),
        ("a.b = 1\na = 2", "line 2: a is already there, on line 1"),
        ("[a]\n[a]", "line 2: a is already there, on line 1"), ("a = 1\n[a]", "line 2: a is already there, on line 1"),
        ("[a]\nb.c = 1\n[a.b]", "line 3: b is already there, on line 2"),
        ("a = {}\n[a.b]", "line 2: a is already there, on line 1"),
        ("a = {}\na.b = 1", "line 2: a is already there, on line 1"),
        ("[a.b.c]\n[a]\nb.d = 1", "line 3: b is already there, on line 1"),
        ("[[a.b]]\n[a]\nb.c = 1", "line 3: b is already there, on line 1"),
        ("a = []\n[[a]]", "line 2: a is already there, on line 1"),
        ("[a]\n[[a]]", "line 2: a is already there, on line 1"),
        ("[[a]]\n[a]", "line 2: a is already there, on line 1"),
        ("a = [{}]\n[a.b]", "line 2: a is already there, on line 1"),
        ("a = {b = 1, b = 2}", "line 1: b is already there, on line 1"),
        // Headers.
        ("[a", "line 1: expected ] behind the table's name"), ("[[a]", "line 1: expected ]] behind the table's name"),
        ("[]", "line 1: expected a key: letters, digits, _ and -, or anything in quotes"),
        ("[a] b = 1", "line 1: the line goes on where it should end"),
        // Numbers.
        ("a = 1.5", "line 1: numbers are whole here"), ("a = 1e3", "line 1: numbers are whole here"),
        ("a = inf", "line 1: numbers are whole here"),
        ("a = -nan", "line 1: numbers are whole here"),
        ("a = 1979-05-27T07:32:00Z", "line 1: there are no dates and times here"),
        ("a = 07:32:00", "line 1: there are no dates and times here"),
        ("a = 0755", "line 1: a number does not begin with 0; one of base 8 begins with 0o"),
        ("a = 1__0", "line 1: this is not a number"), ("a = 1_", "line 1: this is not a number"),
        ("a = +", "line 1: this is not a number"),
        ("a = 0x", "line 1: this is not a number"), ("a = 0o8", "line 1: this is not a number"),
        ("a = 0x_1", "line 1: this is not a number"),
        ("a = 9223372036854775808", "line 1: the number is too large"), ("a = 512M", "line 1: this is not a number"),
        // Strings.
        ("a = \"x\n", "line 1: a text without its closing quote"),
        ("a = 'x", "line 1: a text without its closing quote"),
        ("a = \"\\", "line 1: a text without its closing quote"),
        ("a = \"\\e\"", "line 1: an unknown escape; a \\ itself is written \\\\"),
        ("a = \"\\u12\"", "line 1: expected 4 hexadecimal digits"),
        ("a = \"\\ud800\"", "line 1: there is no such character"),
        ("a = \"\\U00110000\"", "line 1: there is no such character"),
        ("a = \"\u{1}\"", "line 1: a control character in a text"),
        ("a = '\u{7F}'", "line 1: a control character in a text"),
        ("\na = \"\"\"x\n\n", "line 2: the text that begins here has no closing quotes"),
        ("a = '''x\u{1}'''", "line 1: a control character in a text"),
        ("a = \"\"\"x\"\"\"\"\"\"", "line 1: too many quotes"),
        ("# \u{0}", "line 1: a control character in a comment"), ("# a\rb", "line 1: a control character in a comment"),
        // Lists and tables.
        ("\na = [1,\n2", "line 2: the list that begins here has no ]"),
        ("a = [1 2]", "line 1: expected , or ] behind a value of the list"),
        ("a = [,]", "line 1: expected a value: a text in quotes, a number, true, false, a list or a table"),
        ("a = {b = 1", "line 1: expected , or } behind a value of the table"),
        ("a = {b = 1,}", "line 1: expected a key: letters, digits, _ and -, or anything in quotes"),
        ("a = {b = 1,\n c = 2}", "line 1: expected a key: letters, digits, _ and -, or anything in quotes"),
    ]

    @Test("what it does not allow, or no file of ours has, is refused with the line", arguments: refused)
    func refuses(text: String, problem: String) {
        #expect(Self.problem(Array(text.utf8)) == problem)
    }

    static func problem(_ bytes: [UInt8]) -> String? {
        do throws(TOMLError) {
            _ = try TOMLReader.read(bytes)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("bytes that are no UTF-8 are refused on their line")
    func notUTF8() {
        #expect(Self.problem(Array("a = 1\n\n# ".utf8) + [0xC3, 0x28]) == "line 3: this is not UTF-8")
        #expect(Self.problem([0xFF, 0xFE]) == "line 1: this is not UTF-8")
    }

    @Test("values know the lines they stand on")
    func lines() throws {
        let table = try TOMLReader.read(Array("a = [\n1,\n\n'''x\ny''',\n{ b = 2 }]\n[c]\nd = 1\n".utf8))
        guard case .array(let values)? = table["a"]?.kind, case .table(let last)? = table["c"]?.kind else {
            Issue.record("no list or no table")
            return
        }
        #expect(table["a"]?.line == 1)
        #expect(values.map(\.line) == [2, 4, 6])
        #expect(last.line == 7)
        #expect(last["d"]?.line == 8)
    }

    @Test("a file, nesting and the keys of a table have limits")
    func limits() {
        let largest = [UInt8](repeating: 0x0A, count: TOMLReader.maximumBytes)
        #expect(Self.problem(largest) == nil)
        #expect(Self.problem(largest + [0x0A]) == "line 1: the file is larger than 65536 bytes")

        func lists(_ depth: Int) -> [UInt8] {
            Array(("a = " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        let tooDeep = "line 1: tables and lists are more than 16 inside of each other"
        #expect(Self.problem(lists(16)) == nil)
        #expect(Self.problem(lists(17)) == tooDeep)
        func dotted(_ parts: Int) -> String { [String](repeating: "a", count: parts).joined(separator: ".") }
        #expect(Self.problem(Array("\(dotted(17)) = 1".utf8)) == nil)
        #expect(Self.problem(Array("\(dotted(18)) = 1".utf8)) == tooDeep)
        #expect(Self.problem(Array("[\(dotted(16))]\nb = 1".utf8)) == nil)
        #expect(Self.problem(Array("[\(dotted(17))]".utf8)) == tooDeep)
        #expect(Self.problem(Array("[\(dotted(16))]\nb = []".utf8)) == "line 2" + tooDeep.dropFirst(6))
        #expect(Self.problem(Array("a = {\(dotted(17)) = 1}".utf8)) == tooDeep)

        func keys(_ count: Int) -> [UInt8] { Array((1...count).map { "k\($0) = 1\n" }.joined().utf8) }
        #expect(Self.problem(keys(1024)) == nil)
        #expect(Self.problem(keys(1025)) == "line 1025: a table has more than 1024 keys")
    }

    @Test("every prefix of a file is read or refused")
    func prefixes() {
        for example in Self.valid {
            let bytes = Array(example.text.utf8)
            for count in 0..<bytes.count { _ = Self.problem(Array(bytes[..<count])) }
        }
    }

    @Test("a text is written so that it is read back")
    func quoted() throws {
        let text = "a\"b\\c\n\t\r\u{0}\u{1F}\u{7F} é 😀"
        let table = try TOMLReader.read(Array("a = \(TOMLText.quoted(text))".utf8))
        guard case .string(let again)? = table["a"]?.kind else {
            Issue.record("no text")
            return
        }
        #expect(again == text)
    }
}

@Suite struct ByteSizeTests {
    @Test(
        "sizes are read by 1024",
        arguments: [
            ("0", 0), ("1023", 1023), ("4K", 4096), ("1536 KiB", 1_572_864), ("2G", 2_147_483_648),
            ("1TB", 1_099_511_627_776), ("7b", 7), ("3m", 3_145_728), ("9223372036854775807", Int64.max),
        ]
    )
    func sizes(text: String, bytes: Int64) {
        #expect(ByteSize.parse(text) == bytes)
        #expect(ByteSize.parse(ByteSize.text(bytes)) == bytes)
    }

    @Test(
        "what is no size is none",
        arguments: [
            "", "-1", "K", "1.5G", "1Q", "9999999999T", "1 2", "0x10", "1iB", "9223372036854775808",
            "99999999999999999999",
            "1K ",
        ]
    )
    func notSizes(text: String) {
        #expect(ByteSize.parse(text) == nil)
    }
}
