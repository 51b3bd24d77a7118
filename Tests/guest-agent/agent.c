// SPDX-License-Identifier: GPL-2.0
// The lab's hand in the guest: takes commands from a virtio-serial port of its
// own and answers with their exit status and output, byte for byte.
//
//   iopmem-agent FOLDER
//       With FOLDER, where our programs are, before all others on the PATH.
//
// host to guest   ID SECONDS LENGTH, then the bytes of a bash script, which ends
//                 with the first command that fails (bash -e)
// guest to host   ready KERNEL-RELEASE
//                 ID STATUS LENGTH-OF-STDOUT LENGTH-OF-STDERR, then the bytes
//
// Commands run side by side. One process reads the port; answers take turns with
// a lock. A program, since a shell would start eight others for each command, and
// an emulated processor needs for one of them what it needs for a thousand lines
// of this.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const char port_path[] = "/dev/virtio-ports/iopmem.agent";
static const char folder[] = "/run/iopmem-lab";

static void die(const char *what)
{
	fprintf(stderr, "iopmem-agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t sent = write(fd, bytes, length);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			die("write");
		bytes += sent;
		length -= sent;
	}
}

// For what need not be there.
static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		perror(path);
	close(fd);
}

static int output_file(const char *id, const char *kind)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.%s", folder, id, kind);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	// What a job in the background writes to it later is nobody's.
	unlink(path);
	return fd;
}

static void send_file(int port, int fd, off_t length)
{
	char buffer[65536];
	off_t at = 0;

	while (at < length) {
		size_t wanted = sizeof(buffer);
		ssize_t got;

		if (length - at < (off_t)wanted)
			wanted = length - at;
		got = pread(fd, buffer, wanted, at);
		if (got <= 0)
			die("read what a command wrote");
		send_all(port, buffer, got);
		at += got;
	}
}

// The script's exit status, as timeout(1) would give it: 124 after the time, 137 where it took
// SIGKILL, 128 + N for other signals. Its process group is the script's whole.
static int await(pid_t script, int seconds)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	struct pollfd end = { .fd = pidfd_open(script, 0), .events = POLLIN };
	int status, expired = 0;

	if (end.fd < 0)
		die("pidfd_open");
	while (!poll(&end, 1, expired < 2 ? seconds * 1000 : -1)) {
		kill(-script, signals[expired++]);
		// One that is stopped dies of no SIGTERM.
		kill(-script, SIGCONT);
		seconds = 5;
	}
	if (waitpid(script, &status, 0) != script)
		die("waitpid");
	if (expired)
		return expired == 1 ? 124 : 137;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// In a process of its own.
static void execute(int port, const char *id, int seconds, const char *script, size_t length)
{
	char path[64], header[128];
	int text, lock, out, err, status;
	struct stat written[2];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s.sh", folder, id);
	text = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (text < 0)
		die(path);
	send_all(text, script, length);
	close(text);
	out = output_file(id, "out");
	err = output_file(id, "err");

	// Here somebody waits, and so may the script.
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		setpgid(0, 0);
		dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
		dup2(out, 1);
		dup2(err, 2);
		execl("/bin/bash", "bash", "-e", path, NULL);
		die("/bin/bash");
	}
	// By both, so that neither meets a group that is not there.
	setpgid(pid, pid);
	status = await(pid, seconds);
	unlink(path);
	// Who is blocked, and where: that is the first thing one asks.
	if (status == 124 || status == 137)
		set("/proc/sysrq-trigger", "w");

	snprintf(path, sizeof(path), "%s/lock", folder);
	lock = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX))
		die("lock");
	if (fstat(out, &written[0]) || fstat(err, &written[1]))
		die("fstat");
	snprintf(header, sizeof(header), "%s %d %lld %lld\n", id, status,
		 (long long)written[0].st_size, (long long)written[1].st_size);
	send_all(port, header, strlen(header));
	send_file(port, out, written[0].st_size);
	send_file(port, err, written[1].st_size);
	exit(0);
}

// The first line marks in the kernel log what was going on.
static void note(const char *script, size_t length)
{
	const char *end = memchr(script, '\n', length);
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (end)
		length = end - script;
	dprintf(fd, "<6>iopmem-lab: %.*s\n", (int)(length < 120 ? length : 120), script);
	close(fd);
}

static void set_up(const char *tools)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s:/usr/sbin:/usr/bin:/sbin:/bin", tools);
	setenv("PATH", path, 1);
	setenv("HOME", "/root", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TERM", "dumb", 1);

	// What programs leave in their folder must not meet the host's.
	snprintf(path, sizeof(path), "%s/home", folder);
	mkdir(folder, 0755);
	mkdir(path, 0755);
	if (chdir(path))
		die(path);

	// The kernel's joining of small pages into large ones has the least priority. Where a
	// scenario keeps every processor of a slow machine busy, it is stopped in the middle, for
	// so long that the kernel reports a stall of RCU. Once an hour is enough.
	set("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "3600000");
	// Every session has the same share of the processors, however nice its programs are; a
	// load that is to give way to what it is a load for would take most of them.
	set("/proc/sys/kernel/sched_autogroup_enabled", "0");
}

int main(int argc, char **argv)
{
	static char header[256];
	struct utsname system;
	FILE *commands;
	int port;

	if (argc != 2) {
		fputs("usage: iopmem-agent FOLDER\n", stderr);
		return 2;
	}
	set_up(argv[1]);
	port = open(port_path, O_RDWR | O_CLOEXEC);
	if (port < 0)
		die(port_path);
	commands = fdopen(dup(port), "r");
	if (!commands || uname(&system))
		die("start");
	fcntl(fileno(commands), F_SETFD, FD_CLOEXEC);
	snprintf(header, sizeof(header), "ready %s\n", system.release);
	send_all(port, header, strlen(header));

	// Nobody waits for the processes that answer.
	signal(SIGCHLD, SIG_IGN);
	while (fgets(header, sizeof(header), commands)) {
		char id[32], *script;
		size_t length;
		int seconds;

		if (sscanf(header, "%31s %d %zu", id, &seconds, &length) != 3) {
			fprintf(stderr, "iopmem-agent: not a command: %s", header);
			break;
		}
		script = malloc(length + 1);
		if (!script || fread(script, 1, length, commands) != length)
			break;
		note(script, length);
		switch (fork()) {
		case 0:
			execute(port, id, seconds, script, length);
			break;
		case -1:
			die("fork");
		}
		free(script);
	}
	// The host has gone, and nobody is left to want this machine.
	execlp("poweroff", "poweroff", "-f", NULL);
	die("poweroff");
}
