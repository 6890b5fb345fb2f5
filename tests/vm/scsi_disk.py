"""A model SCSI disk (SBC-4) behind iSCSI: what QEMU's own have not, blocks of 520 bytes and drives that are not ready."""
import socket, struct

from drive import OFF, Drive
from iscsi_target import IQN, Session

# sense key, ASC, ASCQ
BAD_OPCODE, BAD_CDB, BAD_LBA, BAD_LUN = (5, 0x20, 0), (5, 0x24, 0), (5, 0x21, 0), (5, 0x25, 0)
READ_ERROR, WRITE_ERROR = (3, 0x11, 0), (3, 0xC, 0)
NOT_READY = {"locked": (2, 4, 3), "asleep": (2, 4, 0xB), "sanitizing": (2, 4, 0x1B)}
GOOD = (0, b"", b"")


def check(sense):
    key, asc, ascq = sense
    return 2, b"", bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0])


class ScsiDrive(Drive):
    """Options of its own: `lbs` of any size, `state=locked|asleep|sanitizing`, `ata` (it has ATA information)."""
    before = "mkdir -p /run/lock/iscsi; iscsid\n"   # in the guest, once

    def __init__(self, lab, spec):
        super().__init__(lab, spec)
        self.pages = [0, 0x80, 0x83] + [0x89] * ("ata" in self.opt) + [0xB0, 0xB1]

    def listen(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4)
        self.port = self.listener.getsockname()[1]

    def devices(self):
        return []                                            # nothing that QEMU knows of

    def attach(self):
        """Shell lines that connect the guest to it."""
        node = f"iscsiadm -m node -T {IQN}{self.name} -p 10.0.2.2:{self.port},1"
        return f"{node} -o new >/dev/null && {node} --login >/dev/null\n"

    def talk(self, conn):
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Session(self, conn).run()

    def capacity(self):
        return self.size // self.lbs

    # --- commands
    def scsi(self, cdb, data, lun):
        op = cdb[0]
        if op not in (0x12, 0xA0, 3):
            if lun:
                return check(BAD_LUN)
            if self.opt.get("state") in NOT_READY:
                return check(NOT_READY[self.opt["state"]])
        do = getattr(self, f"op_{op:02x}", None)
        return do(cdb, data) if do else check(BAD_OPCODE)

    def op_00(self, cdb, data):
        return GOOD

    op_1e = op_1b = op_55 = op_15 = op_2f = op_8f = op_00     # PREVENT ALLOW, START STOP, MODE SELECT, VERIFY

    def op_03(self, cdb, data):                              # REQUEST SENSE
        sense = check(NOT_READY.get(self.opt.get("state"), (0, 0, 0)))[2]
        return 0, sense[:cdb[4]], b""

    def op_12(self, cdb, data):                              # INQUIRY
        n = struct.unpack_from(">H", cdb, 3)[0]
        pad = lambda s, k: s.encode()[:k].ljust(k)
        if not cdb[1] & 1:
            b = bytes([0, 0, 6, 2, 91, 0, 0, 2]) + pad(self.opt.get("vendor", "LAB"), 8) + \
                pad(self.opt.get("model", "MODEL SCSI"), 16) + pad("1.0", 4)
            b = b.ljust(58, b"\0") + struct.pack(">HHH", 0xA0, 0x0460, 0x04C0)   # SAM-5, SPC-4, SBC-3
            return 0, b.ljust(96, b"\0")[:n], b""
        if cdb[2] not in self.pages:
            return check(BAD_CDB)
        page = self.vpd(cdb[2])
        return 0, (bytes([0, cdb[2]]) + struct.pack(">H", len(page)) + page)[:n], b""

    def vpd(self, page):
        if page == 0:
            return bytes(self.pages)
        if page == 0x80:
            return self.serial.encode()
        if page == 0x83:
            return bytes([1, 3, 0, 8]) + (0x5000C500A1B20000 + self.wwn).to_bytes(8, "big")
        if page == 0x89:                                     # SAT-4, 12.4.2: signature and IDENTIFY DEVICE
            return (bytes(4) + b"linux   libata          3.00" + bytes(20) + b"\xec\0\0\0").ljust(568, b"\0")
        if page == 0xB0:
            return struct.pack(">BBHIII", 0, 0, 1, 2048, 2048, 0).ljust(60, b"\0")
        return struct.pack(">H", 7200).ljust(60, b"\0")      # B1: it rotates

    def op_a0(self, cdb, data):                              # REPORT LUNS
        return 0, struct.pack(">IIQ", 8, 0, 0), b""

    def op_25(self, cdb, data):                              # READ CAPACITY
        return 0, struct.pack(">II", min(self.capacity() - 1, 0xFFFFFFFF), self.lbs), b""

    def op_9e(self, cdb, data):
        if cdb[1] & 31 != 0x10:
            return check(BAD_CDB)
        answer = struct.pack(">QIBBH", self.capacity() - 1, self.lbs, 0, 0, 0).ljust(32, b"\0")
        return 0, answer[:struct.unpack_from(">I", cdb, 10)[0]], b""

    def op_1a(self, cdb, data, ten=False):                   # MODE SENSE: error recovery, caching, control pages
        page, pc = cdb[2] & 63, cdb[2] >> 6
        out = b""
        if page in (1, 0x3F):
            out += bytes([1, 10, 0x80 if pc != 1 else 0]) + bytes(9)
        if page in (8, 0x3F):
            out += bytes([8, 18, 4 if pc != 1 else 0]) + bytes(17)
        if page in (0xA, 0x3F):
            out += bytes([0xA, 10]) + bytes(10)
        if not out:
            return check(BAD_CDB)
        out = struct.pack(">HBBBBH", len(out) + 6, 0, 0x10, 0, 0, 0) + out if ten else bytes([len(out) + 3, 0, 0x10, 0]) + out
        return 0, out[:struct.unpack_from(">H", cdb, 7)[0] if ten else cdb[4]], b""

    def op_5a(self, cdb, data):
        return self.op_1a(cdb, data, True)

    def rw(self, cdb, data, write):
        op = cdb[0] & 0xE0
        if op == 0:
            lba, n = int.from_bytes(cdb[1:4], "big") & 0x1FFFFF, cdb[4] or 256
        elif op == 0x20:
            lba, n = struct.unpack(">xxIxHx", cdb[:10])
        else:
            lba, n = struct.unpack(">xxQIxx", cdb[:16]) if op == 0x80 else struct.unpack(">xxIIxx", cdb[:12])
        if lba + n > self.capacity():
            return check(BAD_LBA)
        off, n = lba * self.lbs, n * self.lbs
        if not n:
            return GOOD
        if write:
            return GOOD if self.change(off, data[:n], op and cdb[1] & 8) else check(WRITE_ERROR)
        back = self.read(off, n)
        return check(READ_ERROR) if back is None else (0, back, b"")

    def op_28(self, cdb, data):
        return self.rw(cdb, data, False)

    def op_2a(self, cdb, data):
        return self.rw(cdb, data, True)

    op_08 = op_88 = op_a8 = op_28
    op_0a = op_8a = op_aa = op_2a

    def op_35(self, cdb, data):                              # SYNCHRONIZE CACHE
        self.flushes += 1
        self.lab.flushing(self)
        return GOOD if OFF.is_set() or self.flush() else check(WRITE_ERROR)

    op_91 = op_35
