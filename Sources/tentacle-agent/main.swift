import Glibc
import TentacleAgent

exit(await AgentProgram.main(Array(CommandLine.arguments.dropFirst())))
