// SPDX-License-Identifier: GPL-2.0
import IopmemSystem

/// Whether what shall come back at boot can.
struct ConfigurationCheckup {
    let root: SystemRoot

    func examine(_ review: ConfigReview) -> [Check] {
        var checks = review.files.map(check)
        if review.files.contains(where: { !$0.isShare }) {
            checks += [
                installed(
                    "udev_cards", "59-iopmem-cards.rules", below: "udev/rules.d",
                    "no card is reserved for iopmem when it appears",
                    then: "udevadm control --reload"),
                installed(
                    "restore_unit", "iopmem-restore@.service", below: "systemd/system",
                    "nothing comes back at boot", then: "systemctl daemon-reload"),
                installed(
                    "restore_unit", "iopmem-restore.service", below: "systemd/system",
                    "nothing comes back when the module is loaded, and mounts that require it fail",
                    then: "systemctl daemon-reload"),
            ]
        }
        if review.files.contains(where: \.isShare) {
            // What starts it is in 60-iopmem.rules, which is asked for in any case.
            checks.append(
                installed(
                    "share_unit", "iopmem-share@.service", below: "systemd/system",
                    "no namespace is exported when it appears", then: "systemctl daemon-reload"))
        }
        return checks
    }

    private func check(_ file: ConfigReview.File) -> Check {
        if let first = file.objections.first {
            return Check(
                "config", .problem, file.path,
                "nothing in it is believed: line \(first.place.line), column"
                    + " \(first.place.column): \(first.reason)",
                remedy: "mend it; to see all: iopmemctl config check")
        }
        if let impostor = file.impostors.first {
            return Check(
                "config", .problem, file.path, impostor,
                remedy: "put the right card there, or change the file for this one")
        }
        guard !file.devices.isEmpty else {
            return Check(
                "config", .warning, file.path,
                file.isShare
                    ? "the namespace that it exports is not on this machine"
                    : "no card of this machine is the one that it means",
                remedy: "plug the card in, or remove the file")
        }
        let cards = file.devices.map { "\($0)" }.joined(separator: ", ")
        return Check(
            "config", .ok, file.path,
            file.isShare ? "exports a namespace of \(cards)" : "describes \(cards)")
    }

    private func installed(
        _ id: String, _ name: String, below folder: String, _ loss: String, then command: String
    ) -> Check {
        guard let found = InstalledFile(name, below: folder, root: root).folder else {
            return Check(
                id, .problem, name,
                "not installed, and there are files for it in \(CardFolder.path): \(loss)",
                remedy: "make install, or install it in /etc/\(folder), then: \(command)")
        }
        return Check(id, .ok, name, "installed in \(found)")
    }
}
