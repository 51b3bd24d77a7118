# SPDX-License-Identifier: GPL-2.0
"""virtme-run, with the host's root cached in the guest.

virtme-ng mounts it uncached, so that every program that starts is fetched anew
through an emulated processor. Here nothing changes it while a guest runs.

And without the modprobe of its initramfs, which has no module to offer: the kernel
asks it for sixty algorithms while it boots, and a shell starts for each answer.
"""

import sys

from virtme import mkinitramfs
from virtme.commands import run

mount = getattr(mkinitramfs, "_MOUNT_ROOT_HOST", "")
mkinitramfs._MOUNT_ROOT_HOST = mount.replace("trans=virtio,", "trans=virtio,cache=loose,")

mkinitramfs.install_modprobe = lambda archive: None

sys.exit(run.main())
