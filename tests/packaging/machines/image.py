"""The root file system of the test's machines: Debian 12 as its installer leaves it on a router, made once with
mmdebstrap and kept. What the package needs is installed already, so that a test needs no network."""
import fcntl
import hashlib
import os
import shutil
import subprocess

CACHE = os.environ.get("STEADYNAT_CACHE", "/var/cache/steadynat-tests")
SUITE = "bookworm"
# A router's base, the tools of our guides, the two programs that one of them begins with, and the package's libraries.
PACKAGES = """
systemd-sysv dbus udev kmod ifupdown iproute2 iputils-ping procps nftables conntrack jq socat less man-db
bash-completion keepalived conntrackd
libfmt9 libmnl0 libnetfilter-conntrack3 libnftables1 libnl-3-200 libnl-route-3-200 libsodium23 libyaml-cpp0.7
libncursesw6
linux-image-cloud-amd64 initramfs-tools
""".split()
# The image's own: no waiting for a network that is not there, no console but the one that is asked for, and Debian's
# units of programs that a guide brings in stay off until it does.
SETUP = r"""
set -e
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list
mkdir -p /srv/repo
passwd -d root >/dev/null
systemctl disable keepalived conntrackd systemd-networkd >/dev/null 2>&1
systemctl mask systemd-networkd-wait-online apt-daily.timer apt-daily-upgrade.timer man-db.timer fstrim.timer \
  dpkg-db-backup.timer e2scrub_all.timer systemd-timesyncd >/dev/null 2>&1
mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStartSec=300s\n' >/etc/systemd/system.conf.d/emulation.conf
cat >/usr/local/sbin/test-commands <<'END'
#!/bin/bash
# One command a line, in base64; the answer is its exit code and what it printed.
exec 3<>/dev/virtio-ports/commands
export HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive
while read -r -u 3 line; do
  text=$(cd /root; bash -c "$(base64 -d <<<"$line")" 2>&1 </dev/null 3>&-)
  printf '%s %s\n' $? "$(base64 -w 0 <<<"$text")" >&3
done
END
chmod 755 /usr/local/sbin/test-commands
cat >/etc/systemd/system/test-commands.service <<'END'
[Unit]
BindsTo=dev-virtio\x2dports-commands.device
After=dev-virtio\x2dports-commands.device
[Service]
ExecStart=/usr/local/sbin/test-commands
Restart=always
[Install]
WantedBy=dev-virtio\x2dports-commands.device
END
systemctl enable test-commands >/dev/null 2>&1
"""


def run(argv, **arguments):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **arguments)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout[-3000:]}")
    return done.stdout


def root():
    """The directory with the root file system; made when it is not there."""
    recipe = "\n".join([SUITE, *PACKAGES, SETUP])
    place = os.path.join(CACHE, f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}")
    os.makedirs(CACHE, exist_ok=True)
    with open(place + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(place):
            return place
        print(f"making {place} (once; some minutes)", flush=True)
        fresh = place + ".new"
        shutil.rmtree(fresh, ignore_errors=True)
        run(["mmdebstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), SUITE, fresh])
        run(["chroot", fresh, "/bin/sh", "-c", SETUP])
        os.rename(fresh, place)
    return place


def disk(size="3G"):
    """The same as a disk image with one ext4 file system: (disk, kernel, initrd)."""
    tree = root()
    image = tree + ".disk"
    boot = os.path.join(tree, "boot")
    kernel, initrd = (
        os.path.join(boot, next(name for name in sorted(os.listdir(boot)) if name.startswith(prefix)))
        for prefix in ("vmlinuz-", "initrd.img-")
    )
    with open(tree + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(image):
            run(["mke2fs", "-q", "-t", "ext4", "-d", tree, image + ".new", size])
            os.rename(image + ".new", image)
    return image, kernel, initrd


def repository(directory, packages):
    """A repository of these .debs, {name: path}, as `apt` takes it from /srv/repo; each is called NAME.deb there."""
    os.makedirs(directory, exist_ok=True)
    for name, path in packages.items():
        shutil.copy(path, os.path.join(directory, name + ".deb"))
    listing = run(["dpkg-scanpackages", "--multiversion", "."], cwd=directory)
    # What the scanner says on its error stream stands among it.
    text = "\n".join(line for line in listing.splitlines() if not line.startswith("dpkg-scanpackages: "))
    with open(os.path.join(directory, "Packages"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return directory
