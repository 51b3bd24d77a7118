// SPDX-License-Identifier: GPL-2.0
// libpci for Swift. Two things cannot be said in Swift and are here: functions
// with variable arguments, and an error handler that must not return (libpci's
// own ends the process).
#ifndef CLIBPCI_SHIM_H
#define CLIBPCI_SHIM_H

#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

struct clibpci_guard {
	jmp_buf escape;
	char message[256];
};

// Where the error handler goes back to; used only while libpci works. Inside a
// function, because Swift emits a header's functions but not its variables.
static inline struct clibpci_guard *clibpci_guard(void)
{
	static __thread struct clibpci_guard guard;

	return &guard;
}

__attribute__((noreturn)) static inline void clibpci_error(char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(clibpci_guard()->message, sizeof(clibpci_guard()->message), format, arguments);
	va_end(arguments);
	longjmp(clibpci_guard()->escape, 1);
}

static inline void clibpci_silence(char *format, ...)
{
	(void)format;
}

static inline int clibpci_is(const struct pci_dev *function, long long only)
{
	return only < 0 || only == ((long long)function->domain << 16 | function->bus << 8 |
				    function->dev << 3 | function->func);
}

// Finds all functions below sysfs (".../sys/bus/pci") with everything that is
// read of them, so that nothing can fail later; or, of those that are not
// negative, only the one with this domain << 16 | bus << 8 | devfn. Returns NULL and copies a
// sentence to message, which has room for 256 bytes, if libpci gives up: a
// function went away meanwhile, or there is no such directory. What libpci had
// allocated until then is lost; it does not say which parts are whole.
// Not inlined: a Swift caller must not be a function that returns twice.
__attribute__((noinline)) static struct pci_access *clibpci_scan(const char *sysfs, long long only,
								 char *message)
{
	struct pci_access *volatile access = pci_alloc();
	struct pci_dev *function;

	access->method = PCI_ACCESS_SYS_BUS_PCI;
	access->error = clibpci_error;
	access->warning = clibpci_silence;
	pci_set_param(access, (char *)"sysfs.path", (char *)sysfs);
	if (setjmp(clibpci_guard()->escape)) {
		snprintf(message, sizeof(clibpci_guard()->message), "%s",
			 clibpci_guard()->message);
		return NULL;
	}
	pci_init(access);
	pci_scan_bus(access);
	for (function = access->devices; function; function = function->next) {
		if (!clibpci_is(function, only))
			continue;
		pci_fill_info(function, PCI_FILL_IDENT | PCI_FILL_BASES | PCI_FILL_SIZES |
					PCI_FILL_IO_FLAGS | PCI_FILL_CLASS | PCI_FILL_CAPS |
					PCI_FILL_NUMA_NODE | PCI_FILL_DRIVER);
	}
	return access;
}

// Looks names up, and sees no bus. In libpci's own file where path is NULL.
static inline struct pci_access *clibpci_names(const char *path)
{
	struct pci_access *access = pci_alloc();

	if (path)
		pci_set_name_list_path(access, (char *)path, 0);
	access->error = clibpci_error;
	access->warning = clibpci_silence;
	access->debug = clibpci_silence;
	return access;
}

// "Vendor Device" from the PCI id database; numbers for what it does not know. libpci reads
// it once, up to the first mistake, of which it tells as if nothing could go on; NULL if it
// should do so a second time. Not inlined, as clibpci_scan().
__attribute__((noinline)) static const char *clibpci_name(struct pci_access *access, char *buffer,
							  int size, int vendor, int device)
{
	volatile int mistakes = 0;

	if (setjmp(clibpci_guard()->escape) && ++mistakes > 1)
		return NULL;
	return pci_lookup_name(access, buffer, size, PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE, vendor,
			       device);
}

#endif
