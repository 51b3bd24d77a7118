// SPDX-License-Identifier: GPL-2.0
/*
 * v6.14 "mm: provide vm_insert_page_mkwrite": since DAX maps pages with it, a
 * user's page table entry has the vma's protection, write-back, and no longer
 * the type that was reserved for the range (mm/memory.c).
 */
#include <linux/mm.h>

vm_fault_t probe(struct vm_fault *vmf, struct page *page);
vm_fault_t probe(struct vm_fault *vmf, struct page *page)
{
	return vmf_insert_page_mkwrite(vmf, page, true);
}
