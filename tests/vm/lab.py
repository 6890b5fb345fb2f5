#!/usr/bin/env python3
"""Boots a QEMU guest (software emulation) with real kinds of drives and runs commands in it.

Every drive is a raw file that this process serves to QEMU (drive.py). That server is the drive: it
counts bytes and flushes and has a volatile write cache, so a power cut loses what the guest wrote and
did not flush, on all drives at one instant. See README.md.
"""
import argparse, ctypes, json, os, queue, re, shutil, signal, socket, stat, subprocess, sys, tempfile, threading, time

sys.dont_write_bytecode = True
from drive import OFF, PCI, POWER, Drive, size
from guest import Cpio, Unavailable, base_initramfs, initiator, kernel, stripped
from p9 import Server
from scsi_disk import ScsiDrive
import saved

T0 = time.time()
MODULES = {"nvme": "nvme", "ns": "nvme", "sata": "ahci sd_mod", "scsi": "virtio_scsi sd_mod", "virtio": "virtio_blk",
           "mptsas": "mptsas sd_mod", "raid": "megaraid_sas sd_mod", "jbod": "megaraid_sas sd_mod", "iscsi": "virtio_net iscsi_tcp sd_mod",
           "usb": "xhci-pci usb-storage sd_mod", "uas": "xhci-pci uas sd_mod", "sd": "sdhci-pci mmc_block"}
CMDLINE = ("console=ttyS0 loglevel=4 panic=-1 mitigations=off nokaslr audit=0 no_timer_check "
           "usb_storage.delay_use=0 cryptomgr.notests 8250.nr_uarts=1 random.trust_cpu=on "
           # What QEMU has translated of a program is of use to the next run of it where that has the same addresses:
           # a start of ours takes a third of the processor time. Its `rep movsb` and `rep movsq` go step by step.
           "norandmaps clearcpuid=rep_good")

# Emulated without AVX, whose registers are much to save, a guest takes a fifth less of the host's processors.
CPU = ["max", "la57=off", "-avx", "-avx2", "-f16c", "-xsave", "-erms"]


def note(*words):
    print(f"[lab {time.time() - T0:6.2f}s]", *words, file=sys.stderr, flush=True)


def die_with_parent(sig):
    ctypes.CDLL(None).prctl(1, sig)                          # PR_SET_PDEATHSIG


class Qmp:
    """QEMU's control socket."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        for _ in range(500):
            try:
                self.s.connect(path)
                break
            except OSError:
                time.sleep(.02)
        self.f, self.lock, self.events = self.s.makefile("r"), threading.Lock(), []
        self.f.readline()
        self("qmp_capabilities")

    def __call__(self, cmd, **args):
        with self.lock:
            self.s.sendall(json.dumps({"execute": cmd, "arguments": args}).encode())
            while True:
                m = json.loads(self.f.readline() or '{"error":{"desc":"QEMU is gone"}}')
                if "event" in m:
                    self.events.append(m)
                elif "error" in m:
                    raise RuntimeError(m["error"]["desc"])
                else:
                    return m["return"]

    def wait_deleted(self, dev, seconds):
        end = time.time() + seconds
        while time.time() < end:
            if any(e["event"] == "DEVICE_DELETED" and e["data"].get("device") == dev for e in self.events):
                self.events.clear()
                return True
            time.sleep(.05)
            self("query-status")                             # reads events that came meanwhile
        return False


class Lab:
    def __init__(self, a):
        self.a, self.drives, self.end, self.rc = a, [], None, None
        self.dir = a.dir
        self.tmp = tempfile.mkdtemp(prefix="wipeit-lab.")    # sockets: a path of theirs must be short
        self.log = open(os.path.join(self.dir, "events.jsonl"), "a")
        self.requests = open(os.path.join(self.dir, "requests.bin"), "wb")
        self.work, self.done, self.qemu = queue.Queue(), threading.Event(), None
        self.past, self.left, self.job = [], None, threading.Event()
        for spec in a.disk:
            self.drives.append((ScsiDrive if spec.split(",")[0] == "iscsi" else Drive)(self, spec))
        self.by = {d.name: d for d in self.drives}
        self.served = Server(self, a.serve) if a.serve else None
        self.at = [tuple(text.partition("=")[::2]) for text in a.at]
        for text in a.bad:
            self.act("bad " + text)

    def drive(self, name):
        return next(d for d in self.drives if d.name == name)

    def event(self, what, **more):
        self.log.write(json.dumps({"t": round(time.time() - T0, 3), "event": what, **more}) + "\n")
        self.log.flush()

    # --- triggers: "usb0:32M" (before the write that passes it), "usb0:flush:3" (before its 3rd flush)
    def wrote(self, drive, n, fua):
        self.asked(drive, "fua" if fua else "write")
        for t in list(self.at):
            name, _, amount = t[0].partition(":")
            if name == drive.name and "flush" not in amount and drive.written + n >= size(amount):
                self.fire(t)

    def flushing(self, drive):
        self.asked(drive, "flush")
        for t in list(self.at):
            if t[0] == f"{drive.name}:flush:{drive.flushes}":
                self.fire(t)

    def asked(self, drive, what):
        """Counted from `cut-in`, over all drives."""
        if self.left is not None and not OFF.is_set():
            self.past.append((drive.name, what))
            if self.left == len(self.past):
                self.cut()

    def fire(self, t):
        self.at.remove(t)
        note(f"at {t[0]}: {t[1]}")
        if t[1] == "cut":
            self.cut()
        else:
            self.work.put(t[1])

    def cut(self):
        with POWER:                                          # no drive can be halfway through a request
            if not OFF.is_set():
                OFF.set()
                for d in self.drives:
                    if d.real is d:
                        d.power_cut()
                self.stop("power cut")

    def stop(self, why):
        self.end = self.end or why
        self.done.set()
        if self.qemu.poll() is None:
            self.qemu.kill()

    def act(self, text):
        """One action, from --at or from `lab` in the guest; gives the answer for the guest."""
        verb, _, arg = text.strip().partition(" ")
        self.event("act", words=text.strip())
        name, rest = re.match("([^: ]*)[: ]?(.*)", arg).groups()
        d = self.by.get(name)
        if verb == "ready":
            note("guest is ready")
        elif verb == "rc":
            self.rc = int(arg)
            self.stop("finished")
        elif verb == "cut":
            self.cut()
        elif verb == "flushes":
            return f"ok {d.flushes}"
        elif verb == "requests":                             # reads and writes up to now
            return f"ok {d.reads} {d.writes}"
        elif verb == "held":                                 # whether it hangs in a request of this kind
            return "ok" if d.held == rest else "err no"
        elif verb == "free":                                 # it no longer hangs in those
            with POWER:
                d.faults = [rule for rule in d.faults if (rule["does"], rule["ops"]) != ("hang", rest)]
        elif verb in ("bad", "good", "die", "revive"):
            with POWER:
                if verb == "bad":
                    d.add_fault(rest)
                elif verb == "good":
                    d.faults.clear()
                else:
                    d.dead = verb == "die"
        elif verb == "cut-at-flush":                         # counted from now
            self.at.append((f"{name}:flush:{d.flushes + int(rest)}", "cut"))
        elif verb == "cut-in":                               # in place of the Nth request, any drive's; 0: never
            with POWER:
                self.past, self.left = [], int(arg)
                for d in self.drives:
                    d.reach = 0
        elif verb == "job":                                  # the guest is ready to be saved
            self.job.set()
        elif verb == "serve":                                # the folder: until so many bytes more, or again
            if arg == "again":
                self.served.go()
                self.served.listen(self.served.port)
            else:
                self.served.until = self.served.written + size(arg)
        elif verb == "copy":                                 # its medium as it is now
            with POWER:
                shutil.copyfile(d.path, os.path.join(self.dir, rest))
        elif verb == "load":                                 # its medium is now the Nth in DIR/NAME.media
            with POWER, open(os.path.join(self.dir, name + ".media"), "rb") as f:
                os.pwrite(d.fd, os.pread(f.fileno(), d.size, int(rest) * d.size), 0)
        elif verb == "unplug":
            top = d.devices()[0]["id"]
            if d.kind in ("usb", "uas"):                     # first the cable: QEMU's UAS dies of requests in flight
                self.qmp("qom-set", path=f"/machine/peripheral/{top}", property="attached", value=False)
            self.qmp("device_del", id=top)
            gone = self.qmp.wait_deleted(top, 20)
            if d.real is d:                                  # of two paths one cable
                with POWER:
                    d.power_cut()                            # it lost its power too
            return "ok" if gone else "err the guest did not let it go"
        elif verb == "plug":
            self.plug(d)
        else:
            return "err unknown action: " + text
        return "ok"

    def plug(self, d):
        devices = d.devices()
        for device in devices:
            self.qmp("device_add", **device)
        if d.kind in ("usb", "uas"):
            self.qmp("qom-set", path=f"/machine/peripheral/{devices[0]['id']}", property="attached", value=True)

    def worker(self):
        while True:
            text = self.work.get()
            try:
                note(text, "->", self.act(text))
            except Exception as e:
                note(text, "-> failed:", e)

    def port(self, s):
        """Requests of the guest's `lab` program."""
        try:
            for line in s.makefile("r"):
                try:
                    answer = self.act(line)
                except Exception as e:
                    answer = f"err {e}"
                if not line.startswith(("ready", "rc ", "job")):
                    note("guest asked:", line.strip(), "->", answer)
                if not self.done.is_set() and not line.startswith("job"):
                    s.sendall((answer + "\n").encode())
        except OSError:
            pass                                             # QEMU was killed

    def on_network(self):
        return self.served is not None or any(d.kind == "iscsi" for d in self.drives)

    # --- one run
    def initramfs(self, root):
        extra = Cpio()
        for item in self.a.copy:
            host, _, guest = item.partition(":")
            extra.file(stripped(self.a.cache, host), guest)
        fixed = [d for d in self.drives if not self.a.restore or d.kind == "sata"]
        kinds = saved.KINDS if self.a.restore else {d.kind for d in self.drives}
        load = ["virtio_pci", "virtio_console", "ext4"] + (saved.MODULES if self.a.restore else [])
        load += [m for kind, ms in MODULES.items() if kind in kinds for m in ms.split()] + self.a.module
        load += ["virtio_net", "9p", "9pnet_fd"] if self.served else []
        disks = sum(not d.out for d in fixed)
        conf = f"LOAD='{' '.join(dict.fromkeys(load))}'\nDISKS={disks}\n"
        if self.served:
            conf += f"export P9=trans=tcp,port={self.served.port},version=9p2000.L\n"
        extra.add("/etc/lab.conf", stat.S_IFREG | 0o644, conf.encode())
        models = [d for d in self.drives if d.kind == "iscsi"]
        if models:
            initiator(self.a.cache, extra)
        attach = ["ifconfig eth0 10.0.2.15 up\n"] * self.on_network()
        attach = "".join(attach + [ScsiDrive.before] * bool(models) + [d.attach() for d in models])
        extra.add("/etc/lab.attach", stat.S_IFREG | 0o755, attach.encode())
        if not self.a.restore:
            extra.add("/etc/lab.cmd", stat.S_IFREG | 0o755, self.a.command.encode() + b"\n")
        return [open(base_initramfs(self.a.cache, root), "rb").read(), extra.done()]

    def qemu_args(self, vmlinux):
        """All but the memory, and the drives that are plugged in later."""
        p = lambda s: os.path.join(self.tmp, s)
        args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-accel", "tcg,thread=multi", "-smp", "2", "-cpu", ",".join([*CPU, *self.a.cpu]), "-m", "768M",
                "-kernel", vmlinux, "-append", CMDLINE,
                "-serial", "file:" + os.path.join(self.dir, "kernel.log"),
                "-qmp", f"unix:{p('qmp')},server=on,wait=off", "-device", "virtio-serial-pci",
                "-chardev", "stdio,id=con,signal=off", "-device", "virtconsole,chardev=con",
                "-chardev", f"socket,id=lab,path={p('lab')},server=on,wait=off",
                "-device", "virtserialport,chardev=lab,name=lab", "-device", "virtio-rng-pci"]
        restore = self.a.restore
        kinds = saved.KINDS if restore else {d.kind for d in self.drives}
        if kinds & {"usb", "uas"}:
            args += ["-device", "qemu-xhci,id=xhci"]
        if "scsi" in kinds:
            args += ["-device", "virtio-scsi-pci,id=hba"]
        if "mptsas" in kinds:
            args += ["-device", "mptsas1068,id=sas"]
        if "raid" in kinds:
            args += ["-device", "megasas,id=raid"]
        if "jbod" in kinds:
            args += ["-device", "megasas,id=jbod,use_jbod=on"]
        if self.on_network():
            args += ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="]
        if restore:                                          # its random numbers begin anew
            args += ["-device", "vmgenid,guid=auto"]
        for i in range(saved.PORTS) if restore else [d.slot for d in self.drives if d.kind in PCI]:
            args += ["-device", f"pcie-root-port,id=port-{i},bus=pcie.0,chassis={i + 1},slot={i + 1}"]
        for d in self.drives:
            if d.kind == "iscsi":
                continue                                     # by the guest's network
            server = {"type": "unix", "path": d.sock}
            args += ["-blockdev", json.dumps({"driver": "nbd", "node-name": d.name, "discard": "unmap", "server": server})]
            if not restore or d.kind == "sata":
                for device in [] if d.out else d.devices():
                    args += ["-device", json.dumps(device)]
        return args

    def start(self, args):
        self.qemu = subprocess.Popen(args, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                     preexec_fn=lambda: die_with_parent(signal.SIGKILL))
        self.qmp = Qmp(os.path.join(self.tmp, "qmp"))

    def thread(self, target, *args):
        threading.Thread(target=target, args=args, daemon=True).start()

    def run(self):
        root, vmlinux = kernel(self.a.cache)
        for d in self.drives:
            if d.real is d:
                d.start()
        args, parts = self.qemu_args(vmlinux), self.initramfs(root)
        self.thread(self.clock)
        if self.a.restore:
            lab = saved.restore(self, args, parts)
        else:
            self.start(args + ["-machine", "q35", "-initrd", self.initrd(parts)])
            lab = self.connect()
        self.thread(self.worker)
        self.thread(self.port, lab)
        while chunk := os.read(self.qemu.stdout.fileno(), 65536):
            os.write(1, chunk.replace(b"\r\n", b"\n"))
        self.qemu.wait()
        self.done.set()
        why = self.end or f"guest stopped by itself (QEMU status {self.qemu.returncode}, see kernel.log)"
        note(f"{why}; status {self.rc}")
        with open(os.path.join(self.dir, "tally.json"), "w") as f:
            json.dump({"reach": {d.name: d.reach for d in self.drives}, "past": self.past}, f)
        return {"finished": self.rc, "power cut": 137, "timeout": 124}.get(why, 125)

    def initrd(self, parts):
        path = os.path.join(self.tmp, "initrd")
        with open(path, "wb") as f:
            f.writelines(parts)
        return path

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.path.join(self.tmp, "lab"))
        return s

    def clock(self):
        if not self.done.wait(self.a.timeout):
            self.stop("timeout")


def run(a):
    lab = Lab(a)
    a.restore = a.restore and saved.possible(lab)
    try:
        return lab.run()
    finally:
        shutil.rmtree(lab.tmp)


def main():
    die_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # tidies up
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--cache", required=True, help="where the guest's kernel is kept")
    sub = p.add_subparsers(dest="cmd", required=True)
    sub.add_parser("prepare", help="fetch the guest's kernel; status 1 and the reason when that cannot be done")
    sub.add_parser("initiator", help="fetch the guest's iSCSI initiator; the same")
    r = sub.add_parser("run")
    r.add_argument("--dir", required=True, help="where the images and logs are")
    r.add_argument("--disk", action="append", default=[], help="KIND[,opt=value]: nvme ns sata scsi mptsas raid jbod usb uas virtio sd iscsi")
    r.add_argument("--copy", action="append", default=[], metavar="HOST:GUEST")
    r.add_argument("--bad", action="append", default=[], metavar="NAME:START-END[:r|w|rw|f][:times=N][:lie|flip|hang|slow=MS]")
    r.add_argument("--at", action="append", default=[], metavar="WHEN=ACTION")
    r.add_argument("--cpu", action="append", default=[], metavar="-FEATURE", help="a processor without it")
    r.add_argument("--module", action="append", default=[], help="also load this kernel module")
    r.add_argument("--restore", action="store_true", help="not booted: goes on from a state that was saved once")
    r.add_argument("--serve", metavar="FOLDER", help="over 9p: mount -t 9p -o $P9 10.0.2.2 /mnt")
    r.add_argument("--timeout", type=float, default=150)
    r.add_argument("command")
    a = p.parse_args()
    try:
        if a.cmd == "prepare":
            base_initramfs(a.cache, kernel(a.cache)[0])
            return 0
        if a.cmd == "initiator":
            initiator(a.cache, Cpio())
            return 0
        return run(a)
    except Unavailable as why:
        print(why)
        return 1


if __name__ == "__main__":
    sys.exit(main())
