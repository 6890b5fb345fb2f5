"""A drive of the machine: a raw file behind a small NBD server that models a volatile write cache, and has
what faults it is told to have."""
import fcntl, os, random, re, socket, struct, threading, time

ZERO = bytes(1 << 20)
POWER = threading.RLock()          # held while any drive handles a request: a cut is one instant for all
OFF = threading.Event()            # the power is cut
PCI = ("nvme", "virtio")           # kinds that need a hot-pluggable PCI slot of their own


def size(text):
    """'512', '4K', '1.5G' -> bytes."""
    m = re.fullmatch(r"([0-9.]+)([KMGT]?)", text)
    return int(float(m[1]) * 1024 ** " KMGT".index(m[2] or " "))


class Drive(threading.Thread):
    """Serves one raw file that exists. Options are text: see README.md.

    The cache is an undo log: a write goes to the file at once, and what it replaced is remembered until
    the guest flushes (or the write itself was FUA). A power cut puts the old bytes back."""

    def __init__(self, lab, spec):
        super().__init__(daemon=True)
        self.kind, *options = spec.split(",")
        self.opt = dict(o.split("=", 1) if "=" in o else (o, "") for o in options)
        self.lab, self.number = lab, len(lab.drives)
        self.index = sum(d.kind == self.kind for d in lab.drives)
        self.slot = sum(d.kind in PCI for d in lab.drives)   # one of its own, if it needs one
        self.name = self.opt.get("name", f"{self.kind}{self.index}")
        self.serial = self.opt.get("serial", f"SN-{self.name.upper()}")
        self.out = "out" in self.opt                         # not plugged in at the start
        self.keep = self.opt.get("keep", "none")             # what survives of unflushed data
        self.rng = random.Random(self.opt.get("seed", "1") + self.name)
        self.pending = []                                    # [offset, old, new]
        self.written, self.flushes, self.reads, self.writes, self.reach = 0, 0, 0, 0, 0
        self.lbs = int(self.opt.get("lbs", 512))
        self.wraps = size(self.opt["fake"]) if "fake" in self.opt else None
        self.faults, self.dead, self.held = [], False, None
        self.logs = "log" in self.opt                        # every write and flush, for all cuts at once
        named = lambda option: lab.drive(self.opt[option]) if option in self.opt else None
        other = named("wwn-of") or named("path-to")
        # That of a SATA drive is part of a saved state, which does not hang on the drives beside it.
        self.wwn = other.wwn if other else 0x100 + self.index if self.kind == "sata" else self.number
        # Which port of its own this is; 0: it does not say.
        self.port = 0 if "no-ports" in self.opt else 1 + ("path-to" in self.opt)
        # Another path to a drive is no drive: the other one serves it.
        self.real = named("path-to") or self
        if self.real is not self:
            self.serial, self.sock = self.real.serial, self.real.sock
            return
        self.path = os.path.join(lab.dir, self.name + ".img")
        self.fd = os.open(self.path, os.O_RDWR)
        fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = os.fstat(self.fd).st_size
        self.listen()

    def listen(self):
        self.sock = os.path.join(self.lab.tmp, self.name + ".nbd")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.sock)
        self.listener.listen(4)

    # --- what is wrong with it
    def add_fault(self, text):
        """START-END[:r|w|rw|f][:times=N][:lie|flip|hang|slow=MS], logical blocks, inclusive; f: flushes, wherever."""
        span, *more = text.split(":")
        start, _, end = span.partition("-")
        rule = {"start": int(start) * self.lbs, "end": (int(end or start) + 1) * self.lbs,
                "ops": "rw", "left": None, "does": "fail", "ms": 0}
        for word in more:
            key, _, value = word.partition("=")
            if key in ("r", "w", "rw", "f"):
                rule["ops"] = key
            elif key == "times":
                rule["left"] = int(value)
            elif key in ("lie", "flip", "hang", "slow"):
                rule["does"], rule["ms"] = key, int(value or 0)
            else:
                raise ValueError(text)
        self.faults.append(rule)

    def fault(self, op, off=0, n=0):
        """What goes wrong with a request (fail, lie, flip), and where in it; None, or it takes its time."""
        if self.dead:
            return "fail", 0, n
        for rule in list(self.faults):
            here = op == "f" or off < rule["end"] and off + n > rule["start"]
            if op not in rule["ops"] or rule["left"] == 0 or not here:
                continue
            if rule["left"]:
                rule["left"] -= 1
            self.lab.event("fault", drive=self.name, op=op, does=rule["does"], offset=off, bytes=n)
            if rule["does"] not in ("slow", "hang"):
                return rule["does"], max(0, rule["start"] - off), min(n, rule["end"] - off)
            POWER.release()                                  # the other drives go on
            time.sleep(rule["ms"] / 1000)
            while rule["does"] == "hang" and rule in self.faults and not OFF.is_set():
                self.held = op
                time.sleep(.02)                              # until it is told to be good
            self.held = None
            POWER.acquire()
            if self.dead:
                return "fail", 0, n

    # --- the medium and its cache
    def place(self, off, n):
        """Where a range of addresses is: elsewhere on a drive whose addresses wrap."""
        if not self.wraps:
            return [(off, n)]
        out = []
        while n:
            part = min(n, self.wraps - off % self.wraps)
            out.append((off % self.wraps, part))
            off, n = off + part, n - part
        return out

    def read(self, off, n):
        self.reads += 1
        fault = self.fault("r", off, n)
        if fault and fault[0] == "fail":
            return None
        data = b"".join(os.pread(self.fd, part, at) for at, part in self.place(off, n))
        if fault and fault[0] == "flip":
            data = data[:fault[1]] + bytes([data[fault[1]] ^ 1]) + data[fault[1] + 1:]
        return data

    def change(self, off, data, fua):
        """A write as the guest sent it; False when it failed."""
        self.writes += 1
        fault = self.fault("w", off, len(data))
        if fault:
            does, a, b = fault
            if does == "fail":
                return False
            if does == "flip":
                data = data[:a] + bytes([data[a] ^ 1]) + data[a + 1:]
            else:                                            # acknowledged; the medium keeps what it had
                kept = b"".join(os.pread(self.fd, part, at) for at, part in self.place(off + a, b - a))
                data = data[:a] + kept + data[b:]
        for at, part in self.place(off, len(data)):
            self.write(at, data[:part], fua)
            data = data[part:]
        return True

    def flush(self):
        """False when it failed: what was not yet on the medium is then lost, as `keep` says."""
        fault = self.fault("f")
        if fault and fault[0] == "lie":
            return True
        if fault:
            self.power_cut()
            return False
        if self.opt.get("flush") != "lie":
            self.pending = []
        self.record(3)
        return True

    def write(self, off, data, fua):
        self.lab.wrote(self, len(data), fua)                 # a cut may happen here, before this write
        if OFF.is_set():
            return
        if not fua and self.keep != "all":
            self.pending.append([off, os.pread(self.fd, len(data), off), data])
        os.pwrite(self.fd, data, off)
        if fua:
            self.settle(off, off + len(data))
        self.written += len(data)
        self.reach = max(self.reach, off + len(data))
        self.record(2 if fua else 1, off, data)

    def record(self, what, off=0, data=b""):
        """1: written, 2: written with FUA, 3: flushed. One log for all drives, in the order of the machine."""
        if self.logs:
            self.lab.requests.write(struct.pack(">BBQI", self.number, what, off, len(data)) + data)
            self.lab.requests.flush()

    def settle(self, off, end):
        """This range is on the medium for good: nothing older is put back over it."""
        kept = []
        for o, old, new in self.pending:
            e = o + len(old)
            for a, b in ((o, min(e, off)), (max(o, end), e)):
                if a < b:
                    kept.append([a, old[a - o:b - o], new[a - o:b - o]])
        self.pending = kept

    def power_cut(self):
        """Undoes what never reached the medium; then lets some of it have reached it, as `keep` says."""
        todo, self.pending = self.pending, []
        for off, old, _ in reversed(todo):
            os.pwrite(self.fd, old, off)
        first = self.rng.randrange(len(todo) + 1)
        for i, (off, _, new) in enumerate(todo):
            if self.keep == "prefix" and i < first:
                os.pwrite(self.fd, new, off)
            elif self.keep == "random" and self.rng.random() < .5:   # any subset, torn at a sector
                n = len(new) if self.rng.random() < .8 else self.rng.randrange(0, len(new) + 1, 512)
                os.pwrite(self.fd, new[:n], off)
        self.lab.event("lost", drive=self.name, writes=len(todo), bytes=sum(len(p[1]) for p in todo))

    # --- the protocol
    def run(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            self.talk(conn)
        except (OSError, EOFError):
            pass                                             # QEMU went away
        except Exception as e:
            self.lab.stop(f"error in the machine: {e!r}")

    def talk(self, conn):
        def get(n):
            buf, have = bytearray(n), 0
            view = memoryview(buf)
            while have < n:
                k = conn.recv_into(view[have:])
                if not k:
                    raise EOFError
                have += k
            return bytes(buf)
        conn.sendall(b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3))
        get(4)
        while True:                                          # options, until the client says GO
            _, opt, n = struct.unpack(">8sII", get(16))
            get(n)
            reply = lambda kind, data=b"": conn.sendall(
                struct.pack(">QIII", 0x3E889045565A9, opt, kind, len(data)) + data)
            if opt in (6, 7):
                reply(3, struct.pack(">HQH", 0, self.size, 1 | 4 | 8 | 32 | 64))
                reply(1)
                if opt == 7:
                    break
            else:
                reply(0x80000001)
        while True:
            _, flags, cmd, cookie, off, n = struct.unpack(">IHHQQI", get(28))
            data, back, fua, good = get(n) if cmd == 1 else b"", b"", flags & 1, True
            with POWER:
                if OFF.is_set() or cmd == 2:
                    return
                if cmd == 0:
                    back = self.read(off, n)
                    good, back = back is not None, back or b""
                elif cmd == 1:
                    good = self.change(off, data, fua)
                elif cmd == 3:
                    self.flushes += 1
                    self.lab.flushing(self)                  # a cut may happen here, before this flush
                    good = OFF.is_set() or self.flush()
                elif cmd in (4, 6):                          # discard, write zeroes
                    for o in range(off, off + n, len(ZERO)):
                        good = good and self.change(o, ZERO[:min(len(ZERO), off + n - o)], fua)
                if OFF.is_set():
                    return
            conn.sendall(struct.pack(">IIQ", 0x67446698, 0 if good else 5, cookie) + back)

    # --- what QEMU plugs in
    def devices(self):
        """QEMU devices, outermost first; the same serve -device and QMP device_add."""
        n, slot = self.name, f"port-{self.slot}"
        wwn = 0x5000C500A1B20000 + self.wwn
        disk = {"drive": n, "id": n}
        if self.lbs != 512:
            disk.update(logical_block_size=self.lbs, physical_block_size=self.lbs)
        scsi = {**disk, "driver": "scsi-hd", "serial": self.serial, "vendor": self.opt.get("vendor", "LAB"),
                "product": self.opt.get("model", "LAB DISK")}
        return {
            "nvme": lambda: [{**disk, "driver": "nvme", "bus": slot, "serial": self.serial}],
            "ns": lambda: [{**disk, "driver": "nvme-ns", "bus": self.opt["of"], "nsid": self.index + 2}],
            "virtio": lambda: [{**disk, "driver": "virtio-blk-pci", "bus": slot, "serial": self.serial}],
            "sata": lambda: [{**disk, "driver": "ide-hd", "bus": f"ide.{self.index}", "serial": self.serial,
                              "wwn": wwn, "model": "LAB SATA DISK", "rotation_rate": 7200}],
            "scsi": lambda: [{**scsi, "bus": "hba.0", "scsi-id": self.index, "wwn": wwn, "dpofua": True,
                              **({"port_index": self.port, "port_wwn": wwn + (self.port << 16)} if self.port else {})}],
            "mptsas": lambda: [{**scsi, "bus": "sas.0", "scsi-id": self.index, "wwn": wwn}],
            "raid": lambda: [{**scsi, "bus": "raid.0", "scsi-id": self.index}],
            "jbod": lambda: [{**scsi, "bus": "jbod.0", "scsi-id": self.index, "wwn": wwn}],
            "usb": lambda: self.usb("usb-bot", scsi),
            "uas": lambda: self.usb("usb-uas", scsi),
            "sd": lambda: [{"driver": "sdhci-pci", "id": n + "-host"},
                           {**disk, "driver": "sd-card", "bus": "sd-bus"}],
        }[self.kind]()

    def usb(self, driver, scsi):
        outer = self.name + "-usb"
        return [{"driver": driver, "id": outer, "bus": "xhci.0", "serial": self.serial},
                {**scsi, "bus": outer + ".0", "removable": True}]
