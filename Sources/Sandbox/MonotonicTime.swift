// The compiler finds timespec through it.
internal import CLinux
internal import Glibc

/// Time that nobody sets.
package enum MonotonicTime {
    /// Since some moment before this process.
    package static var milliseconds: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
