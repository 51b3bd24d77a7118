// SPDX-License-Identifier: GPL-2.0
import Glibc
import IopmemCommands

exit(Iopmemctl.run(Array(CommandLine.arguments.dropFirst())))
