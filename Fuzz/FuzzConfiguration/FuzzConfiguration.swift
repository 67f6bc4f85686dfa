import AgentConfiguration
import FuzzSupport
import SecureTransport

/// A configuration file as another product, an editor or a stranger has left it, and the values in it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfiguration(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    switch input.below(7) {
    case 0: document(input.rest)
    case 1: encodings(&input)
    case 2: trustedServers(input.rest)
    case 3: contacts(input.rest)
    case 4: secrets(&input)
    case 5: sealed(input.rest)
    default: values(&input)
    }
    return 0
}

private func document(_ bytes: [UInt8]) {
    let document: SettingsDocument
    do throws(ConfigurationError) {
        document = try SettingsDocument(bytes: bytes)
    } catch {
        require(error.message.contains("line "), "an error without a place: \(error.message)")
        return
    }
    requireKept(document)
    // A change of one key is a change of that one.
    var changed = document
    changed["Tentacle.Services.PortNumber"] = "10944"
    let again = requireKept(changed)
    require(again["tentacle.services.portnumber"] == "10944", "a value was not set")
    for key in document.keys where key.lowercased() != "tentacle.services.portnumber" {
        require(again[key] == document[key], "\(key) changes: \(document[key] ?? "-") to \(again[key] ?? "-")")
    }
}

/// Written and read again it is the same, in every value and in the bytes.
@discardableResult
private func requireKept(_ document: SettingsDocument) -> SettingsDocument {
    let bytes = document.encoded()
    guard let again = try? SettingsDocument(bytes: bytes) else {
        fatalError("what was written cannot be read: \(String(decoding: bytes, as: UTF8.self))")
    }
    require(again.encoded() == bytes, "a document changes: \(String(decoding: bytes, as: UTF8.self))")
    for key in document.keys {
        require(again[key] == document[key], "\(key) changes: \(document[key] ?? "-") to \(again[key] ?? "-")")
    }
    return again
}

/// The same text in UTF-16 is the same document.
private func encodings(_ input: inout FuzzInput) {
    let isBigEndian = input.flag()
    let text = String(decoding: input.rest, as: UTF8.self)
    // What it says of its encoding counts where no mark does.
    guard !text.contains("encoding"), !text.hasPrefix("\u{FEFF}") else { return }
    var bytes: [UInt8] = isBigEndian ? [0xFE, 0xFF] : [0xFF, 0xFE]
    for unit in text.utf16 {
        let (high, low) = (UInt8(unit >> 8), UInt8(unit & 0xFF))
        bytes += isBigEndian ? [high, low] : [low, high]
    }
    let (one, other) = (try? SettingsDocument(bytes: Array(text.utf8)), try? SettingsDocument(bytes: bytes))
    require(one == other, "UTF-16 is read in another way: \(text)")
}

// MARK: Values

/// A machine of its own with its keys, beside the program and so with what was built.
private let host: HostFiles = {
    let root = (HostFiles.programPath() ?? "") + ".machine"
    do {
        try DurableFile.makeDirectory(root + "/etc")
        let machine = Array("0123456789abcdef0123456789abcdef\n".utf8)
        try DurableFile.write(machine, to: root + "/etc/machine-id", mode: 0o600)
    } catch {
        fatalError("\(error)")
    }
    return HostFiles(root: root)
}()

private let path = host.root + "/x.config"
private let protection = SecretProtection(host: host, configurationPath: path)

private func configuration(_ key: ConfigurationKey, _ text: String) -> TentacleConfiguration {
    var configuration = TentacleConfiguration(path: path, document: SettingsDocument(), host: host)
    configuration.set(key, text)
    return configuration
}

private func trustedServers(_ bytes: [UInt8]) {
    var configuration = configuration(.trustedServers, String(decoding: bytes, as: UTF8.self))
    guard let servers = try? configuration.trustedServers() else { return }
    configuration.setTrustedServers(servers)
    require((try? configuration.trustedServers()) == servers, "trust changes: \(servers)")
    let polled = PollingContact.all(in: servers).flatMap(\.servers)
    require(polled.allSatisfy(servers.contains), "a server comes from nowhere: \(polled)")
    configuration.set(.nextCertificate, "x")
    configuration.set(.nextCertificateThumbprint, String(repeating: "A", count: 40))
    for server in servers {
        guard (try? configuration.markKnown(by: server.thumbprint)) != nil else { fatalError("cannot mark \(server)") }
    }
    guard let left = try? configuration.serversToTell() else { fatalError("the marks cannot be read") }
    require(left.isEmpty, "these were marked: \(left)")
}

private func contacts(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let contacts = try? configuration(.nextCertificateKnownBy, text).contactsThatKnowNext() else { return }
    for contact in contacts {
        let again = ServerContact(thumbprint: contact.thumbprint, subscription: contact.subscription)
        require(again == contact, "a contact changes: \(contact)")
    }
}

private func secrets(_ input: inout FuzzInput) {
    let form: SecretProtection.Form = input.flag() ? .versioned : .legacy
    let text = String(decoding: input.rest, as: UTF8.self)
    guard let sealed = try? protection.encrypt(text, form: form) else { fatalError("cannot protect \(text)") }
    require((try? protection.decrypt(sealed)) == text, "a secret changes: \(text)")
}

private func sealed(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    _ = try? protection.decrypt(text)
    _ = protection.keyFile(neededFor: text)
}

private func values(_ input: inout FuzzInput) {
    let keys: [ConfigurationKey] = [
        .home, .squid, .port, .listenAddress, .noListen, .pollingConnectionCount, .proxyUseDefault, .proxyPort,
        .proxyPassword, .secretForm, .certificateThumbprint, .certificate, .sandboxPolicy,
    ]
    let key = keys[input.below(keys.count)]
    let text = String(decoding: input.rest, as: UTF8.self)
    var configuration = configuration(key, text)
    if key == .certificate { configuration.set(.certificateThumbprint, "x") }
    if key == .proxyPort || key == .proxyPassword { configuration.set(.proxyHost, "proxy") }
    if key == .proxyPort || key == .proxyPassword { configuration.set(.proxyUseDefault, false) }
    _ = configuration.homeDirectory
    _ = try? configuration.secretForm()
    _ = try? configuration.settings(of: TentacleInstance(name: "x", configurationPath: path))
}
