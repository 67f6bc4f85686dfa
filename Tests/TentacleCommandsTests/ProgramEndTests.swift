import AgentConfiguration
import Glibc
import TentacleCommands
import Testing

@Suite struct ProgramEndTests {
    @Test("both outputs of a program and its status, however much it says")
    func outputs() {
        let end = ProgramEnd.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"])
        #expect(end == ProgramEnd(status: 3, errors: "err\n", output: "out\n"))
        let noisy = ProgramEnd.run(
            "/bin/sh",
            ["-c", "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; kill -9 $$"]
        )
        #expect(noisy?.status == 137 && noisy?.errors.utf8.count == 65_536 && noisy?.output.utf8.count == 65_536)
        #expect(ProgramEnd.run("/nowhere/program", []) == nil)
    }

    @Test(
        "owners change by descriptor: no link is followed, no second name is given away",
        .enabled(if: geteuid() == 0)
    )
    func ownership() async throws {
        try await TestWorld.with { world in
            try world.write("x", "file")
            let path = world.path + "/file"
            let root = OwnershipChange.Facts(user: 0, group: 0, mode: 0o600)
            let other = OwnershipChange.Facts(user: 4711, group: 4711, mode: 0o640)
            let change = OwnershipChange(path: path, before: root, after: other)
            #expect(symlink(path, world.path + "/link") == 0)
            #expect(OwnershipChange(path: world.path + "/link", before: root, after: other).apply() == ELOOP)
            #expect(link(path, world.path + "/second") == 0)
            #expect(change.apply() == EMLINK)
            #expect(unlink(world.path + "/second") == 0)
            #expect(change.apply() == 0)
            var information = stat()
            #expect(stat(path, &information) == 0 && information.st_uid == 4711 && information.st_mode & 0o777 == 0o640)
            // Again, as after an interruption; and back.
            #expect(change.apply() == 0)
            #expect(change.reversed.apply() == 0)
            #expect(stat(path, &information) == 0 && information.st_uid == 0 && information.st_mode & 0o777 == 0o600)
            #expect(chown(path, 815, 815) == 0)
            #expect(change.apply() == EBUSY)
        }
    }
}
