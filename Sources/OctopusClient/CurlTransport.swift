internal import CCurl

/// HTTP through the system's libcurl: its proxies, its certificate store, its TLS library.
///
/// One request at a time, blocking: the command line has nothing else to do meanwhile.
package struct CurlTransport: HTTPTransport {
    /// No answer to a registration is larger.
    package static let maximumResponseBytes = 32 * 1024 * 1024
    /// Of one answer, provisional answers before it included.
    package static let maximumHeaderBytes = 256 * 1024

    private let maximumBytes: Int

    /// The library wants one call before all others; a static is initialised once, whoever comes first.
    private static let isInitialised = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    package init(maximumBytes: Int = CurlTransport.maximumResponseBytes) {
        self.maximumBytes = maximumBytes
    }

    package func send(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) -> HTTPResponse {
        guard Self.isInitialised, let handle = unsafe curl_easy_init() else {
            throw TransportError(.other, "libcurl could not be started")
        }
        defer { unsafe curl_easy_cleanup(handle) }
        // libcurl has one code for this and for an answer that is not HTTP.
        let scheme = request.url.prefix { $0 != ":" }.lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw TransportError(.invalidURL, "'\(request.url)' is no address of a web server")
        }
        let exchange = unsafe CurlExchange(handle: handle, maximumBytes: self.maximumBytes)
        try exchange.configure(request, options: options)
        return try exchange.perform()
    }
}

/// One request in the hands of libcurl; owns everything that the library keeps pointers to.
///
/// Lives on one thread, from `configure` to the end of `perform`.
@safe private final class CurlExchange {
    private let handle: UnsafeMutableRawPointer
    private let maximumBytes: Int
    private var headers: UnsafeMutablePointer<curl_slist>?
    private var response = HTTPResponse(status: 0)
    private var isTooLarge = false
    private var headerBytes = 0
    private var showsCertificate = false
    private let failureText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    init(handle: UnsafeMutableRawPointer, maximumBytes: Int) {
        self.maximumBytes = maximumBytes
        unsafe self.handle = handle
        unsafe self.failureText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        unsafe curl_slist_free_all(self.headers)
        unsafe self.failureText.deallocate()
    }

    func configure(_ request: HTTPRequest, options: TransportOptions) throws(TransportError) {
        try self.set(CURLOPT_URL, request.url)
        try self.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try self.set(CURLOPT_NOSIGNAL, 1)
        try self.set(CURLOPT_CONNECTTIMEOUT_MS, options.connectTimeout.milliseconds)
        try self.set(CURLOPT_TIMEOUT_MS, options.requestTimeout.milliseconds)
        try self.set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if options.acceptsAnyCertificate {
            try self.set(CURLOPT_SSL_VERIFYPEER, 0)
            try self.set(CURLOPT_SSL_VERIFYHOST, 0)
        }
        self.showsCertificate = options.showsCertificate
        if options.showsCertificate { try self.set(CURLOPT_CERTINFO, 1) }
        if let authorities = options.authorities { try self.set(CURLOPT_CAINFO, authorities) }
        try self.set(options.proxy)
        try self.set(request.method, body: request.body)
        // Without this, libcurl asks "Expect: 100-continue" for larger bodies and waits a second.
        try self.add(header: "Expect:")
        for (name, value) in request.headers { try self.add(header: "\(name): \(value)") }
        try self.check(unsafe curl_setopt_pointer(self.handle, CURLOPT_HTTPHEADER, self.headers))
        try self.setCallbacks()
    }

    func perform() throws(TransportError) -> HTTPResponse {
        let code = withExtendedLifetime(self) { unsafe curl_easy_perform(self.handle) }
        guard !self.isTooLarge else { throw TransportError(.other, "the answer is too large") }
        guard code == CURLE_OK else { throw self.failure(code) }
        var status = 0
        try self.check(unsafe curl_getinfo_long(self.handle, CURLINFO_RESPONSE_CODE, &status))
        self.response.status = status
        if self.showsCertificate {
            self.response.certificate = self.certificate()
            self.response.address = self.address()
        }
        return self.response
    }

    /// The server's own certificate; those of its authorities follow it.
    private func certificate() -> String? {
        var information: UnsafeMutablePointer<curl_certinfo>?
        guard unsafe curl_getinfo_certificates(self.handle, &information) == CURLE_OK,
            let list = unsafe information?.pointee, unsafe list.num_of_certs > 0
        else { return nil }
        var entry = unsafe list.certinfo[0]
        while let item = unsafe entry?.pointee {
            let text = unsafe String(cString: item.data)
            if text.hasPrefix("Cert:") { return String(text.dropFirst("Cert:".count)) }
            unsafe entry = item.next
        }
        return nil
    }

    private func address() -> String? {
        var text: UnsafePointer<CChar>?
        guard unsafe curl_getinfo_string(self.handle, CURLINFO_PRIMARY_IP, &text) == CURLE_OK, let text = unsafe text
        else { return nil }
        let address = unsafe String(cString: text)
        return address.isEmpty ? nil : address
    }

    private func set(_ proxy: TransportOptions.Proxy) throws(TransportError) {
        switch proxy {
        case .fromEnvironment: return
        // An empty name switches off the environment variables as well.
        case .direct: try self.set(CURLOPT_PROXY, "")
        case .custom(let host, let port, let username, let password):
            try self.set(CURLOPT_PROXY, "http://\(host):\(port)")
            try self.set(CURLOPT_NOPROXY, "")
            if let username {
                try self.set(CURLOPT_PROXYUSERNAME, username)
                try self.set(CURLOPT_PROXYPASSWORD, password ?? "")
            }
        }
    }

    private func set(_ method: String, body: [UInt8]?) throws(TransportError) {
        if method == "GET", body == nil { return try self.set(CURLOPT_HTTPGET, 1) }
        let bytes = body ?? []
        try self.set(CURLOPT_POSTFIELDSIZE, bytes.count)
        // The library copies the bytes, so they need not outlive this call.
        try self.check(
            unsafe bytes.isEmpty
                ? unsafe curl_setopt_string(self.handle, CURLOPT_COPYPOSTFIELDS, "")
                : bytes.withUnsafeBytes {
                    unsafe curl_setopt_pointer(
                        self.handle,
                        CURLOPT_COPYPOSTFIELDS,
                        UnsafeMutableRawPointer(mutating: $0.baseAddress)
                    )
                }
        )
        if method != "POST" { try self.set(CURLOPT_CUSTOMREQUEST, method) }
    }

    private func setCallbacks() throws(TransportError) {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        try self.check(unsafe curl_setopt_pointer(self.handle, CURLOPT_ERRORBUFFER, self.failureText))
        try self.check(unsafe curl_setopt_pointer(self.handle, CURLOPT_WRITEDATA, context))
        try self.check(
            unsafe curl_setopt_function(self.handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
                unsafe CurlExchange.from(context)?.received(body: bytes, size * count) ?? 0
            }
        )
        try self.check(unsafe curl_setopt_pointer(self.handle, CURLOPT_HEADERDATA, context))
        try self.check(
            unsafe curl_setopt_function(self.handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
                unsafe CurlExchange.from(context)?.received(header: bytes, size * count) ?? 0
            }
        )
    }

    /// The exchange behind the pointer that the library hands back; it is alive for the whole of `perform`.
    private static func from(_ context: UnsafeMutableRawPointer?) -> CurlExchange? {
        unsafe context.map { unsafe Unmanaged<CurlExchange>.fromOpaque($0).takeUnretainedValue() }
    }

    private func received(body bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        guard self.response.body.count + count <= self.maximumBytes else {
            self.isTooLarge = true
            return 0
        }
        unsafe self.response.body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
        return count
    }

    private func received(header bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        self.headerBytes += count
        guard self.headerBytes <= CurlTransport.maximumHeaderBytes else {
            self.isTooLarge = true
            return 0
        }
        let line = unsafe String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
        if line.hasPrefix("HTTP/") { self.response = HTTPResponse(status: 0) }
        guard let colon = line.firstIndex(of: ":") else { return count }
        var value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        while value.last?.isWhitespace == true { value.removeLast() }
        switch line[..<colon].lowercased() {
        case "set-cookie": self.response.cookies.append(String(value))
        case "location": self.response.location = String(value)
        case "date":
            let seconds = unsafe curl_getdate(String(value), nil)
            self.response.date = seconds < 0 ? nil : seconds
        default: break
        }
        return count
    }

    private func add(header: String) throws(TransportError) {
        guard !header.contains(where: \.isNewline), let list = unsafe curl_slist_append(self.headers, header) else {
            throw TransportError(.other, "a request header is not valid")
        }
        unsafe self.headers = list
    }

    private func set(_ option: CURLoption, _ value: Int) throws(TransportError) {
        try self.check(unsafe curl_setopt_long(self.handle, option, value))
    }

    private func set(_ option: CURLoption, _ value: String) throws(TransportError) {
        try self.check(unsafe curl_setopt_string(self.handle, option, value))
    }

    private func check(_ code: CURLcode) throws(TransportError) {
        guard code == CURLE_OK else { throw self.failure(code) }
    }

    private func failure(_ code: CURLcode) -> TransportError {
        let detail = unsafe String(cString: self.failureText)
        let text = detail.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : detail
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_GOT_NOTHING,
            CURLE_RECV_ERROR, CURLE_SEND_ERROR:
            return TransportError(.unreachable, text)
        case CURLE_OPERATION_TIMEDOUT: return TransportError(.timedOut, text)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM:
            return TransportError(.tls, text)
        case CURLE_URL_MALFORMAT: return TransportError(.invalidURL, text)
        case CURLE_UNSUPPORTED_PROTOCOL:
            return TransportError(.other, "something answers there that is no web server (\(text))")
        default: return TransportError(.other, text)
        }
    }
}

extension Duration {
    var milliseconds: Int {
        Int(self.components.seconds) * 1000 + Int(self.components.attoseconds / 1_000_000_000_000_000)
    }
}
