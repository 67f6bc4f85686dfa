import AgentConfiguration
import FoundationEssentials
import Glibc
import Testing

@Suite struct SecretProtectionTests {
    @Test(
        "the stock agent's vectors, both ways",
        arguments: zip(["FooBar", "s3cret!"], ["yspqcK7xCvd5c+1OSB7kxw==", "MV+cOX5JK2ZBY5jKjyREmg=="])
    )
    func vectors(plain: String, sealed: String) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let secrets = scratch.secrets
        #expect(try secrets.encrypt(plain) == sealed)
        #expect(try secrets.decrypt(sealed) == plain)
    }

    @Test("without a machine id a key file is made once, readable by its owner only", arguments: [nil, "short"])
    func generatedKey(machineID: String?) throws {
        let scratch = try Scratch(machineID: machineID)
        defer { scratch.remove() }
        let sealed = try scratch.secrets.encrypt("value")
        let key = try scratch.text("etc/octopus/machinekey")
        #expect(try scratch.mode("etc/octopus/machinekey") == 0o600)
        #expect(scratch.names(in: "etc/octopus") == ["machinekey"])
        #expect(try scratch.secrets.encrypt("value") == sealed)
        #expect(try scratch.secrets.decrypt(sealed) == "value")
        #expect(try scratch.text("etc/octopus/machinekey") == key)
    }

    @Test("the newer form never repeats, and is read with the key beside the configuration only")
    func versioned() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let secrets = scratch.secrets
        let one = try secrets.encrypt("value", form: .versioned)
        let two = try secrets.encrypt("value", form: .versioned)
        #expect(one != two)
        #expect(one.hasPrefix("$OctopusMachineKeyV1$"))
        #expect(try secrets.decrypt(one) == "value")
        #expect(scratch.names(in: "home") == ["machinekey.v1"] && scratch.names(in: "etc") == ["machine-id"])
        #expect(try scratch.mode("home/machinekey.v1") == 0o600)
        #expect(secrets.keyFile(neededFor: one) == scratch.path + "/home/machinekey.v1")
        try scratch.write(try scratch.text("home/machinekey.v1"), "etc/octopus/machinekey")
        try FileManager.default.removeItem(atPath: scratch.path + "/home/machinekey.v1")
        let error = #expect(throws: ConfigurationError.self) { try secrets.decrypt(one) }
        #expect(error?.message.contains("no machine key was found at '\(scratch.path)/home/machinekey.v1'") == true)
    }

    /// Sealed by Python's cryptography: AESGCM(key).encrypt(nonce, "s3cret!", "$OctopusMachineKeyV1$"), the key being the
    /// bytes 00…1f and the nonce 30…3b.
    private static let sealed = "$OctopusMachineKeyV1$MDEyMzQ1Njc4OTo7wAZSsowba6lciSLSSGoxqhIGj/36fPk="
    /// With the bytes 20…2f as the vector that the newer form has no use for.
    private static let keyText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=.ICEiIyQlJicoKSorLC0uLw=="

    @Test("the newer form as another program writes it: AES-256-GCM, the prefix being part of what is authenticated")
    func versionedVector() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        try scratch.write(Self.keyText, "home/machinekey.v1")
        #expect(try scratch.secrets.decrypt(Self.sealed) == "s3cret!")
        var altered = Array(Self.sealed.utf8)
        altered[Self.sealed.utf8.count - 6] ^= 1
        for broken in [
            "$OctopusMachineKeyV1$", "$OctopusMachineKeyV1$AAAA", "$OctopusMachineKeyV1$%%%",
            String(decoding: altered, as: UTF8.self), String(Self.sealed.dropLast(4)),
            String(Self.sealed.dropFirst("$OctopusMachineKeyV1$".count)),
        ] {
            #expect(throws: ConfigurationError.self, "\(broken)") { try scratch.secrets.decrypt(broken) }
        }
    }

    @Test("a key that root makes is the configuration's owner's", .enabled(if: geteuid() == 0))
    func owner() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let path = try scratch.write("", "home/tentacle.config")
        #expect(chown(path, 1234, 1235) == 0)
        let sealed = try scratch.secrets.encrypt("value", form: .versioned)
        var key = stat()
        #expect(stat(scratch.path + "/home/machinekey.v1", &key) == 0)
        #expect(key.st_uid == 1234 && key.st_gid == 1235 && key.st_mode & 0o777 == 0o600 && key.st_nlink == 1)
        #expect(try scratch.secrets.decrypt(sealed) == "value")
    }

    @Test("a value of another machine is explained")
    func otherMachine() throws {
        let first = try Scratch()
        defer { first.remove() }
        let sealed = try first.secrets.encrypt("a longer value than one block of AES has")
        let scratch = try Scratch(machineID: "00000000000000000000000000000000")
        defer { scratch.remove() }
        let error = #expect(throws: ConfigurationError.self) {
            // A wrong key sometimes leaves valid padding: the caller says what it expects.
            try scratch.secrets.decrypt(sealed) { $0.hasPrefix("a longer") }
        }
        #expect(error?.code == .secret)
        #expect(error?.message.contains("/etc/machine-id") == true)
        #expect(error?.message.contains("new-certificate") == true)
    }

    @Test("a value sealed with the key file is still read when a machine id appears later")
    func secondSource() throws {
        let scratch = try Scratch(machineID: nil)
        defer { scratch.remove() }
        let sealed = try scratch.secrets.encrypt("the value")
        try scratch.write("816490f117f14c7a8fa2697781ed795b\n", "etc/machine-id")
        #expect(try scratch.secrets.decrypt(sealed) { $0 == "the value" } == "the value")
    }

    @Test("a value sealed while the usual key could not be made is still read when there is one")
    func secondKey() throws {
        let scratch = try Scratch(machineID: nil)
        defer { scratch.remove() }
        let usual = scratch.secrets
        scratch.host.environment["TentacleMachineConfigurationHomeDirectory"] = scratch.path + "/machine"
        // In the way of the usual key, for root too.
        try scratch.write("", "etc/octopus")
        let sealed = try scratch.secrets.encrypt("the value")
        try FileManager.default.removeItem(atPath: scratch.path + "/etc/octopus")
        _ = try usual.encrypt("another")
        #expect(scratch.names(in: "etc/octopus") == ["machinekey"])
        #expect(try scratch.secrets.decrypt(sealed) { $0 == "the value" } == "the value")
    }

    @Test("a corrupt key file is named")
    func corrupt() throws {
        let scratch = try Scratch(machineID: nil)
        defer { scratch.remove() }
        try scratch.write("nonsense", "etc/octopus/machinekey")
        try scratch.write("nonsense", "home/machinekey.v1")
        for (form, name) in [
            (SecretProtection.Form.legacy, "etc/octopus/machinekey"), (.versioned, "home/machinekey.v1"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try scratch.secrets.encrypt("x", form: form) }
            #expect(error?.message.hasPrefix("Machine key file at `\(scratch.path)/\(name)` is corrupt") == true)
        }
    }
}
