internal import CLinux
internal import CSeccomp
internal import Glibc

extension SystemCallFilter {
    /// Names that this build's libseccomp does not know.
    package static func unknownNames(_ policy: SandboxPolicy) -> [String] {
        (policy.systemCalls.allowed + policy.systemCalls.denied).filter {
            unsafe seccomp_syscall_resolve_name($0) == cseccomp_unknown()
        }
    }

    /// What the kernel runs at each system call, as libseccomp makes it of the rules; the error is a number.
    package func program() throws(SandboxFailure) -> [UInt8] {
        guard let context = unsafe seccomp_init(Self.word(others)) else { throw Self.failure(ENOMEM) }
        defer { unsafe seccomp_release(context) }
        _ = unsafe seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, cseccomp_refuse(UInt16(ENOSYS)))
        // A tree instead of a list: the kernel, which tries every call when it takes the filter, is twice as quick.
        _ = unsafe seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        if foreignArchitectures {
            for architecture in Self.foreign { _ = unsafe seccomp_arch_add(context, architecture) }
        }
        for rule in rules {
            let number = unsafe seccomp_syscall_resolve_name(rule.name)
            // Not on this kind of machine.
            guard number >= 0 || foreignArchitectures, number != cseccomp_unknown() else { continue }
            let result = unsafe Self.add(rule, number, context)
            // A number of another kind of machine, which has no place in this filter.
            guard result >= 0 || result == -EDOM || result == -EINVAL && number < 0 else { throw Self.failure(-result) }
        }
        return try unsafe Self.export(context)
    }

    private static func failure(_ number: Int32) -> SandboxFailure { SandboxFailure(stage: -1, number: number) }

    private static func export(_ context: scmp_filter_ctx) throws(SandboxFailure) -> [UInt8] {
        let file = unsafe clinux_memory_file("filter")
        guard file >= 0 else { throw failure(-file) }
        defer { close(file) }
        let result = unsafe seccomp_export_bpf(context, file)
        guard result == 0 else { throw failure(-result) }
        let count = Int(lseek(file, 0, SEEK_CUR))
        return unsafe [UInt8](unsafeUninitializedCapacity: max(0, count)) { bytes, filled in
            filled = max(0, unsafe pread(file, bytes.baseAddress, bytes.count, 0))
        }
    }

    // MARK: From the supervisor to the script's process

    /// Makes the program and writes it, or why there is none, for `install(from:)` at the other end.
    ///
    /// The reader may be gone: the caller blocks SIGPIPE.
    func send(to pipe: Int32) {
        var program: [UInt8] = []
        var head: Int32 = 0
        do throws(SandboxFailure) {
            program = try self.program()
            head = Int32(program.count)
        } catch {
            head = -error.number
        }
        _ = unsafe write(pipe, &head, Self.headBytes)
        _ = unsafe write(pipe, program, program.count)
    }

    /// Waits for the next filter and puts it on this process for good; the number of the error when there is none, or
    /// when the kernel refuses.
    ///
    /// The caller has no-new-privileges or CAP_SYS_ADMIN.
    static func install(from pipe: Int32) -> Int32 {
        var head: Int32 = 0
        guard unsafe read(pipe, &head, headBytes) == headBytes else { return EPIPE }
        guard head > 0 else { return head == 0 ? EINVAL : -head }
        // Plain memory, which ends with the program.
        let program = UnsafeMutableRawPointer.allocate(byteCount: Int(head), alignment: instructionBytes)
        var filled = 0
        while filled < Int(head) {
            let count = unsafe read(pipe, program + filled, Int(head) - filled)
            guard count > 0 else { return EPIPE }
            filled += count
        }
        return -(unsafe clinux_filter_calls(program, UInt16(filled / instructionBytes)))
    }

    private static let headBytes = 4
    private static let instructionBytes = 8

    private static let foreign: [UInt32] = {
        #if arch(x86_64)
        [UInt32(SCMP_ARCH_X86), UInt32(SCMP_ARCH_X32)]
        #elseif arch(arm64)
        [UInt32(SCMP_ARCH_ARM)]
        #else
        []
        #endif
    }()

    private static func word(_ action: SystemCallAction) -> UInt32 {
        switch action {
        case .allow: cseccomp_allow()
        case .refuse(let number): cseccomp_refuse(UInt16(truncatingIfNeeded: number))
        }
    }

    private static func add(_ rule: SystemCallRule, _ number: Int32, _ context: scmp_filter_ctx) -> Int32 {
        func comparison(_ argument: SystemCallRule.Argument?) -> scmp_arg_cmp {
            guard let argument else { return scmp_arg_cmp() }
            return cseccomp_masked(argument.position, argument.mask, argument.value)
        }
        let count: UInt32 = rule.first == nil ? 0 : rule.second == nil ? 1 : 2
        var comparisons: InlineArray<2, scmp_arg_cmp> = [comparison(rule.first), comparison(rule.second)]
        var span = comparisons.mutableSpan
        return unsafe span.withUnsafeMutableBufferPointer {
            unsafe seccomp_rule_add_array(context, word(rule.action), number, count, $0.baseAddress)
        }
    }
}
