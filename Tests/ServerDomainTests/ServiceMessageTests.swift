import ServerDomain
import Testing

@Suite struct ServiceMessageTests {
    @Test("levels hold until changed, for each stream")
    func levels() {
        var interpreter = ScriptOutputInterpreter()
        #expect(interpreter.interpret("a", from: .output) == [.line(.info, "a")])
        #expect(interpreter.interpret("##octopus[stdout-verbose]", from: .output) == [])
        #expect(interpreter.interpret("b", from: .output) == [.line(.verbose, "b")])
        #expect(interpreter.interpret("c", from: .error) == [.line(.error, "c")])
        #expect(interpreter.interpret("##octopus[stderr-progress]", from: .error) == [])
        #expect(interpreter.interpret("d", from: .error) == [.line(.verbose, "d")])
        #expect(interpreter.interpret("##octopus[stdout-ignore]", from: .output) == [])
        #expect(interpreter.interpret("e", from: .output) == [])
        #expect(interpreter.interpret("##octopus[stdout-default]f", from: .output) == [.line(.info, "f")])
        #expect(interpreter.interpret("g", from: .debug) == [.line(.verbose, "g")])
    }

    @Test("text around messages, several to a line")
    func mixed() {
        var interpreter = ScriptOutputInterpreter()
        let line = "x##octopus[stdout-warning]y##octopus[stdout-default]z"
        #expect(
            interpreter.interpret(line, from: .output) == [.line(.info, "x"), .line(.warning, "y"), .line(.info, "z")]
        )
    }

    @Test("the worked example of deployment-steps.md 1.6")
    func setVariable() {
        var interpreter = ScriptOutputInterpreter()
        let line = "##octopus[setVariable name='U3VwZXI=' value='TWFyaW8gQnJvcw==']"
        let message = ServiceMessage(name: "setVariable", attributes: ["name": "Super", "value": "Mario Bros"])
        #expect(interpreter.interpret(line, from: .output) == [.message(message)])
        #expect(interpreter.interpret(line.replacing("'", with: "\""), from: .error) == [.message(message)])
    }

    @Test("a message may run over several lines of its stream")
    func split() {
        var interpreter = ScriptOutputInterpreter()
        #expect(interpreter.interpret("##octopus[setVariable name='U3Vw", from: .output) == [])
        #expect(interpreter.interpret("between", from: .error) == [.line(.error, "between")])
        let message = ServiceMessage(name: "setVariable", attributes: ["name": "Super", "value": "x"])
        #expect(interpreter.interpret("ZXI=' value='eA==']", from: .output) == [.message(message)])
    }

    @Test("what is not well-formed is reported", arguments: ["stdout-x y", "a b='!'", "", "a b=eA=="])
    func malformed(body: String) {
        var interpreter = ScriptOutputInterpreter()
        let items = interpreter.interpret("##octopus[\(body)]", from: .output)
        #expect(items == [.line(.warning, "Could not parse '##octopus[\(body)]'")])
    }

    @Test("an unfinished message is text after all")
    func unfinished() {
        var interpreter = ScriptOutputInterpreter()
        #expect(interpreter.interpret("##octopus[never", from: .output) == [])
        #expect(interpreter.finish() == [.line(.info, "##octopus[never")])
    }

    @Test("secrets are masked, short ones are not")
    func mask() {
        var mask = SecretMask()
        mask.add("hunter2")
        mask.add("abc")
        mask.add("hunter22")
        #expect(mask.apply(to: "hunter22 hunter2 abc") == "******** ******** abc")
    }
}
