/// The agent's key and configuration, its socket, its processes, other scripts' workspaces.
extension Attempt {
    /// What an ordinary user's scripts may is what the agent may, where nothing is hidden.
    private static let sameUser = Expectation.succeeds(because: "the agent's files are the same user's")

    private static let uncovered = Expectation.succeeds(
        because: "what lies over a file goes when the file does, unlike over a directory (docs/sandbox.md)"
    )

    static let agentAttempts: [Attempt] = [
        Attempt(
            "read the agent's key by its path",
            #"call read "$KEY" "key-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's configuration by its path",
            #"call read "$CONFIG" "config-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open EACCES")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's configuration from the workspace by ..",
            #"call read ../../tentacle.config "config-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open EACCES")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's key through a symbolic link",
            #"must link ln -s "$KEY" link; call read link "key-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's configuration by a second name",
            #"must link ln "$CONFIG" "$AGENT/link"; call read "$AGENT/link" "config-$SECRET""#,
            standard: .refused(by: .hiddenAgent("link EXDEV")),
            strict: .refused(by: .readOnlyRoot("link EROFS"), .hiddenAgent("link EXDEV"), .user("link EPERM")),
            user: sameUser,
            strictUser: .refused(by: .readOnlyRoot("link EROFS"), .hiddenAgent("link EXDEV")),
            withoutNamespaces: .refused(by: .landlockFiles("link EACCES"))
        ),
        Attempt(
            "read the agent's configuration through /proc/self/root",
            #"call read "/proc/self/root$CONFIG" "config-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open EACCES")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's key through the root of the script's keeper",
            #"call read "/proc/$PPID/root$KEY" "key-$SECRET""#,
            standard: .refused(
                by: .capabilities("open EACCES"),
                .landlock("open EACCES"),
                .hiddenAgent("open ENOENT")
            ),
            strict: .refused(
                by: .capabilities("open EACCES"),
                .landlock("open EACCES"),
                .hiddenAgent("open ENOENT")
            ),
            user: .refused(by: .always(.keeper, "open EACCES")),
            strictUser: .refused(by: .always(.keeper, "open EACCES")),
            withoutNamespaces: .refused(by: .always(.keeper, "open EACCES"))
        ),
        Attempt(
            "read the agent's key through the root of a process outside",
            #"call read "/proc/$VICTIM/root$KEY" "key-$SECRET""#,
            standard: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES")
            ),
            strict: .refused(
                by: .pidNamespace("open ENOENT"),
                .capabilities("open EACCES"),
                .landlock("open EACCES")
            ),
            user: sameUser,
            strictUser: .refused(by: .pidNamespace("open ENOENT"), .ordinaryUser("open EACCES")),
            withoutNamespaces: .refused(by: .landlock("open EACCES"))
        ),
        Attempt(
            "read the agent's key after moving the directory it is in",
            #"""
            must rename mv "$AGENT" "$AGENT.moved"
            call read "$AGENT.moved/Etc/key.pem" "key-$SECRET"; mv "$AGENT.moved" "$AGENT"
            """#,
            requires: [.root],
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .readOnlyRoot("rename EROFS"), .user("rename EACCES"), .hiddenAgent("open EACCES")),
            user: .refused(by: .ordinaryUser("rename EACCES")),
            strictUser: .refused(by: .readOnlyRoot("rename EROFS"), .ordinaryUser("rename EACCES"))
        ),
        Attempt(
            "read the agent's configuration after the agent has replaced it",
            #"gate; call read "$CONFIG" "config-$SECRET""#,
            outside: #"cp -p "$CONFIG" "$AGENT/new.config"; mv "$AGENT/new.config" "$CONFIG""#,
            standard: uncovered,
            strict: .refused(by: .user("open EACCES"), .exceptedAgent("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .exceptedAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's key after the agent has replaced it",
            #"gate; call read "$KEY" "key-$SECRET""#,
            outside: #"mv "$KEY" "$KEY.new"; echo > "$KEY"; mv "$KEY.new" "$KEY""#,
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read a key that the agent has made since the script's start",
            #"gate; call read "$AGENT/Etc/later.pem" "later-$SECRET""#,
            outside: #"""
                echo "later-$SECRET" > "$AGENT/Etc/later.pem"; chmod 600 "$AGENT/Etc/later.pem"
                chown --reference="$AGENT" "$AGENT/Etc/later.pem"
                """#,
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .hiddenAgent("open EACCES"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open EACCES")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's key by a bind mount of the directory above",
            #"call bind-mount "$AGENT" bound Etc/key.pem "key-$SECRET""#,
            standard: .refused(by: .systemCalls("mount EPERM"), .capabilities("mount EPERM")),
            strict: .refused(
                by: .systemCalls("mount EPERM"),
                .capabilities("mount EPERM"),
                .landlockFiles("mount EPERM")
            ),
            user: .refused(by: .ordinaryUser("mount EPERM")),
            strictUser: .refused(by: .systemCalls("mount EPERM"), .ordinaryUser("mount EPERM"))
        ),
        Attempt(
            "read the agent's key by an overlay over the directory above",
            #"call overlay "$AGENT" over Etc/key.pem "key-$SECRET""#,
            standard: .refused(by: .systemCalls("mount EPERM"), .capabilities("mount EPERM")),
            strict: .refused(
                by: .systemCalls("mount EPERM"),
                .capabilities("mount EPERM"),
                .landlockFiles("mount EPERM")
            ),
            user: .refused(by: .ordinaryUser("mount EPERM")),
            strictUser: .refused(by: .systemCalls("mount EPERM"), .ordinaryUser("mount EPERM"))
        ),
        Attempt(
            "read the agent's key in a copy of the mount without what lies over it",
            #"call open-tree "$AGENT" Etc/key.pem "key-$SECRET""#,
            standard: .refused(by: .systemCalls("open_tree EPERM"), .capabilities("open_tree EPERM")),
            strict: .refused(
                by: .systemCalls("open_tree EPERM"),
                .capabilities("open_tree EPERM"),
                .landlockFiles("open EACCES")
            ),
            user: .refused(by: .ordinaryUser("open_tree EPERM")),
            strictUser: .refused(by: .systemCalls("open_tree EPERM"), .ordinaryUser("open_tree EPERM"))
        ),
        Attempt(
            "read the agent's key in a copy of the mount by the newest call",
            #"call open-tree-attributes "$AGENT" Etc/key.pem "key-$SECRET""#,
            standard: .refused(by: .capabilities("open_tree_attr EPERM")),
            strict: .refused(
                by: .systemCalls("open_tree_attr ENOSYS"),
                .capabilities("open_tree_attr EPERM"),
                .landlockFiles("open EACCES")
            ),
            user: .refused(by: .ordinaryUser("open_tree_attr EPERM")),
            strictUser: .refused(by: .systemCalls("open_tree_attr ENOSYS"), .ordinaryUser("open_tree_attr EPERM"))
        ),
        Attempt(
            "read the agent's key from a directory that the keeper has open",
            #"""
            for file in /proc/$PPID/fd/*; do
                answer=$(call read "$file/../../Etc/key.pem" "key-$SECRET"); [ "$answer" = succeeded ] && break
            done; echo "$answer"
            """#,
            standard: .refused(by: .capabilities("open EACCES"), .landlock("open EACCES")),
            strict: .refused(by: .capabilities("open EACCES"), .landlock("open EACCES")),
            user: .refused(by: .always(.keeper, "open EACCES")),
            strictUser: .refused(by: .always(.keeper, "open EACCES")),
            withoutNamespaces: .refused(by: .always(.keeper, "open EACCES"))
        ),
        Attempt(
            "unmount what lies over the agent's key",
            #"call unmount "$AGENT/Etc" "$KEY" "key-$SECRET""#,
            standard: .refused(by: .systemCalls("umount EPERM"), .capabilities("umount EPERM")),
            strict: .refused(
                by: .systemCalls("umount EPERM"),
                .capabilities("umount EPERM"),
                .landlockFiles("umount EPERM")
            ),
            user: .refused(by: .ordinaryUser("umount EPERM")),
            strictUser: .refused(by: .systemCalls("umount EPERM"), .ordinaryUser("umount EPERM"))
        ),
        Attempt(
            "unmount what lies over the agent's key, as root of a user namespace",
            #"call own-root-unmount "$AGENT/Etc" "$KEY" "key-$SECRET""#,
            standard: .refused(by: .systemCalls("unshare EPERM"), .hiddenAgent("open EACCES")),
            strict: .refused(
                by: .systemCalls("unshare EPERM"),
                .hiddenAgent("open EACCES"),
                .user("open EACCES")
            ),
            user: sameUser,
            strictUser: .refused(by: .systemCalls("unshare EPERM"), .hiddenAgent("open EACCES"))
        ),
        Attempt(
            "read the agent's configuration out of a second root",
            #"call leave-root inner "$CONFIG" "config-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open EACCES")),
            strict: .refused(
                by: .systemCalls("chroot EPERM"),
                .capabilities("chroot EPERM"),
                .hiddenAgent("open EACCES")
            ),
            user: .refused(by: .ordinaryUser("chroot EPERM")),
            strictUser: .refused(by: .systemCalls("chroot EPERM"), .ordinaryUser("chroot EPERM"))
        ),
        Attempt(
            "read a hidden file by its handle",
            #"call by-handle "$HELD_DIRECTORY" "$HELD_HANDLE" "held-$SECRET""#,
            standard: .refused(
                by: .systemCalls("open_by_handle_at EPERM"),
                .capabilities("open_by_handle_at EPERM")
            ),
            strict: .refused(
                by: .systemCalls("open_by_handle_at EPERM"),
                .capabilities("open_by_handle_at EPERM")
            ),
            user: .refused(by: .ordinaryUser("open_by_handle_at EPERM")),
            strictUser: .refused(
                by: .systemCalls("open_by_handle_at EPERM"),
                .ordinaryUser("open_by_handle_at EPERM")
            )
        ),
        Attempt(
            "use a descriptor that the launcher left open",
            "call leaked",
            control: .bareBash,
            standard: .refused(by: .always(.descriptors, "descriptors NONE")),
            strict: .refused(by: .always(.descriptors, "descriptors NONE")),
            user: .refused(by: .always(.descriptors, "descriptors NONE")),
            strictUser: .refused(by: .always(.descriptors, "descriptors NONE")),
            withoutNamespaces: .refused(by: .always(.descriptors, "descriptors NONE"))
        ),
        Attempt(
            "read the launcher's environment in one's own",
            #"[ "${LAUNCHER_SECRET-}" = "launcher-$SECRET" ] && echo succeeded || echo refused environment NONE"#,
            control: .bareBash,
            standard: .refused(by: .always(.environment, "environment NONE")),
            strict: .refused(by: .always(.environment, "environment NONE")),
            user: .refused(by: .always(.environment, "environment NONE")),
            strictUser: .refused(by: .always(.environment, "environment NONE"))
        ),
        Attempt(
            "read the launcher's environment in /proc",
            #"call read "/proc/$PPID/environ" "launcher-$SECRET""#,
            standard: .refused(by: .capabilities("open EACCES")),
            strict: .refused(by: .capabilities("open EACCES")),
            user: .refused(by: .always(.keeper, "open EACCES")),
            strictUser: .refused(by: .always(.keeper, "open EACCES")),
            withoutNamespaces: .refused(by: .always(.keeper, "open EACCES"))
        ),
        Attempt(
            "trace the keeper",
            #"call trace "$PPID""#,
            standard: .refused(by: .capabilities("ptrace EPERM"), .landlock("ptrace EPERM")),
            strict: .refused(
                by: .systemCalls("ptrace EPERM"),
                .capabilities("ptrace EPERM"),
                .landlock("ptrace EPERM")
            ),
            user: .refused(by: .always(.keeper, "ptrace EPERM")),
            strictUser: .refused(by: .systemCalls("ptrace EPERM"), .always(.keeper, "ptrace EPERM")),
            withoutNamespaces: .refused(by: .systemCalls("ptrace EPERM"), .always(.keeper, "ptrace EPERM"))
        ),
        Attempt(
            "ask the launcher for a script of one's own",
            #"call unix "$LAUNCHER_SOCKET" "greeting-$SECRET""#,
            requires: [.root],
            standard: .refused(by: .hidden("/run/tentacle", "connect ENOENT")),
            strict: .refused(by: .hidden("/run/tentacle", "connect EACCES")),
            user: .succeeds(because: "who may ask is what the socket's permissions say"),
            strictUser: .refused(by: .hidden("/run/tentacle", "connect EACCES")),
            withoutNamespaces: .succeeds(because: "landlock knows no sockets with paths")
        ),
        Attempt(
            "rewrite the script's own log",
            #"call write "$WORKSPACE/Output.log""#,
            standard: .succeeds(because: "root's scripts are root"),
            strict: .refused(by: .user("open EACCES")),
            user: sameUser,
            strictUser: sameUser
        ),
        Attempt(
            "replace the script's own record",
            #"must rename mv -T "$WORKSPACE/state.json" "$WORKSPACE/other.json"; echo succeeded"#,
            standard: .succeeds(because: "root's scripts are root"),
            strict: .refused(by: .user("rename EPERM")),
            user: sameUser,
            strictUser: sameUser
        ),
        Attempt(
            "write into the agent's home beside what is hidden",
            #"call create "$AGENT/Files/escape""#,
            standard: .succeeds(because: "what deployments leave there is theirs"),
            strict: .refused(by: .readOnlyRoot("create EROFS"), .user("create EACCES")),
            user: sameUser,
            strictUser: .refused(by: .readOnlyRoot("create EROFS")),
            withoutNamespaces: .refused(by: .landlockFiles("create EACCES"))
        ),
        Attempt(
            "read another script's workspace",
            #"call read "$OTHER" "other-$SECRET""#,
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .hiddenAgent("open ENOENT"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open ENOENT")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "read the workspace of a script that began later",
            #"gate; call read "$AGENT/Work/later/secret" "later-$SECRET""#,
            outside: #"""
                mkdir "$AGENT/Work/later"; echo "later-$SECRET" > "$AGENT/Work/later/secret"
                chmod 600 "$AGENT/Work/later/secret"; chown -R --reference="$AGENT" "$AGENT/Work/later"
                """#,
            standard: .refused(by: .hiddenAgent("open ENOENT")),
            strict: .refused(by: .hiddenAgent("open ENOENT"), .user("open EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("open ENOENT")),
            withoutNamespaces: .refused(by: .exceptedAgent("open EACCES"))
        ),
        Attempt(
            "put a file into another script's workspace",
            #"call create "$AGENT/Work/other/planted""#,
            standard: .refused(by: .hiddenAgent("create ENOENT")),
            strict: .refused(by: .hiddenAgent("create ENOENT"), .readOnlyRoot("create EROFS"), .user("create EACCES")),
            user: sameUser,
            strictUser: .refused(by: .hiddenAgent("create ENOENT"), .readOnlyRoot("create EROFS")),
            withoutNamespaces: .refused(by: .landlockFiles("create EACCES"))
        ),
        Attempt(
            "write a policy",
            #"call create "/etc/tentacle/policies/$NAME.toml""#,
            requires: [.root],
            standard: .refused(by: .readOnly("/etc/tentacle", "create EROFS")),
            strict: .refused(
                by: .readOnlyRoot("create EROFS"),
                .readOnly("/etc/tentacle", "create EROFS"),
                .user("create EACCES")
            ),
            user: .refused(by: .ordinaryUser("create EACCES")),
            strictUser: .refused(
                by: .readOnlyRoot("create EROFS"),
                .readOnly("/etc/tentacle", "create EROFS"),
                .ordinaryUser("create EACCES")
            )
        ),
        Attempt(
            "make the directory of policies writable",
            #"call remount /etc/tentacle "$NAME""#,
            requires: [.root],
            standard: .refused(by: .systemCalls("mount EPERM"), .capabilities("mount EPERM")),
            strict: .refused(
                by: .systemCalls("mount EPERM"),
                .capabilities("mount EPERM"),
                .landlockFiles("mount EPERM")
            ),
            user: .refused(by: .ordinaryUser("mount EPERM")),
            strictUser: .refused(by: .systemCalls("mount EPERM"), .ordinaryUser("mount EPERM"))
        ),
        Attempt(
            "make the directory of policies writable by the newer call",
            #"call mount-attributes /etc/tentacle "$NAME""#,
            requires: [.root],
            standard: .refused(by: .systemCalls("mount_setattr EPERM"), .capabilities("mount_setattr EPERM")),
            strict: .refused(
                by: .systemCalls("mount_setattr EPERM"),
                .capabilities("mount_setattr EPERM"),
                .readOnlyRoot("create EROFS")
            ),
            user: .refused(by: .ordinaryUser("mount_setattr EPERM")),
            strictUser: .refused(by: .systemCalls("mount_setattr EPERM"), .ordinaryUser("mount_setattr EPERM"))
        ),
    ]
}
