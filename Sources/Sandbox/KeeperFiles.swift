internal import CLinux
internal import Glibc

/// What the script finds in the file system: mounts in the keeper's namespace.
///
/// Every function returns 0 or the number of an error.
struct KeeperFiles: ~Copyable {
    /// The workspace's own mount, attached nowhere.
    private var workspace: Int32 = -1

    /// In a user namespace every number but this user's is somebody unknown; groups stay as they are.
    static func mapUser(_ user: uid_t, _ group: gid_t) -> Int32 {
        let first = write("\(user) \(user) 1", to: "/proc/self/uid_map")
        guard first == 0 else { return first }
        _ = write("deny", to: "/proc/self/setgroups")
        return write("\(group) \(group) 1", to: "/proc/self/gid_map")
    }

    /// Mounts of the host still arrive, ours do not leave.
    ///
    /// In a chroot the root is no mount: there the one place where we always mount has to do.
    static func keepMountsInside() -> Int32 {
        let root = unsafe clinux_share_mounts_one_way("/")
        return root == -EINVAL ? -(unsafe clinux_share_mounts_one_way("/proc")) : -root
    }

    static func forbidDevices() -> Int32 {
        -(unsafe clinux_mount_attributes(AT_FDCWD, "/", UInt64(CLINUX_MOUNT_NO_DEVICES), 0))
    }

    static func readOnlyRoot(except paths: [String]) -> Int32 {
        // Copies keep what they are: a path that the host has read-only stays so.
        var trees = DetachedTrees()
        defer { trees.close() }
        for path in paths {
            let tree = unsafe clinux_copy_tree(AT_FDCWD, path)
            if tree == -ENOENT { continue }
            guard tree >= 0 else { return -tree }
            trees.append(tree, path)
        }
        let result = unsafe clinux_mount_attributes(AT_FDCWD, "/", UInt64(CLINUX_MOUNT_READ_ONLY), 0)
        guard result == 0 else { return -result }
        for index in trees.paths.indices {
            let result = unsafe clinux_attach_tree(trees.descriptors[index], trees.paths[index])
            guard result == 0 else { return -result }
        }
        return 0
    }

    /// The path is the agent's to change; the directory that the launcher opened is not.
    mutating func takeWorkspace(_ path: String, opened: Int32) -> Int32 {
        workspace = unsafe clinux_copy_tree(AT_FDCWD, path)
        guard workspace >= 0 else { return -workspace }
        var (found, expected) = (stat(), stat())
        guard unsafe fstat(workspace, &found) == 0, unsafe fstat(opened, &expected) == 0 else { return errno }
        return found.st_dev == expected.st_dev && found.st_ino == expected.st_ino ? 0 : ESTALE
    }

    mutating func showWorkspace(_ path: String, alone: Bool) -> Int32 {
        defer {
            close(workspace)
            workspace = -1
        }
        let work = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        // Under a /tmp of the script's own nothing is there any more.
        let made = Self.makeDirectories(work)
        guard made == 0 else { return made }
        if alone {
            let flags = UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC)
            let result = unsafe clinux_mount("tmpfs", work, flags, "mode=755,size=64k,nr_inodes=16")
            guard result == 0 else { return -result }
        }
        guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else { return errno }
        let result = unsafe clinux_attach_tree(workspace, path)
        guard result == 0, alone else { return -result }
        let readOnly = UInt64(CLINUX_MOUNT_READ_ONLY)
        return -(unsafe clinux_mount_attributes_of_one(work, readOnly))
    }

    static func privateTmp(_ workspace: String) -> Int32 {
        // Both before either is covered: the workspace may lie in one of them.
        let temporary = unsafe clinux_copy_tree(AT_FDCWD, workspace + "/" + SandboxPlan.privateTmp)
        guard temporary >= 0 else { return -temporary }
        let lasting = unsafe clinux_copy_tree(AT_FDCWD, workspace + "/" + SandboxPlan.privateVarTmp)
        guard lasting >= 0 else { return -lasting }
        var result = unsafe clinux_attach_tree(temporary, "/tmp")
        if result == 0 { result = unsafe clinux_attach_tree(lasting, "/var/tmp") }
        close(temporary)
        close(lasting)
        return result == -ENOENT ? 0 : -result
    }

    /// ENOENT is nothing that could be written.
    static func readOnly(_ path: String) -> Int32 {
        let tree = unsafe clinux_copy_tree(AT_FDCWD, path)
        guard tree >= 0 else { return tree == -ENOENT ? 0 : -tree }
        defer { close(tree) }
        let result = unsafe clinux_mount_attributes(tree, "", UInt64(CLINUX_MOUNT_READ_ONLY), 0)
        return result < 0 ? -result : -(unsafe clinux_attach_tree(tree, path))
    }

    static func hide(_ path: String) -> Int32 {
        var facts = stat()
        guard unsafe stat(path, &facts) == 0 else {
            // Not there, or not to be reached for whoever the script runs as.
            return [ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG].contains(errno) ? 0 : errno
        }
        if facts.st_mode & S_IFMT == S_IFDIR {
            let flags = UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)
            return -(unsafe clinux_mount("tmpfs", path, flags, "mode=000,size=4k,nr_inodes=2"))
        }
        // A device where devices do not work cannot be opened, by root neither.
        let tree = unsafe clinux_copy_tree(AT_FDCWD, "/dev/null")
        guard tree >= 0 else { return -tree }
        defer { close(tree) }
        let attributes = UInt64(CLINUX_MOUNT_NO_DEVICES | CLINUX_MOUNT_READ_ONLY)
        let result = unsafe clinux_mount_attributes(tree, "", attributes, 0)
        return result < 0 ? -result : -(unsafe clinux_attach_tree(tree, path))
    }

    // MARK: /dev

    private static let standardDevices = [
        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
    ]
    /// Of the standard devices, in their order: the major number's byte, then the minor one's.
    private static let standardNumbers: [UInt64] = [0x103, 0x105, 0x107, 0x108, 0x109, 0x500]

    static func privateDev(_ devices: [String], sharedMemory: Bool, asRoot: Bool) -> Int32 {
        // Copies of what is covered afterwards.
        var trees = DetachedTrees()
        defer { trees.close() }
        func take(_ path: String) {
            let tree = unsafe clinux_copy_tree(AT_FDCWD, path)
            guard tree >= 0 else { return }
            _ = unsafe clinux_mount_attributes(tree, "", 0, UInt64(CLINUX_MOUNT_NO_DEVICES))
            trees.append(tree, path)
        }
        for path in devices { take(path) }
        let makesDevices = asRoot && canMakeDevices
        if !makesDevices { for path in standardDevices { take(path) } }
        if !sharedMemory { take("/dev/shm") }
        let log = link("/dev/log")
        if log == nil { take("/dev/log") }

        let options = "mode=755,size=64k,nr_inodes=64"
        var result = unsafe clinux_mount("tmpfs", "/dev", UInt(MS_NOSUID | MS_NOEXEC), options)
        guard result == 0 else { return -result }
        if makesDevices {
            // Whatever the launcher's umask is.
            let mask = umask(0)
            defer { umask(mask) }
            for index in standardDevices.indices {
                let (path, number) = (standardDevices[index], standardNumbers[index])
                result = unsafe clinux_make_device(path, characterDevice | 0o666, number)
                guard result == 0 else { return -result }
            }
        }
        for index in trees.paths.indices {
            result = attach(trees.descriptors[index], trees.paths[index])
            guard result == 0 else { return result }
        }
        unsafe symlink("pts/ptmx", "/dev/ptmx")
        unsafe symlink("/proc/self/fd", "/dev/fd")
        unsafe symlink("/proc/self/fd/0", "/dev/stdin")
        unsafe symlink("/proc/self/fd/1", "/dev/stdout")
        unsafe symlink("/proc/self/fd/2", "/dev/stderr")
        if let log { unsafe symlink(log, "/dev/log") }
        unsafe mkdir("/dev/pts", 0o755)
        // Terminals of the script's own: those of the people who are logged in are theirs. Group 5 is tty everywhere.
        result = unsafe clinux_mount(
            "devpts",
            "/dev/pts",
            UInt(MS_NOSUID | MS_NOEXEC),
            "newinstance,ptmxmode=0666,mode=620" + (asRoot ? ",gid=5" : "")
        )
        guard result == 0 else { return -result }
        guard sharedMemory else { return 0 }
        unsafe mkdir("/dev/shm", 0o1777)
        return -(unsafe clinux_mount("tmpfs", "/dev/shm", UInt(MS_NOSUID | MS_NODEV), "mode=1777"))
    }

    /// Containers forbid it.
    private static var canMakeDevices: Bool {
        CapabilitySet(bits: clinux_capabilities()).contains(makingDevices)
    }
    private static let makingDevices = 27
    /// S_IFCHR.
    private static let characterDevice: UInt32 = 0o020000

    /// Below the new /dev, where nothing is yet.
    private static func attach(_ tree: Int32, _ path: String) -> Int32 {
        var facts = stat()
        guard unsafe fstat(tree, &facts) == 0 else { return errno }
        if let slash = path.lastIndex(of: "/") {
            let made = makeDirectories(String(path[..<slash]))
            guard made == 0 else { return made }
        }
        if facts.st_mode & S_IFMT == S_IFDIR {
            guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else { return errno }
        } else {
            let file = unsafe clinux_open(path, O_WRONLY | O_CREAT, 0o600)
            guard file >= 0 else { return -file }
            close(file)
        }
        return -(unsafe clinux_attach_tree(tree, path))
    }

    private static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = unsafe readlink(path, &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func makeDirectories(_ path: String) -> Int32 {
        if unsafe access(path, F_OK) == 0 { return 0 }
        guard let slash = path.lastIndex(of: "/") else { return ENOENT }
        let parent = makeDirectories(String(path[..<slash]))
        guard parent == 0 else { return parent }
        return unsafe mkdir(path, 0o755) == 0 || errno == EEXIST ? 0 : errno
    }

    static func write(_ text: String, to path: String) -> Int32 {
        let file = unsafe clinux_open(path, O_WRONLY, 0)
        guard file >= 0 else { return -file }
        defer { close(file) }
        let bytes = Array(text.utf8)
        return unsafe Glibc.write(file, bytes, bytes.count) == bytes.count ? 0 : errno
    }
}

/// Copies of what is mounted somewhere, attached nowhere yet.
///
/// Two arrays of types that there are already: one of pairs would be a new type, which every keeper would have to make.
private struct DetachedTrees {
    private(set) var descriptors: [Int32] = []
    private(set) var paths: [String] = []

    mutating func append(_ descriptor: Int32, _ path: String) {
        descriptors.append(descriptor)
        paths.append(path)
    }

    func close() {
        for descriptor in descriptors { Glibc.close(descriptor) }
    }
}
