"""A machine that was booted once and is restored from then on, its drives plugged in afterwards."""
import fcntl, glob, hashlib, json, os, shutil, subprocess, time

from drive import PCI

PORTS = 10                                                   # PCI slots to plug drives into
KINDS = {"nvme", "sata", "scsi", "usb", "uas", "virtio"}     # NVMe, UAS: QEMU cannot save them, they are plugged in
MODULES = "nls_cp437 nls_ascii nls_utf8 vfat exfat xfs btrfs loop".split()
MEMORY = 768 << 20
KEPT = 6                                                     # states in the cache


def possible(lab):
    """QEMU plugs in neither namespaces nor SD cards; a SATA drive cannot come or go; a network is there from the start."""
    fits = lambda d: d.kind in KINDS and not (d.kind == "sata" and d.out) and (d.slot < PORTS or d.kind not in PCI)
    return not lab.on_network() and all(map(fits, lab.drives))


def machine(args, ram, share):
    return args + ["-machine", "q35,memory-backend=ram", "-object",
                   f"memory-backend-file,id=ram,size={MEMORY},mem-path={ram},share={share}"]


def key(lab, args, parts):
    """Of all that the saved state has in it; where sockets and logs are does not count."""
    words = [w for w in args if lab.tmp not in w and lab.dir not in w]
    drives = [(d.serial, d.size) for d in lab.drives if d.kind == "sata"]
    version = subprocess.run([args[0], "--version"], capture_output=True).stdout
    digest = hashlib.sha256(repr((words, drives, version, os.stat(args[args.index("-kernel") + 1]).st_mtime)).encode())
    for part in parts + [open(__file__, "rb").read()]:
        digest.update(part)
    return digest.hexdigest()[:16]


def restore(lab, args, parts):
    """Starts QEMU from the state, which is made when there is none yet; gives the port of the guest's `lab`."""
    folder = os.path.join(lab.a.cache, "saved-" + key(lab, args, parts))
    with open(os.path.join(lab.a.cache, "saved.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(folder):
            prune(lab.a.cache)
            save(lab, args, parts, folder)
        os.utime(folder)
        load(lab, args, folder)                              # locked until QEMU has its files open
    plugged = [d for d in lab.drives if not d.out]
    for d in plugged:
        if d.kind != "sata":
            lab.plug(d)
    lab.qmp("cont")
    command = lab.a.command.encode() + b"\n"
    lab.socket.sendall(f"ok {time.time():.0f} {len(plugged)} {len(command)}\n".encode() + command)
    return lab.socket


def prune(cache):
    old = sorted(glob.glob(os.path.join(cache, "saved-*")), key=os.path.getmtime)
    for folder in old[:max(0, len(old) - KEPT + 1)]:
        shutil.rmtree(folder)


def migrate(lab, verb, uri):
    lab.qmp("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
    lab.qmp(verb, uri=uri)
    end = time.time() + 60
    while (status := lab.qmp("query-migrate").get("status")) != "completed":
        if status == "failed" or time.time() > end:
            raise RuntimeError(f"{verb}: {status}")
        time.sleep(.01)


def save(lab, args, parts, folder):
    """Boots it without drives, but for those of SATA, and saves it where the guest waits for its orders."""
    new = folder + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.mkdir(new)
    lab.start(machine(args, os.path.join(new, "ram"), "on") + ["-initrd", lab.initrd(parts)])
    lab.thread(lab.port, lab.connect())
    while not lab.job.wait(.1):
        if lab.qemu.poll() is not None:
            raise RuntimeError("the guest did not boot, see kernel.log")
    lab.qmp("stop")
    migrate(lab, "migrate", f"exec:cat >{new}/state")
    lab.qemu.kill()
    lab.qemu.wait()
    os.rename(new, folder)


def load(lab, args, folder):
    lab.start(machine(args, os.path.join(folder, "ram"), "off") + ["-incoming", "defer"])
    lab.socket = lab.connect()                               # before: the guest's port must not see it closed
    migrate(lab, "migrate-incoming", f"exec:cat {folder}/state")
