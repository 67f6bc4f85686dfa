import AgentConfiguration
import FoundationEssentials
import ProcessTesting
import SecureTransport
import TentacleCommands
import Testing

@Suite struct ImportCertificateCommandTests {
    /// What the first line says of any import that worked.
    private static func success(_ identity: TLSIdentity) -> String {
        """
        Certificate with thumbprint \(identity.thumbprint) imported successfully.
        These changes require a restart of the Tentacle.

        """
    }

    private static func with(_ body: (TestWorld, TLSIdentity) async throws -> Void) async throws {
        try await TestWorld.with { world in
            _ = world.run("create-instance", "--config", world.path + "/home/x.config")
            try await body(world, try TestIdentity.shared.get())
        }
    }

    @Test(
        "a PFX file, whatever the spelling of the options",
        arguments: [
            ["--from-file=c.pfx", "--pfx-password=s€cret"], ["-f", "c.pfx", "--pw", "s€cret"],
            ["/f:c.pfx", "--PW=s€cret"], ["-fc.pfx", "--pfx-password", "s€cret"],
            ["--from-file=c.bin", "--pw=s€cret"], ["--from-file=C.PFX", "--pw=s€cret"],
        ]
    )
    func archive(options: [String]) async throws {
        try await Self.with { world, identity in
            for name in ["c.pfx", "c.bin", "C.PFX"] {
                let bytes = try identity.pkcs12(password: "s€cret")
                try DurableFile.write(bytes, to: world.path + "/cwd/" + name, mode: 0o600)
            }
            let outcome = world.run(["import-certificate"] + options)
            #expect(outcome == .init(exitCode: 0, output: Self.success(identity), errors: ""))
            #expect(try world.configuration().identity() == identity)
            #expect(world.run("show-thumbprint").output == identity.thumbprint.description)
        }
    }

    @Test("base64 in a file: byte-order mark, line feeds, a password that is not needed", arguments: [[], ["--pw=x"]])
    func textFile(options: [String]) async throws {
        try await Self.with { world, identity in
            let text = Data(try identity.pkcs12()).base64EncodedString(options: [
                .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
            ])
            for contents in [text, "\u{FEFF}\(text)\n\n"] {
                try world.write(contents, "cwd/c.txt")
                let outcome = world.run(["import-certificate", "--from-file=c.txt"] + options)
                #expect(outcome == .init(exitCode: 0, output: Self.success(identity), errors: ""))
                #expect(try world.configuration().identity() == identity)
            }
        }
    }

    @Test("base64 on the command line")
    func textOption() async throws {
        try await Self.with { world, identity in
            let text = Data(try identity.pkcs12()).base64EncodedString()
            #expect(
                world.run("import-certificate", "--from-base64=\(text)")
                    == .init(exitCode: 0, output: Self.success(identity), errors: "")
            )
            #expect(world.run("import-certificate", "-b", text).exitCode == 0)
        }
    }

    @Test("what new-certificate exports is imported, both forms")
    func roundTrip() async throws {
        try await Self.with { world, _ in
            let text = world.run("new-certificate", "--export-file=c.txt")
            let archive = world.run("new-certificate", "--export-pfx=c.pfx", "--pfx-password=p")
            for (exported, options) in [(text, ["-f", "c.txt"]), (archive, ["-f", "c.pfx", "--pw=p"])] {
                let thumbprint = try #require(exported.output.split(separator: "\n").last)
                #expect(world.run(["import-certificate"] + options).exitCode == 0)
                #expect(world.run("show-thumbprint").output == thumbprint)
            }
        }
    }

    @Test("the password from a file, standard input and the environment, never printed")
    func passwords() async throws {
        try await Self.with { world, identity in
            let path = world.path + "/cwd/c.pfx"
            try DurableFile.write(try identity.pkcs12(password: "s3cret"), to: path, mode: 0o600)
            func run(_ options: String...) -> TestWorld.Outcome {
                world.run(["import-certificate", "-f", "c.pfx"] + options)
            }
            for text in ["s3cret", "s3cret\n", "\u{FEFF}s3cret\r\n"] {
                try world.write(text, "cwd/password")
                #expect(run("--pfx-password-file=password").output == Self.success(identity))
                world.context.readStandardInput = { Array(text.utf8) }
                #expect(run("--pfx-password-file", "-").output == Self.success(identity))
            }
            world.context.host.environment["TENTACLE_PFX_PASSWORD"] = "s3cret"
            #expect(run().output == Self.success(identity))
            // What is given beats the environment.
            let wrong = run("--pw=other")
            #expect(wrong.exitCode == 100 && wrong.output == "" && !wrong.errors.contains("other"))
            #expect(run("--pfx-password-file=password").exitCode == 0)
            #expect(
                run("--pw=s3cret", "--pfx-password-file=password").errors
                    == "Please specify a --pfx-password, or a --pfx-password-file - not both.\n"
            )
            #expect(
                run("--pfx-password-file=/no/file")
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "Could not read '/no/file': No such file or directory. Give the file that holds the "
                            + "password and nothing else as --pfx-password-file.\n"
                    )
            )
        }
    }

    @Test("new-certificate takes its password the same ways")
    func exportPasswords() async throws {
        try await Self.with { world, _ in
            try world.write("from file\n", "cwd/password")
            world.context.host.environment["TENTACLE_PFX_PASSWORD"] = "from environment"
            for (options, password) in [
                ([], "from environment"), (["--pfx-password-file=password"], "from file"),
                (["--pfx-password="], ""),
            ] {
                #expect(world.run(["new-certificate", "--export-pfx=c.pfx"] + options).exitCode == 0)
                let bytes = try DurableFile.read(world.path + "/cwd/c.pfx")
                #expect(throws: Never.self) { try TLSIdentity(pkcs12: bytes, password: password) }
            }
        }
    }

    @Test(
        "sources that are missing, too many, or not to be had",
        arguments: [
            ([], 1, "Please specify the certificate to import."),
            (["--from-file="], 1, "Please specify the certificate to import."),
            (
                ["-r", "-f", "c.pfx"], 1,
                "Please specify only one of either from-registry or from-file or from-base64"
            ),
            (
                ["-f", "c.pfx", "-b", "AAAA"], 1,
                "Please specify only one of either from-registry or from-file or from-base64"
            ),
            (["-r"], 1, "There is no Windows registry on Linux. Give the certificate as --from-file."),
            (["--from-file=no/c.pfx"], 1, "Certificate 'no/c.pfx' was not found."),
            (["--from-base64=%%%"], 100, "The value of --from-base64 is not base64 text."),
        ] as [([String], Int32, String)]
    )
    func sources(options: [String], code: Int32, message: String) async throws {
        try await Self.with { world, _ in
            let before = try world.text("home/x.config")
            #expect(
                world.run(["import-certificate"] + options)
                    == .init(exitCode: code, output: "", errors: message + "\n")
            )
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("a wrong password and bytes that are no certificate leave everything as it was")
    func unreadable() async throws {
        try await Self.with { world, identity in
            try DurableFile.write(try identity.pkcs12(password: "p"), to: world.path + "/cwd/c.pfx", mode: 0o600)
            try world.write("hello", "cwd/hello.pfx")
            try world.write("", "cwd/empty.txt")
            let before = try world.text("home/x.config")
            for (options, name) in [
                (["-f", "c.pfx", "--pw=q"], "c.pfx"), (["-f", "c.pfx"], "c.pfx"), (["-f", "hello.pfx"], "hello.pfx"),
                (["-f", "empty.txt"], "empty.txt"), (["-b", "MAAA"], "--from-base64"),
            ] {
                let outcome = world.run(["import-certificate"] + options)
                #expect(outcome.exitCode == 100 && outcome.output == "")
                #expect(outcome.errors.hasPrefix("The certificate (\(name)) cannot be used: could not "))
            }
            #expect(world.run("import-certificate", "-f", "/").exitCode == 100)
            #expect(try world.text("home/x.config") == before)
        }
    }

    @Test("an unknown instance is said before anything else")
    func unknownInstance() async throws {
        try await Self.with { world, _ in
            let outcome = world.run("import-certificate", "--instance=B")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errors.hasPrefix("Instance B of Tentacle has not been configured on this machine."))
        }
    }

    // MARK: Files of other programs

    @Test("a PFX file without private key, and one without certificates")
    func incomplete() async throws {
        try await Self.with { world, identity in
            try world.write(try identity.pem(), "cwd/c.pem")
            try world.write("", "cwd/none.pem")
            try await world.makeArchive("-nokeys", "-in", "c.pem")
            #expect(
                world.run("import-certificate", "-f", "c.pfx")
                    == .init(
                        exitCode: 100,
                        output: "",
                        errors:
                            "Unable to load X509 Certificate file. The X509 certificate file you provided does not include "
                            + "the private key. Please make sure the private key is included in your X509 certificate file "
                            + "and try again.\n"
                    )
            )
            try world.write(Self.emptyArchive, "cwd/empty.txt")
            #expect(
                world.run("import-certificate", "-f", "empty.txt")
                    == .init(
                        exitCode: 100,
                        output: "",
                        errors: "The PFX file (empty.txt) does not contain any certificates.\n"
                    )
            )
        }
    }

    /// PFX { version 3, authSafe { data, an AuthenticatedSafe of no parts } }, without MAC.
    private static let emptyArchive = Data([
        0x30, 0x16, 0x02, 0x01, 0x03, 0x30, 0x11, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01,
        0xA0, 0x04, 0x04, 0x02, 0x30, 0x00,
    ]).base64EncodedString()

    @Test("of several certificates that of the private key is taken")
    func several() async throws {
        try await Self.with { world, identity in
            try world.write(try identity.pem(includingPrivateKey: true), "cwd/c.pem")
            try world.write(try TLSIdentity.generate().pem(), "cwd/extra.pem")
            try await world.makeArchive("-in", "c.pem", "-certfile", "extra.pem")
            #expect(
                world.run("import-certificate", "-f", "c.pfx")
                    == .init(
                        exitCode: 0,
                        output: "PFX file c.pfx contains multiple certificates, taking the first one.\n"
                            + Self.success(identity),
                        errors: ""
                    )
            )
            #expect(try world.configuration().identity() == identity)
        }
    }

    /// Imports a certificate with a key of this kind.
    private static func importKey(_ world: TestWorld, _ kind: [String]) async throws -> TestWorld.Outcome {
        try await world.openssl(
            ["req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "k.pem", "-out", "c.pem", "-newkey"] + kind
        )
        try await world.makeArchive("-in", "c.pem", "-inkey", "k.pem")
        return world.run("import-certificate", "-f", "c.pfx")
    }

    @Test(
        "a short key is imported with a warning, a long one without",
        arguments: [("rsa:1024", true), ("rsa:4096", false)]
    )
    func keyLengths(key: String, isShort: Bool) async throws {
        try await Self.with { world, _ in
            let outcome = try await Self.importKey(world, [key])
            let identity = try #require(try world.configuration().identity())
            let warning =
                isShort
                ? "The imported certificate's private key is smaller than the currently-recommended bit length; "
                    + "generating a new key for the tentacle is advised.\n" : ""
            #expect(outcome == .init(exitCode: 0, output: warning + Self.success(identity), errors: ""))
        }
    }

    @Test(
        "a key that is not RSA is refused, as no real server could talk to the agent",
        arguments: [["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], ["ed25519"]]
    )
    func otherKeys(kind: [String]) async throws {
        try await Self.with { world, _ in
            let before = try world.text("home/x.config")
            #expect(
                try await Self.importKey(world, kind)
                    == .init(
                        exitCode: 1,
                        output: "",
                        errors: "The private key of the certificate (c.pfx) is not an RSA key, and Octopus Servers "
                            + "only know those. Import a certificate with an RSA key, or make one with "
                            + "new-certificate.\n"
                    )
            )
            #expect(try world.text("home/x.config") == before)
        }
    }
}

extension TestWorld {
    /// `c.pfx` without a password.
    func makeArchive(_ arguments: String...) async throws {
        try await self.openssl(["pkcs12", "-export", "-out", "c.pfx", "-passout", "pass:"] + arguments)
    }

    /// Runs the openssl program in the current directory of this host.
    func openssl(_ arguments: [String]) async throws {
        let outcome = try await RunningProgram("/usr/bin/openssl", arguments, folder: self.path + "/cwd").outcome()
        try #require(outcome.status == 0, "openssl \(arguments): \(outcome.errors)")
    }
}
