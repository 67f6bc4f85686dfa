import AgentConfiguration
import Testing

@testable import TentacleAgent

@Suite struct ScriptEnvironmentTests {
    private func variables(_ inherited: [String: String]) throws -> [String: String] {
        let configuration = TentacleConfiguration(path: "/h/t.config", document: SettingsDocument(), host: HostFiles())
        let settings = try configuration.settings(of: TentacleInstance(name: "T", configurationPath: "/h/t.config"))
        return ScriptEnvironment.variables(for: settings, programPath: "/opt/t/tentacle-agent", inherited: inherited)
    }

    @Test(
        "what is the service manager's, the loader's, the shell's or the agent's alone does not reach a script",
        arguments: [
            "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "JOURNAL_STREAM",
            "INVOCATION_ID", "WATCHDOG_USEC", "WATCHDOG_PID", "MAINPID", "MANAGERPID", "SYSTEMD_EXEC_PID",
            "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "FDSTORE",
            "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH", "BASH_ENV", "ENV",
            "BASH_FUNC_ls%%", "IFS", "PS4", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "TENTACLE_LAUNCHER",
            "TENTACLE_LAUNCHER_SOCKET", "OCTOPUS_API_KEY", "ServerApiKey", "BearerToken", "ServerUsername",
            "ServerPassword", "TENTACLE_CERTIFICATE", "OCTOPUS_PROXY_PASSWORD", "TENTACLE_PFX_PASSWORD",
            "TENTACLE_POLLING_CUSTOM_PROXY_PASSWORD", "TENTACLE_PROXY_PASSWORD", "OCTOPUS_SERVICE_PASSWORD",
            "OCTOPUS_ACCESS_TOKEN", "OCTOPUS_PASSWORD",
        ]
    )
    func removed(name: String) throws {
        #expect(try self.variables([name: "x", "PATH": "/bin"])[name] == nil)
    }

    @Test(
        "what an operator gives the agent for its scripts reaches them",
        arguments: [
            "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "http_proxy", "DOTNET_ROOT", "LISTENER",
            "SYSTEMD_COLORS", "ENVIRONMENT", "OLD_PATH", "BUILD_LD_FLAGS", "TentaclePollingConnectionCount",
        ]
    )
    func kept(name: String) throws {
        #expect(try self.variables([name: "x y", "PATH": "/bin"])[name] == "x y")
    }

    @Test("there is always a PATH")
    func path() throws {
        #expect(try self.variables(["PATH": "/opt/bin:/bin"])["PATH"] == "/opt/bin:/bin")
        let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        #expect(try self.variables([:])["PATH"] == usual)
        #expect(try self.variables(["PATH": ""])["PATH"] == usual)
    }

    @Test("what the agent says of itself beats what it was given")
    func particulars() throws {
        let variables = try self.variables(["TentacleInstanceName": "other", "TentacleProxyPassword": "secret"])
        #expect(variables["TentacleInstanceName"] == "T")
        #expect(variables["TentacleProxyPassword"] == nil)
        #expect(variables["TentacleExecutablePath"] == "/opt/t/tentacle")
    }
}
