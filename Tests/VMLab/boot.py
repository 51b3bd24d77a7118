# SPDX-License-Identifier: GPL-2.0
"""virtme-run, with the host's root cached in the guest.

virtme-ng mounts it uncached, so that every program that starts is fetched anew
through an emulated processor. Here nothing changes it while a guest runs.
"""

import sys

from virtme import mkinitramfs
from virtme.commands import run

mount = getattr(mkinitramfs, "_MOUNT_ROOT_HOST", "")
mkinitramfs._MOUNT_ROOT_HOST = mount.replace("trans=virtio,", "trans=virtio,cache=loose,")

sys.exit(run.main())
