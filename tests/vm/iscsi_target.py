"""The iSCSI side of a model SCSI drive (RFC 7143, error recovery level 0, no digests): login, tasks, data, R2T.
One TCP connection is one session with LUN 0; the SCSI commands themselves are in scsi_disk.py."""
import struct, threading

from drive import OFF, POWER

IQN = "iqn.2024-01.lab.wipeit:"
BURST = 1 << 20                    # MaxBurstLength: one R2T asks for no more than this
ANSWERS = {"AuthMethod": "None", "HeaderDigest": "None", "DataDigest": "None", "InitialR2T": "Yes", "ImmediateData": "No",
           "MaxBurstLength": str(BURST), "FirstBurstLength": "65536", "MaxOutstandingR2T": "1", "MaxConnections": "1",
           "ErrorRecoveryLevel": "0", "DefaultTime2Wait": "0", "DefaultTime2Retain": "0", "DataPDUInOrder": "Yes",
           "DataSequenceInOrder": "Yes", "IFMarker": "No", "OFMarker": "No"}


def reader(conn):
    """A function that gets exactly n bytes from a socket."""
    def get(n):
        buf, have = bytearray(n), 0
        view = memoryview(buf)
        while have < n:
            k = conn.recv_into(view[have:])
            if not k:
                raise EOFError
            have += k
        return bytes(buf)
    return get


class Session:
    def __init__(self, drive, conn):
        self.drive, self.conn, self.get = drive, conn, reader(conn)
        self.lock, self.stat_sn, self.cmd_sn, self.max_in, self.writes = threading.Lock(), 1, 1, 8192, {}

    def send(self, op, flags, itt, fields, data=b"", b2=0, b3=0, lun=0, sn=True):
        """fields: bytes 20-23 and 36-47 as four numbers. sn: this PDU carries a status and uses up a StatSN."""
        with self.lock:
            b = struct.pack(">BBBBIQIIIIIIII", op, flags, b2, b3, len(data), lun, itt, fields[0], self.stat_sn,
                            self.cmd_sn, self.cmd_sn + 32, *fields[1:])
            self.stat_sn += sn
            self.conn.sendall(b + data + bytes(-len(data) % 4))

    def run(self):
        while True:
            bhs = self.get(48)
            self.get(bhs[4] * 4)
            n = int.from_bytes(bhs[5:8], "big")
            data = self.get(n + -n % 4)[:n]
            op, now = bhs[0] & 0x3F, bhs[0] & 0x40
            itt, w20, cmd_sn = struct.unpack_from(">III", bhs, 16)
            if op in (0, 1, 2, 3, 4, 6):
                self.cmd_sn = cmd_sn + (not now and op != 3)
            if op == 3:
                self.login(bhs, itt, data)
            elif op == 0:                                    # NOP-Out: a ping
                if itt != 0xFFFFFFFF:
                    self.send(0x20, 0x80, itt, (0xFFFFFFFF, 0, 0, 0), data)
            elif op == 1:
                self.task(bhs, itt, w20, data)
            elif op == 5:
                self.data_out(bhs, itt, data)
            elif op == 2:                                    # task management: done
                self.drive.lab.event("scsi task management", drive=self.drive.name, function=bhs[1] & 0x7F)
                self.send(0x22, 0x80, itt, (0, 0, 0, 0))
            elif op == 4:                                    # text: SendTargets
                text = f"TargetName={IQN}{self.drive.name}\0TargetAddress=10.0.2.2:{self.drive.port},1\0"
                self.send(0x24, 0x80, itt, (0xFFFFFFFF, 0, 0, 0), text.encode())
            elif op == 6:
                self.send(0x26, 0x80, itt, (0, 0, 0, 0))
                return
            else:
                return

    def login(self, bhs, itt, data):
        out, stage, nxt, transit = [], bhs[1] >> 2 & 3, bhs[1] & 3, bhs[1] & 0x80
        for pair in data.decode().split("\0"):
            key, _, value = pair.partition("=")
            if key == "MaxRecvDataSegmentLength":
                self.max_in = int(value)
                out.append(f"{key}=262144")
            elif key in ANSWERS:
                mine = ANSWERS[key]
                if key in ("MaxBurstLength", "FirstBurstLength"):
                    mine = str(min(int(mine), int(value)))
                    if key[0] == "M":
                        self.burst = int(mine)
                out.append(f"{key}={mine}")
            elif key and key not in ("InitiatorName", "InitiatorAlias", "TargetName", "SessionType"):
                out.append(f"{key}=NotUnderstood")
            elif key == "TargetName":
                out.append("TargetPortalGroupTag=1")
        text = "".join(o + "\0" for o in out).encode()
        with self.lock:
            b = struct.pack(">BBBBI6sHIIIIIHHII", 0x23, (transit and 0x80) | stage << 2 | nxt, 0, 0, len(text), bhs[8:14],
                            1 if transit and nxt == 3 else 0, itt, 0, self.stat_sn, self.cmd_sn, self.cmd_sn + 32, 0, 0, 0, 0)
            self.stat_sn += 1
            self.conn.sendall(b + text + bytes(-len(text) % 4))

    # --- one SCSI command
    def task(self, bhs, itt, edtl, data):
        cdb, lun = bhs[32:48], struct.unpack_from(">Q", bhs, 8)[0]
        if bhs[1] & 0x20 and edtl > len(data):
            self.writes[itt] = [cdb, lun, bytearray(data).ljust(edtl, b"\0"), len(data), 0]
            self.ask(itt)
        else:
            self.execute(itt, cdb, lun, data, edtl, bhs[1])

    def ask(self, itt):
        w = self.writes[itt]
        n = min(getattr(self, "burst", BURST), len(w[2]) - w[3])
        w[4] = w[3] + n
        self.send(0x31, 0x80, itt, (itt, 0, w[3], n), lun=w[1], sn=False)

    def data_out(self, bhs, itt, data):
        w, off = self.writes[itt], struct.unpack_from(">I", bhs, 40)[0]
        w[2][off:off + len(data)] = data
        w[3] = off + len(data)
        if w[3] >= len(w[2]):
            del self.writes[itt]
            self.execute(itt, w[0], w[1], bytes(w[2]), len(w[2]), 0x20)
        elif w[3] >= w[4]:
            self.ask(itt)

    def execute(self, itt, cdb, lun, data, edtl, flags):
        with POWER:
            if OFF.is_set():
                raise EOFError
            answer = self.drive.scsi(cdb, data, lun)
            if OFF.is_set():
                raise EOFError
        self.answer(itt, *answer, edtl, flags)

    def answer(self, itt, status, back, sense, edtl, flags):
        got = min(len(back), edtl) if flags & 0x40 else 0
        step = min(self.max_in, 262144)
        for i, off in enumerate(range(0, got, step)):
            last = off + step >= got
            self.send(0x25, 0x80 if last else 0, itt, (0xFFFFFFFF, i, off, 0), back[off:min(off + step, got)], sn=False)
        left = edtl - got if flags & 0x40 else 0
        more = struct.pack(">H", len(sense)) + sense if sense else b""
        self.send(0x21, 0x80 | (2 if left else 0), itt, (0, 0, 0, left), more, b3=status)
