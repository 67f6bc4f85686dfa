internal import COpenSSL
internal import Glibc

extension TLSIdentity {
    /// What a generated certificate's key has (halibut.md 2.4): real servers want RSA.
    private static let keyBits: UInt32 = 2048
    private static let validYears = 100

    /// A new self-signed certificate with the shape of Tentacle's own (halibut.md 2.4, tentacle-cli.md 8.1).
    ///
    /// RSA 2048, SHA-256, subject and issuer `CN=<commonName>`, valid from yesterday for a hundred years. Takes some tenths
    /// of a second.
    ///
    /// - Throws: ``OpenSSLError`` when libcrypto fails.
    public static func generate(commonName: String = "Octopus Tentacle") throws(OpenSSLError) -> TLSIdentity {
        try generate(commonName: commonName, now: time(nil))
    }

    static func generate(commonName: String, now: time_t) throws(OpenSSLError) -> TLSIdentity {
        ERR_clear_error()
        guard let pkey = unsafe c_generate_rsa_key(keyBits) else { throw OpenSSLError("generate an RSA key") }
        let key = unsafe PrivateKey(owning: pkey)
        guard let x509 = unsafe X509_new() else { throw OpenSSLError("make a certificate") }
        let certificate = unsafe Certificate(owning: x509)
        let filled =
            try setSerial(of: certificate) && setSubject(of: certificate, commonName: commonName)
            && setValidity(of: certificate, now: now)
        guard
            filled,
            unsafe X509_set_version(x509, 2) == 1,
            unsafe X509_set_pubkey(x509, pkey) == 1,
            unsafe X509_sign(x509, pkey, EVP_sha256()) > 0
        else { throw OpenSSLError("make a certificate") }
        return try TLSIdentity(certificate: certificate, key: key)
    }

    /// A random serial number in 1 … 2^63−1.
    private static func setSerial(of certificate: Certificate) throws(OpenSSLError) -> Bool {
        let random = try Cryptography.randomBytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return unsafe ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.x509), max(1, random >> 1)) == 1
    }

    private static func setSubject(of certificate: Certificate, commonName: String) -> Bool {
        let name = unsafe X509_get_subject_name(certificate.x509)
        let text = Array(commonName.utf8)
        guard unsafe X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, text, Int32(text.count), -1, 0) == 1
        else { return false }
        return unsafe X509_set_issuer_name(certificate.x509, name) == 1
    }

    /// Midnight UTC of yesterday until midnight UTC of today in a hundred years, as .NET's calendar counts.
    private static func setValidity(of certificate: Certificate, now: time_t) -> Bool {
        let days = now / 86_400
        let yesterday = CalendarDay(daysSince1970: days - 1)
        var end = CalendarDay(daysSince1970: days)
        end.year += validYears
        // 29 February has no counterpart in a hundred years.
        if end.month == 2, end.day == 29 { end.day = 28 }
        let x509 = unsafe certificate.x509
        guard unsafe ASN1_TIME_set_string_X509(X509_getm_notBefore(x509), yesterday.midnight) == 1 else { return false }
        return unsafe ASN1_TIME_set_string_X509(X509_getm_notAfter(x509), end.midnight) == 1
    }
}

/// A day of the Gregorian calendar, UTC.
private struct CalendarDay {
    var year: Int
    var month: Int
    var day: Int

    /// Counts years from 1 March, so that the leap day is the last one (Howard Hinnant, "chrono-compatible date algorithms").
    init(daysSince1970: Int) {
        let shifted = daysSince1970 + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        self.day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        self.month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        self.year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
    }

    /// The form that ASN.1 times have.
    var midnight: String {
        func padded(_ value: Int, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return padded(year, 4) + padded(month, 2) + padded(day, 2) + "000000Z"
    }
}
