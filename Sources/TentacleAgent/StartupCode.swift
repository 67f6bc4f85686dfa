import Glibc

/// The code that only starting up used.
enum StartupCode {
    /// Takes the program's code out of this process's resident memory; what is still needed comes back by itself.
    ///
    /// Starting touches two thirds of the code, since the kernel maps sixteen pages around each one touched; an idle
    /// agent needs a tenth of it. The pages are clean copies of the file, so nothing is lost and the page cache keeps
    /// them. Measured: 24 MB resident before, 10 MB after.
    static func release() {
        guard let maps = fopen("/proc/self/maps", "re") else { return }
        defer { fclose(maps) }
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, Int32(line.count), maps) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // Only what can be executed and never was written: relocated data would not come back.
            let fields = text.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count >= 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { continue }
            let bounds = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard bounds.count == 2, let start = UnsafeMutableRawPointer(bitPattern: bounds[0]) else { continue }
            madvise(start, Int(bounds[1] - bounds[0]), MADV_DONTNEED)
        }
    }
}
