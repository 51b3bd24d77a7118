// SPDX-License-Identifier: GPL-2.0
/*
 * An importer of dma-bufs, for tests: QEMU's edu device (docs/specs/edu.rst in
 * QEMU's source), which has a DMA engine of its own and 4 KiB to copy through.
 *
 * Each open file of /dev/iopmem-importer attaches one dma-buf, in the way that
 * it is told: as one that can be asked to let go, as one that is asked and does
 * not, or as one that was written before that could be asked.
 */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "iopmem-importer.h"

#define EDU_SOURCE	0x80
#define EDU_TARGET	0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_START	BIT(0)
#define EDU_TO_MEMORY	BIT(1)
#define EDU_BUFFER	0x40000
/* Its buffer has twice as much, but QEMU 7.2 takes the last byte for one too many. */
#define EDU_MOST	2048

static unsigned int mask = 64;
module_param(mask, uint, 0444);
MODULE_PARM_DESC(mask, "how many address bits the device is said to have");

static struct pci_dev *edu;
static void __iomem *registers;
static DEFINE_MUTEX(engine);

struct session {
	struct mutex lock;	/* all of it but @table */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *table;	/* under the dma-buf's dma_resv */
	u32 kind;
	atomic_t told;
};

static void unmap(struct session *session)
{
	if (session->table)
		dma_buf_unmap_attachment(session->attach, session->table, DMA_BIDIRECTIONAL);
	session->table = NULL;
}

static void let_go(struct dma_buf_attachment *attach)
{
	struct session *session = attach->importer_priv;

	atomic_inc(&session->told);
	if (session->kind == IMPORTER_OBEDIENT)
		unmap(session);
}

static const struct dma_buf_attach_ops attach_ops = {
	.allow_peer2peer	= true,
#ifdef IOPMEM_HAVE_dma_buf_invalidate
	.invalidate_mappings	= let_go,
#else
	.move_notify		= let_go,
#endif
};

static int attach(struct session *session, const struct importer_attach *arg)
{
	struct dma_buf_attachment *attachment;

	if (session->attach)
		return -EBUSY;
	session->kind = arg->kind;
	session->dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(session->dmabuf))
		return PTR_ERR(session->dmabuf);
	if (arg->kind == IMPORTER_OLD)
		attachment = dma_buf_attach(session->dmabuf, &edu->dev);
	else
		attachment = dma_buf_dynamic_attach(session->dmabuf, &edu->dev, &attach_ops,
						    session);
	if (IS_ERR(attachment)) {
		dma_buf_put(session->dmabuf);
		return PTR_ERR(attachment);
	}
	session->attach = attachment;
	return 0;
}

static int map(struct session *session)
{
	struct sg_table *table;
	int error = 0;

	if (!session->attach)
		return -ENOTCONN;
	dma_resv_lock(session->dmabuf->resv, NULL);
	if (session->table) {
		error = -EBUSY;
	} else {
		table = dma_buf_map_attachment(session->attach, DMA_BIDIRECTIONAL);
		if (IS_ERR(table))
			error = PTR_ERR(table);
		else
			session->table = table;
	}
	dma_resv_unlock(session->dmabuf->resv);
	return error;
}

static void detach(struct session *session)
{
	if (!session->attach)
		return;
	dma_resv_lock(session->dmabuf->resv, NULL);
	unmap(session);
	dma_resv_unlock(session->dmabuf->resv);
	dma_buf_detach(session->dmabuf, session->attach);
	dma_buf_put(session->dmabuf);
	session->attach = NULL;
}

/* Where @n bytes are for the device, which are in one piece; 0: nowhere. */
static dma_addr_t address_of(struct session *session, u64 offset, u32 n)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(session->table, sg, i) {
		if (offset + n <= sg_dma_len(sg))
			return sg_dma_address(sg) + offset;
		if (offset < sg_dma_len(sg))
			return 0;
		offset -= sg_dma_len(sg);
	}
	return 0;
}

/* The engine takes a tenth of a second for anything. */
static int run(u64 source, u64 target, u32 n, u32 command)
{
	int tries;

	writeq(source, registers + EDU_SOURCE);
	writeq(target, registers + EDU_TARGET);
	writeq(n, registers + EDU_COUNT);
	writeq(command | EDU_START, registers + EDU_COMMAND);
	for (tries = 0; tries < 1000; tries++) {
		if (!(readq(registers + EDU_COMMAND) & EDU_START))
			return 0;
		msleep(20);
	}
	return -ETIMEDOUT;
}

static int copy(struct session *session, const struct importer_copy *arg)
{
	u32 done = 0;
	int error = 0;

	if (!session->attach)
		return -ENOTCONN;
	if (!arg->length || arg->length > 4096)
		return -EINVAL;
	/* Who unmaps waits for the engine. */
	dma_resv_lock(session->dmabuf->resv, NULL);
	if (!session->table) {
		error = -ENOTCONN;
		goto out;
	}
	mutex_lock(&engine);
	while (!error && done < arg->length) {
		u32 n = min_t(u32, arg->length - done, EDU_MOST);
		dma_addr_t from = address_of(session, arg->from + done, n);
		dma_addr_t to = address_of(session, arg->to + done, n);

		error = from && to ? run(from, EDU_BUFFER, n, 0) : -ERANGE;
		if (!error)
			error = run(EDU_BUFFER, to, n, EDU_TO_MEMORY);
		done += n;
	}
	mutex_unlock(&engine);
out:
	dma_resv_unlock(session->dmabuf->resv);
	return error;
}

/* Twice mapped, as by two importers: the exporter hears of the first and the last. */
static int add(struct session *session, const struct importer_add *arg)
{
	struct dma_buf *dmabuf = session->dmabuf;
	struct iosys_map maps[2];
	int error, n = 0;
	u32 i;

	if (!session->attach)
		return -ENOTCONN;
	if (arg->from > dmabuf->size || arg->length > dmabuf->size - arg->from)
		return -ERANGE;
	dma_resv_lock(dmabuf->resv, NULL);
	do
		error = dma_buf_vmap(dmabuf, &maps[n]);
	while (!error && ++n < 2);
	for (i = 0; !error && i < arg->length; i++) {
		u8 byte = iosys_map_rd(&maps[0], arg->from + i, u8);

		iosys_map_wr(&maps[1], arg->from + i, u8, byte + arg->add);
	}
	while (n--)
		dma_buf_vunmap(dmabuf, &maps[n]);
	dma_resv_unlock(dmabuf->resv);
	return error;
}

static int describe(struct session *session, struct importer_state *state)
{
	*state = (struct importer_state) { .told = atomic_read(&session->told) };
	if (!session->attach)
		return 0;
	dma_resv_lock(session->dmabuf->resv, NULL);
	if (session->table) {
		state->mapped = 1;
		state->address = sg_dma_address(session->table->sgl);
		state->entries = session->table->nents;
	}
	dma_resv_unlock(session->dmabuf->resv);
	return 0;
}

static long importer_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	struct session *session = file->private_data;
	void __user *user = (void __user *)value;
	union {
		struct importer_attach attach;
		struct importer_copy copy;
		struct importer_add add;
		struct importer_state state;
	} arg;
	int error = 0;

	if (_IOC_DIR(cmd) & _IOC_WRITE && copy_from_user(&arg, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	mutex_lock(&session->lock);
	switch (cmd) {
	case IMPORTER_ATTACH:
		error = attach(session, &arg.attach);
		break;
	case IMPORTER_MAP:
		error = map(session);
		break;
	case IMPORTER_COPY:
		error = copy(session, &arg.copy);
		break;
	case IMPORTER_ADD:
		error = add(session, &arg.add);
		break;
	case IMPORTER_STATE:
		error = describe(session, &arg.state);
		if (!error && copy_to_user(user, &arg.state, sizeof(arg.state)))
			error = -EFAULT;
		break;
	case IMPORTER_DETACH:
		detach(session);
		break;
	default:
		error = -ENOTTY;
	}
	mutex_unlock(&session->lock);
	return error;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct session *session = kzalloc_obj(*session);

	if (!session)
		return -ENOMEM;
	mutex_init(&session->lock);
	file->private_data = session;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	detach(file->private_data);
	kfree(file->private_data);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner		= THIS_MODULE,
	.open		= importer_open,
	.release	= importer_release,
	.unlocked_ioctl	= importer_ioctl,
};

static struct miscdevice importer = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "iopmem-importer",
	.fops	= &importer_fops,
};

static int importer_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int error;

	if (edu)
		return -EBUSY;
	error = pcim_enable_device(pdev);
	if (error)
		return error;
	registers = pcim_iomap(pdev, 0, 0);
	if (!registers)
		return -ENOMEM;
	error = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(mask));
	if (error)
		return error;
	dma_set_max_seg_size(&pdev->dev, SZ_2M);
	pci_set_master(pdev);
	edu = pdev;
	error = misc_register(&importer);
	if (error)
		edu = NULL;
	return error;
}

static void importer_remove(struct pci_dev *pdev)
{
	misc_deregister(&importer);
	edu = NULL;
}

static const struct pci_device_id importer_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, importer_ids);

static struct pci_driver importer_driver = {
	.name		= "iopmem-importer",
	.id_table	= importer_ids,
	.probe		= importer_probe,
	.remove		= importer_remove,
	/* Sessions hold the device: it stays. */
	.driver.suppress_bind_attrs = true,
};
module_pci_driver(importer_driver);

IOPMEM_IMPORT_DMA_BUF;
MODULE_DESCRIPTION("An importer of dma-bufs, for tests of iopmem");
MODULE_LICENSE("GPL");
