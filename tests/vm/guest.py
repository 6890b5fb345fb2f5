"""The guest: Debian's kernel and udev (apt-get download), and an initramfs of this host's tools."""
import glob, hashlib, lzma, os, re, shutil, stat, subprocess, tempfile


class Unavailable(Exception):
    """What the guest is made of is not to be had here; why."""


def kernel(cache):
    """Fetches Debian's kernel and udev once; gives the unpacked tree and the kernel's file."""
    root, vmlinux = os.path.join(cache, "root"), os.path.join(cache, "vmlinux")
    if not os.path.exists(vmlinux):
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as tmp:
            unpacked = os.path.join(tmp, "root")
            for deb in download(tmp):
                subprocess.run(["dpkg", "-x", deb, unpacked], check=True)
            shutil.rmtree(root, ignore_errors=True)
            os.rename(unpacked, root)
            image = os.path.join(tmp, "vmlinux")
            with open(image, "wb") as f:
                f.write(bare(open(glob.glob(root + "/boot/vmlinuz-*")[0], "rb").read()))
            os.rename(image, vmlinux)                        # last: it says that all is there
    return root, vmlinux


def apt(folder, *words):
    try:
        return subprocess.run(words, cwd=folder, text=True, capture_output=True, timeout=240)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Unavailable(f"{' '.join(words[:2])}: {e}")


def download(folder):
    found = re.search(r"Depends: (linux-image-\S+)", apt(folder, "apt-cache", "depends", "linux-image-amd64").stdout)
    if not found:
        raise Unavailable("apt knows no linux-image-amd64, Debian's kernel for the guest")
    return fetched(folder, "the guest's kernel", found[1], "udev")


def fetched(folder, what, *packages):
    got = apt(folder, "apt-get", "download", *packages)
    if got.returncode:
        why = got.stderr.strip().splitlines() or ["?"]
        raise Unavailable(f"apt-get cannot download {what}: {why[-1]}")
    return glob.glob(folder + "/*.deb")


def initiator(cache, archive):
    """Puts Debian's open-iscsi (half a megabyte, fetched once) into an archive."""
    tree = os.path.join(cache, "iscsi")
    if not os.path.exists(tree):
        with tempfile.TemporaryDirectory(dir=cache) as tmp:
            unpacked = os.path.join(tmp, "tree")
            for deb in fetched(tmp, "the guest's iSCSI initiator", "open-iscsi", "libopeniscsiusr", "libisns0"):
                subprocess.run(["dpkg", "-x", deb, unpacked], check=True)
            os.rename(unpacked, tree)
    for tool in ("iscsid", "iscsiadm"):
        found = next(p for p in (f"{tree}/sbin/{tool}", f"{tree}/usr/sbin/{tool}") if os.path.exists(p))
        archive.file(found, "/usr/bin/" + tool, tree + "/usr/lib/x86_64-linux-gnu:" + tree + "/lib/x86_64-linux-gnu")
    archive.add("/etc/iscsi/iscsid.conf", stat.S_IFREG | 0o644, ISCSID_CONF.encode())
    archive.add("/etc/iscsi/initiatorname.iscsi", stat.S_IFREG | 0o644, b"InitiatorName=iqn.2024-01.lab.wipeit:guest\n")


def bare(image):
    """The ELF in an xz-packed kernel: unpacking it under emulation takes seconds. Others are taken whole."""
    start = image.find(b"\xfd7zXZ\0")
    try:
        return lzma.LZMADecompressor().decompress(image[start:]) if start > 0 else image
    except lzma.LZMAError:
        return image


class Cpio:
    """Writes a 'newc' archive; the kernel accepts several, one after another, as one initramfs."""

    def __init__(self):
        self.out, self.ino, self.seen = bytearray(), 0, set()

    def add(self, path, mode, data=b"", dev=(0, 0)):
        path = path.strip("/")
        if path.split("/")[0] in ("bin", "sbin", "lib") and not stat.S_ISLNK(mode):
            path = "usr/" + path                             # those three are links, as in Debian
        if path in self.seen:
            return
        if "/" in path:
            self.add(os.path.dirname(path), stat.S_IFDIR | 0o755)
        self.seen.add(path)
        self.ino += 1
        name = path.encode() + b"\0"
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, *dev, len(name), 0)
        self.out += b"070701" + "".join("%08x" % v for v in fields).encode() + name
        self.out += bytes(-len(self.out) % 4) + data
        self.out += bytes(-len(self.out) % 4)

    def file(self, host, guest, libdirs=""):
        """One file, with the shared libraries it needs when it is a dynamic program."""
        data = open(host, "rb").read()
        self.add(guest, stat.S_IFREG | (os.stat(host).st_mode & 0o777), data)
        if data[:4] == b"\x7fELF" and b"ld-linux" in data[:4096]:
            ldd = subprocess.run(["ldd", host], text=True, capture_output=True,
                                 env={**os.environ, "LD_LIBRARY_PATH": libdirs}).stdout
            for lib in re.findall(r"(/\S+) \(0x", ldd):
                where = "/lib64/" if "/ld-linux" in lib else "/usr/lib/"
                self.add(where + os.path.basename(lib), stat.S_IFREG | 0o755, open(lib, "rb").read())

    def link(self, guest, to):
        self.add(guest, stat.S_IFLNK | 0o777, to.encode())

    def done(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.out) + bytes(-len(self.out) % 512)


MODULES = """virtio_pci virtio_console nvme ahci sd_mod virtio_scsi virtio_blk usb-storage uas xhci-pci
sdhci-pci mmc_block ext4 crc32c_generic dm-mod dm-crypt xts ecb aes_generic sha256_generic sha1_generic
algif_skcipher algif_hash raid1 btrfs dm-multipath dm-service-time vfat exfat nls_cp437 nls_ascii
nls_utf8 loop bcache dm-snapshot dm-writecache zram mptsas megaraid_sas virtio_net iscsi_tcp 9p 9pnet_fd xfs""".split()
# Names of programs and of Debian's packages for them stand in .ci/run.
TOOLS = """sh bash env setsid nohup flock lsblk blkid mount umount sfdisk losetup swapon swapoff mkswap
dmsetup mke2fs mkfs.ext4 dd sync lvm cryptsetup mdadm btrfs mkfs.btrfs make-bcache
mkfs.exfat unshare setpriv""".split()
# Other names of lvm, which it looks at.
LVM = "pvcreate vgcreate vgchange lvcreate lvchange lvconvert lvremove".split()

INIT = r"""#!/bin/sh
export DM_DISABLE_UDEV=1 PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LD_LIBRARY_PATH=/usr/lib TERM=dumb
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
mkdir -p /run /tmp /mnt /root /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs run /run
. /etc/lab.conf                        # LOAD (modules), DISKS (how many to wait for)
for m in $LOAD; do modprobe $m; done
/usr/lib/systemd/systemd-udevd --daemon 2>/dev/null
. /etc/lab.attach                      # connects the drives that QEMU does not know of
n=0; while [ "$(ls /sys/block | grep -cE '^(sd|nvme|vd|mmcblk[0-9]*$)')" -lt "$DISKS" ] && [ $n -lt 300 ]; do
    n=$((n+1)); usleep 100000; done
udevadm trigger --action=add --subsystem-match=block; udevadm settle -t 30
for p in /sys/class/virtio-ports/*; do
    [ "$(cat $p/name 2>/dev/null)" = lab ] && ln -sf /dev/${p##*/} /run/lab; done
lab ready >/dev/null
if [ ! -e /etc/lab.cmd ]; then         # to be saved here, and to go on later with other drives
    sync; echo 3 >/proc/sys/vm/drop_caches
    exec 8<>/run/lab; echo job >&8; read -r ok now DISKS bytes <&8
    dd bs=$bytes count=1 iflag=fullblock <&8 >/etc/lab.cmd 2>/dev/null; exec 8<&-
    date -s @$now >/dev/null
    # what the kernel found out when it was booted is another boot's
    cat /proc/sys/kernel/random/uuid >/run/boot_id; mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
    there() { there=0; for d in /sys/block/sd* /sys/block/nvme* /sys/block/vd*; do [ -e $d ] && there=$((there+1)); done; }
    n=0; while there; [ $there -lt "$DISKS" ] && [ $n -lt 500 ]; do n=$((n+1)); usleep 20000; done
    udevadm settle -t 30
fi
# </dev/hvc0: the console that the host shows; the command gets it as its terminal
setsid /bin/sh -c 'cd /root; stty cols 200 rows 50 2>/dev/null; exec /bin/sh /etc/lab.cmd' <>/dev/hvc0 >&0 2>&1
rc=$?
lab rc $rc >/dev/null
sleep 1000
"""
ISCSID_CONF = """iscsid.startup = /usr/bin/iscsid
node.startup = manual
node.session.timeo.replacement_timeout = 120
node.conn[0].timeo.noop_out_interval = 15
node.conn[0].timeo.noop_out_timeout = 30
node.session.iscsi.InitialR2T = Yes
node.session.iscsi.ImmediateData = No
node.session.iscsi.MaxBurstLength = 1048576
node.session.scan = auto
"""
LAB = r"""#!/bin/sh
# lab WORDS...: ask the machine to do something now: unplug usb0, plug usb0, cut, ...
exec 9>/run/lab.lock; flock 9
# closed before the lock: the port can be open once only
exec 8<>/run/lab; echo "$*" >&8; read -r answer <&8; exec 8<&-; echo "$answer"; [ "${answer%% *}" = ok ]
"""


def stripped(cache, program):
    """A program without what only a debugger reads: of a debug build tens of megabytes, to load at every boot."""
    strip, at = shutil.which("strip"), os.stat(program)
    if not strip or open(program, "rb").read(4) != b"\x7fELF":
        return program
    digest = lambda what: hashlib.sha256(repr(what).encode()).hexdigest()[:12]
    start = os.path.join(cache, f"program-{digest(os.path.abspath(program))}-")
    path = start + digest((at.st_mtime_ns, at.st_size))
    if not os.path.exists(path):
        for old in glob.glob(start + "*"):
            os.remove(old)
        subprocess.run([strip, "-o", f"{path}.{os.getpid()}", program], check=True)
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def module(path):
    data = open(path, "rb").read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def module_deps(root):
    """name -> (path in the guest, [names it needs], content) read from the modules themselves."""
    found = {}
    for path in glob.glob(root + "/**/lib/modules/*/kernel/**/*.ko*", recursive=True):
        found[os.path.basename(path).split(".ko")[0].replace("-", "_")] = path
    wanted, todo = {}, [m.replace("-", "_") for m in MODULES]
    while todo:
        name = todo.pop()
        if name in wanted or name not in found:
            continue
        data = module(found[name])
        need = re.search(rb"\0depends=([^\0]*)\0", data) or re.search(rb"depends=([^\0]*)\0", data)
        need = [n.replace("-", "_") for n in need[1].decode().split(",") if n] if need else []
        need += ["crc32c_generic"] if name in ("ext4", "btrfs") else []   # soft dependency
        inside = found[name][found[name].index("lib/modules/"):].removesuffix(".xz")
        wanted[name] = (inside, [n for n in need if n in found], data)
        todo += need
    return wanted


def closure(mods, name):
    """Paths of everything `name` needs, nearest first (modules.dep order)."""
    out = []
    for n in mods[name][1]:
        for p in [mods[n][0]] + closure(mods, n):
            if p in out:
                out.remove(p)
            out.append(p)
    return out


def base_initramfs(cache, root):
    """Built once and kept; rebuilt when this script or the tools that are installed change."""
    tools = {tool: shutil.which(tool) for tool in TOOLS}
    key = hashlib.sha256(open(__file__, "rb").read() + repr((root, tools)).encode()).hexdigest()[:12]
    path = os.path.join(cache, f"base-{key}.cpio")
    if os.path.exists(path):
        return path
    for old in glob.glob(os.path.join(cache, "base-*.cpio")):
        os.remove(old)
    a = Cpio()
    a.add("/dev", stat.S_IFDIR | 0o755)
    a.add("/dev/console", stat.S_IFCHR | 0o600, dev=(5, 1))
    for d in ("proc", "sys", "run", "tmp", "etc", "root", "mnt"):
        a.add(d, stat.S_IFDIR | 0o755)
    for d in ("bin", "sbin", "lib"):
        a.link(d, "usr/" + d)
    a.add("/init", stat.S_IFREG | 0o755, INIT.encode())
    a.add("/usr/local/bin/lab", stat.S_IFREG | 0o755, LAB.encode())
    a.add("/etc/passwd", stat.S_IFREG | 0o644, b"root:x:0:0:root:/root:/bin/sh\n")
    a.add("/etc/group", stat.S_IFREG | 0o644, b"root:x:0:\ndisk:x:6:\ncdrom:x:24:\ntty:x:5:\nkmem:x:15:\n")
    for tool, host in tools.items():                          # real programs first ...
        if host:
            a.file(os.path.realpath(host), "/usr/bin/" + tool)
    for name in LVM if tools["lvm"] else ():
        a.link("/usr/bin/" + name, "lvm")
    busybox = shutil.which("busybox")                         # ... busybox for the rest
    a.file(busybox, "/usr/bin/busybox")
    for name in subprocess.run([busybox, "--list"], text=True, capture_output=True).stdout.split():
        a.link("/usr/bin/" + name, "busybox")
    udevadm = next(p for p in (root + "/bin/udevadm", root + "/usr/bin/udevadm") if os.path.exists(p))
    a.file(udevadm, "/usr/bin/udevadm", root + "/lib/x86_64-linux-gnu:" + root + "/usr/lib/x86_64-linux-gnu")
    a.link("/usr/lib/systemd/systemd-udevd", "/usr/bin/udevadm")
    for part, folder in (("60-persistent-storage.rules", "rules.d/"), ("60-block.rules", "rules.d/"),
                         ("64-btrfs.rules", "rules.d/"), ("50-udev-default.rules", "rules.d/"),
                         ("ata_id", ""), ("scsi_id", "")):
        for src in glob.glob(f"{root}/**/lib/udev/{folder}{part}", recursive=True):
            a.file(src, f"/usr/lib/udev/{folder}{part}")
    mods, dep = module_deps(root), ""
    for name, (inside, _, data) in sorted(mods.items()):
        a.add("/usr/" + inside, stat.S_IFREG | 0o644, data)
        strip = lambda p: p.split("/", 3)[3]                  # relative to lib/modules/VERSION
        dep += strip(inside) + ": " + " ".join(strip(p) for p in closure(mods, name)) + "\n"
    where = "/usr/lib/modules/" + mods["ext4"][0].split("/")[2]
    a.add(where + "/modules.dep", stat.S_IFREG | 0o644, dep.encode())
    tmp = f"{path}.{os.getpid()}"
    with open(tmp, "wb") as f:
        f.write(a.done())
    os.rename(tmp, path)
    return path
