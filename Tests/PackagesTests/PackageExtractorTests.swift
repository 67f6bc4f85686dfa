import Foundation
import Packages
import ProcessTesting
import Synchronization
import Testing

/// Real zip files, made by Python's library, which writes whatever it is told.
@Suite struct PackageExtractorTests {
    private static let hasPython = FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")

    /// A scratch folder with `package`, which a Python program made: `z` is the zip file.
    private static func with(
        _ program: String,
        name: String = "x.zip",
        _ body: (_ package: String, _ destination: String) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "packages-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder.appending(path: "out"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let package = folder.appending(path: name).path
        let text = """
            import sys, zipfile, warnings
            warnings.simplefilter('ignore')
            def link(name, target):
                i = zipfile.ZipInfo(name); i.create_system = 3; i.external_attr = 0o120777 << 16; z.writestr(i, target)
            def file(name, text, mode=0o644, date=(2024, 5, 6, 7, 8, 10)):
                i = zipfile.ZipInfo(name, date); i.create_system = 3; i.external_attr = (0o100000 | mode) << 16
                i.compress_type = zipfile.ZIP_DEFLATED; z.writestr(i, text)
            with zipfile.ZipFile(sys.argv[1], 'w') as z:
            \(program.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n"))
            """
        let made = try await RunningProgram("/usr/bin/python3", ["-c", text, package]).outcome()
        try #require(made.status == 0, "\(made.errors)")
        try await body(package, folder.appending(path: "out").path)
    }

    private static func extract(_ package: String, _ destination: String) throws -> (files: Int, warnings: [String]) {
        let warnings = Mutex<[String]>([])
        let files = try PackageExtractor { text in warnings.withLock { $0.append(text) } }
            .extract(package, to: destination)
        return (files, warnings.withLock { $0 })
    }

    private static func tree(_ folder: String) -> [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    @Test("all of a zip file: folders, bytes, modes, times", .enabled(if: hasPython, "needs python3"))
    func zip() async throws {
        try await Self.with(
            """
            file('bin/run.sh', 'echo hi', 0o755)
            file('ü/deep/er/data', 'x' * 3000000)
            file('set-user', '', 0o4711)
            file('x.nuspec', 'kept')
            z.writestr('empty/', '')
            """
        ) { package, destination in
            let files = try Self.extract(package, destination).files
            #expect(files == 4)
            #expect(
                Self.tree(destination) == [
                    "bin", "bin/run.sh", "empty", "set-user", "x.nuspec", "ü", "ü/deep", "ü/deep/er", "ü/deep/er/data",
                ]
            )
            var information = stat()
            stat(destination + "/bin/run.sh", &information)
            #expect(information.st_mode & 0o7777 == 0o755)
            stat(destination + "/set-user", &information)
            #expect(information.st_mode & 0o7777 == 0o711)
            stat(destination + "/ü/deep/er/data", &information)
            #expect(information.st_size == 3_000_000)
            // Zip times are local.
            var time = tm()
            var seconds = information.st_mtim.tv_sec
            localtime_r(&seconds, &time)
            #expect(time.tm_year == 124 && time.tm_mon == 4 && time.tm_mday == 6 && time.tm_hour == 7)
            // Once more, over what is there.
            try Data("old and much longer".utf8).write(to: URL(filePath: destination + "/bin/run.sh"))
            let again = try Self.extract(package, destination).files
            #expect(again == 4)
            #expect(try String(contentsOfFile: destination + "/bin/run.sh", encoding: .utf8) == "echo hi")
        }
    }

    @Test("the payload of a NuGet package only", .enabled(if: hasPython, "needs python3"))
    func nuget() async throws {
        try await Self.with(
            """
            file('_rels/.rels', '')
            file('package/services/metadata/core-properties/1.psmdcp', '')
            file('[Content_Types].xml', '')
            file('Acme.Web.nuspec', '')
            file('content/a%20b.txt', 'text')
            file('later.txt', 'x', 0o644, (2099, 1, 1, 0, 0, 0))
            """,
            name: "Acme.Web.1.0.0.NuPkg"
        ) { package, destination in
            let files = try Self.extract(package, destination).files
            #expect(files == 2)
            #expect(Self.tree(destination) == ["content", "content/a b.txt", "later.txt"])
            var information = stat()
            stat(destination + "/later.txt", &information)
            #expect(information.st_mtim.tv_sec < 2_500_000_000)
        }
    }

    @Test(
        "an entry that leads outside ends it, and nothing is outside",
        .enabled(if: hasPython, "needs python3"),
        arguments: ["file('../evil', 'x')", "file('/tmp/evil-of-a-test', 'x')", "file('a/../../evil', 'x')"]
    )
    func outside(program: String) async throws {
        try await Self.with("file('first', '1')\n" + program) { package, destination in
            let error = #expect(throws: PackageError.self) { try Self.extract(package, destination) }
            #expect(error?.code == .malicious)
            #expect(Self.tree(destination) == ["first"])
            #expect(!FileManager.default.fileExists(atPath: destination + "/../evil"))
            #expect(!FileManager.default.fileExists(atPath: "/tmp/evil-of-a-test"))
        }
    }

    @Test("links are not made, and those that are there are not followed", .enabled(if: hasPython, "needs python3"))
    func links() async throws {
        try await Self.with("link('out', '/tmp')\nfile('here', 'x')") { package, destination in
            let (files, warnings) = try Self.extract(package, destination)
            #expect(files == 1)
            #expect(warnings == ["Cannot create symbolic link: out, links in packages are not extracted"])
            #expect(Self.tree(destination) == ["here"])
        }
        try await Self.with("file('linked/evil-of-a-test', 'x')") { package, destination in
            let target = destination + "-target"
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(atPath: destination + "/linked", withDestinationPath: target)
            let error = #expect(throws: PackageError.self) { try Self.extract(package, destination) }
            #expect(error?.code == .malicious)
            #expect(Self.tree(target) == [])
        }
    }

    @Test("files that are no package, and damaged ones", .enabled(if: hasPython, "needs python3"))
    func damaged() async throws {
        try await Self.with("file('a', 'x' * 100000)") { package, destination in
            var bytes = try Data(contentsOf: URL(filePath: package))
            bytes[60] ^= 0xFF
            try bytes.write(to: URL(filePath: package))
            let error = #expect(throws: PackageError.self) { try Self.extract(package, destination) }
            #expect(error?.code == .format)
            try Data("no zip".utf8).write(to: URL(filePath: package))
            #expect(throws: PackageError.self) { try Self.extract(package, destination) }
            #expect(throws: PackageError.self) { try Self.extract(package + "-missing", destination) }
        }
    }
}
