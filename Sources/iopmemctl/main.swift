// SPDX-License-Identifier: GPL-2.0
import Glibc
import Iopmem
import IopmemCommands

// It lives to the end: a signal that came too late to change anything must not hide what was done.
let host = LinuxHost()

exit(Iopmemctl.run(Array(CommandLine.arguments.dropFirst()), on: host))
