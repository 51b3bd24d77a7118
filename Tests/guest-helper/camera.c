// SPDX-License-Identifier: GPL-2.0
// iopmem-guest camera userptr|dmabuf VIDEO MEMORY DRIVE FRAMES [forever]
//     Captures frames straight into MEMORY, one each MiB, and stores each from
//     there on DRIVE, at the same offset, by O_DIRECT. The camera is given
//     pointers into a mapping (V4L2 USERPTR), or dma-bufs of a devdax node.
//     Prints "capturing" when the camera has begun, then "FRAMES frames of N
//     bytes"; or the name of the errno with which the camera refused the memory.
//     With forever the camera has the memory of each frame again once it is stored:
//     prints "streaming" after the first, and the name of the errno with which it ends.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../kmod/include/uapi/linux/iopmem.h"
#include "guest.h"

#define SLOT	(1UL << 20)

static int video;
static int node;
static char *memory;
static enum v4l2_memory kind;
static size_t frame;

static int set_up(unsigned int frames)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_requestbuffers request = { .count = frames,
					       .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
					       .memory = kind };

	if (ioctl(video, VIDIOC_G_FMT, &format))
		return fail("VIDIOC_G_FMT");
	format.fmt.pix.width = 640;
	format.fmt.pix.height = 360;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	if (ioctl(video, VIDIOC_S_FMT, &format))
		return fail("VIDIOC_S_FMT");
	frame = format.fmt.pix.sizeimage;
	if (frame > SLOT) {
		fprintf(stderr, "iopmem-guest: a frame has %zu bytes\n", frame);
		return 1;
	}
	if (ioctl(video, VIDIOC_REQBUFS, &request) || request.count < frames)
		return fail("VIDIOC_REQBUFS");
	return 0;
}

// Where the camera shall put a frame; 0, or -1 with errno.
static int describe_slot(struct v4l2_buffer *buffer, unsigned int i)
{
	struct iopmem_mapping_export slot = { .size = sizeof(slot), .offset = i * SLOT,
					      .length = SLOT };

	buffer->length = frame;
	buffer->m.userptr = (unsigned long)(memory + i * SLOT);
	if (kind == V4L2_MEMORY_USERPTR)
		return 0;
	if (ioctl(node, IOPMEM_IOC_EXPORT_MAPPING, &slot))
		return -1;
	buffer->length = SLOT;
	buffer->m.fd = slot.fd;
	return 0;
}

// 0; 1 after a message; -1 when the camera does not take the memory, with errno.
static int begin(unsigned int frames)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	for (unsigned int i = 0; i < frames; i++) {
		struct v4l2_buffer buffer = { .type = type, .memory = kind, .index = i };

		if (describe_slot(&buffer, i) || ioctl(video, VIDIOC_QBUF, &buffer))
			return -1;
	}
	if (ioctl(video, VIDIOC_STREAMON, &type))
		return fail("VIDIOC_STREAMON");
	puts("capturing");
	fflush(stdout);
	return 0;
}

// 0, or 1 after a message.
static int capture(unsigned int frames)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	for (unsigned int i = 0; i < frames; i++) {
		struct v4l2_buffer buffer = { .type = type, .memory = kind };

		if (ioctl(video, VIDIOC_DQBUF, &buffer))
			return fail("VIDIOC_DQBUF");
		if (buffer.flags & V4L2_BUF_FLAG_ERROR || buffer.bytesused != frame) {
			fprintf(stderr, "iopmem-guest: frame %u is no whole one\n", i);
			return 1;
		}
	}
	return ioctl(video, VIDIOC_STREAMOFF, &type) ? fail("VIDIOC_STREAMOFF") : 0;
}

// Until something fails, with errno.
static void stream(int drive)
{
	for (int round = 0;; round++) {
		struct v4l2_buffer buffer = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = kind };

		if (ioctl(video, VIDIOC_DQBUF, &buffer) ||
		    pwrite(drive, memory + buffer.index * SLOT, SLOT, 0) != (ssize_t)SLOT ||
		    ioctl(video, VIDIOC_QBUF, &buffer))
			return;
		if (!round) {
			puts("streaming");
			fflush(stdout);
		}
	}
}

int camera_command(int argc, char **argv)
{
	unsigned int frames;
	int drive, status, forever = argc == 6 && !strcmp(argv[5], "forever");

	if (argc != 5 && !forever)
		return 64;
	kind = strcmp(argv[0], "dmabuf") ? V4L2_MEMORY_USERPTR : V4L2_MEMORY_DMABUF;
	argv++;
	frames = strtoul(argv[3], NULL, 0);
	video = open(argv[0], O_RDWR | O_CLOEXEC);
	drive = open(argv[2], O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (video < 0 || drive < 0)
		return fail("open");
	node = open(argv[1], O_RDWR | O_CLOEXEC);
	if (node < 0)
		return fail(argv[1]);
	memory = map_shared(argv[1], frames * SLOT, 0);
	if (!memory)
		return 1;
	// Nothing of an earlier run can pass for a frame.
	for (size_t i = 0; i < frames * SLOT / 8; i++)
		((volatile long *)memory)[i] = -1;
	if (set_up(frames))
		return 1;
	status = begin(frames);
	if (status > 0)
		return 1;
	if (forever && !status)
		stream(drive);
	if (forever || status) {
		puts(strerrorname_np(errno));
		return 0;
	}
	if (capture(frames))
		return 1;
	for (unsigned int i = 0; i < frames; i++) {
		char *at = memory + i * SLOT;
		size_t same = 1;

		while (same < frame && at[same] == at[0])
			same++;
		if (same == frame) {
			fprintf(stderr, "iopmem-guest: frame %u is empty\n", i);
			return 1;
		}
		if (pwrite(drive, at, SLOT, i * SLOT) != (ssize_t)SLOT)
			return fail("storing a frame");
	}
	printf("%u frames of %zu bytes\n", frames, frame);
	return 0;
}
