import AgentConfiguration
import FoundationEssentials
import Testing

@Suite struct SecretProtectionTests {
    @Test(
        "the stock agent's vectors, both ways",
        arguments: zip(["FooBar", "s3cret!"], ["yspqcK7xCvd5c+1OSB7kxw==", "MV+cOX5JK2ZBY5jKjyREmg=="])
    )
    func vectors(plain: String, sealed: String) throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let secrets = SecretProtection(host: scratch.host)
        #expect(try secrets.encrypt(plain) == sealed)
        #expect(try secrets.decrypt(sealed) == plain)
    }

    @Test("without a machine id a key file is made once, readable by its owner only", arguments: [nil, "short"])
    func generatedKey(machineID: String?) throws {
        let scratch = try Scratch(machineID: machineID)
        defer { scratch.remove() }
        let sealed = try SecretProtection(host: scratch.host).encrypt("value")
        let key = try scratch.text("etc/octopus/machinekey")
        #expect(try scratch.mode("etc/octopus/machinekey") == 0o600)
        #expect(scratch.names(in: "etc/octopus") == ["machinekey"])
        #expect(try SecretProtection(host: scratch.host).encrypt("value") == sealed)
        #expect(try SecretProtection(host: scratch.host).decrypt(sealed) == "value")
        #expect(try scratch.text("etc/octopus/machinekey") == key)
    }

    @Test("the newer form never repeats and is read with the generated key only")
    func versioned() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let secrets = SecretProtection(host: scratch.host)
        let one = try secrets.encrypt("value", form: .versioned)
        let two = try secrets.encrypt("value", form: .versioned)
        #expect(one != two)
        #expect(one.hasPrefix("$OctopusMachineKeyV1$"))
        #expect(try secrets.decrypt(one) == "value")
        try FileManager.default.removeItem(atPath: scratch.path + "/etc/octopus/machinekey")
        #expect(throws: ConfigurationError.self) { try secrets.decrypt(one) }
    }

    @Test("the newer form as another program writes it: AES-256-CBC under the key, the vector in front")
    func versionedVector() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        // 32 bytes 00…1f and 16 bytes 20…2f; the text was encrypted under the vector 30…3f by the openssl program:
        // printf 's3cret!' | openssl enc -aes-256-cbc -K 0001…1f -iv 3031…3f
        try scratch.write(
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=.ICEiIyQlJicoKSorLC0uLw==",
            "etc/octopus/machinekey"
        )
        let sealed = "$OctopusMachineKeyV1$MDEyMzQ1Njc4OTo7PD0+P+XuQAU0SlgJzpsJTB+cVgg="
        #expect(try SecretProtection(host: scratch.host).decrypt(sealed) == "s3cret!")
        for broken in ["$OctopusMachineKeyV1$", "$OctopusMachineKeyV1$AAAA", "$OctopusMachineKeyV1$%%%"] {
            #expect(throws: ConfigurationError.self) { try SecretProtection(host: scratch.host).decrypt(broken) }
        }
    }

    @Test("a value of another machine is explained")
    func otherMachine() throws {
        let first = try Scratch()
        defer { first.remove() }
        let sealed = try SecretProtection(host: first.host).encrypt("a longer value than one block of AES has")
        let scratch = try Scratch(machineID: "00000000000000000000000000000000")
        defer { scratch.remove() }
        let error = #expect(throws: ConfigurationError.self) {
            // A wrong key sometimes leaves valid padding: the caller says what it expects.
            try SecretProtection(host: scratch.host).decrypt(sealed) { $0.hasPrefix("a longer") }
        }
        #expect(error?.code == .secret)
        #expect(error?.message.contains("/etc/machine-id") == true)
        #expect(error?.message.contains("new-certificate") == true)
    }

    @Test("a value sealed with the key file is still read when a machine id appears later")
    func secondSource() throws {
        let scratch = try Scratch(machineID: nil)
        defer { scratch.remove() }
        let sealed = try SecretProtection(host: scratch.host).encrypt("the value")
        try scratch.write("816490f117f14c7a8fa2697781ed795b\n", "etc/machine-id")
        #expect(try SecretProtection(host: scratch.host).decrypt(sealed) { $0 == "the value" } == "the value")
    }

    @Test(
        "a value sealed while the usual key could not be made is still read when there is one",
        arguments: [
            SecretProtection.Form.legacy, .versioned,
        ]
    )
    func secondKey(form: SecretProtection.Form) throws {
        let scratch = try Scratch(machineID: nil)
        defer { scratch.remove() }
        scratch.host.environment["TentacleMachineConfigurationHomeDirectory"] = scratch.path + "/machine"
        // In the way of the usual key, for root too.
        try scratch.write("", "etc/octopus")
        let sealed = try SecretProtection(host: scratch.host).encrypt("the value", form: form)
        try FileManager.default.removeItem(atPath: scratch.path + "/etc/octopus")
        let other = HostFiles(root: scratch.path)
        _ = try SecretProtection(host: other).encrypt("another", form: .versioned)
        #expect(scratch.names(in: "etc/octopus") == ["machinekey"])
        #expect(try SecretProtection(host: scratch.host).decrypt(sealed) { $0 == "the value" } == "the value")
    }

    @Test("a corrupt key file is named")
    func corrupt() throws {
        let scratch = try Scratch(machineID: nil)
        defer { scratch.remove() }
        try scratch.write("nonsense", "etc/octopus/machinekey")
        let error = #expect(throws: ConfigurationError.self) { try SecretProtection(host: scratch.host).encrypt("x") }
        #expect(
            error?.message.hasPrefix("Machine key file at `\(scratch.path)/etc/octopus/machinekey` is corrupt") == true
        )
    }
}
