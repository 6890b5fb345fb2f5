"""A server of one folder over 9P2000.L and TCP, as the guest's own 9p client takes it; it can go away at any moment."""
import errno, os, socket, struct, threading

MSIZE = 128 << 10
IOUNIT = MSIZE - 24


class Server:
    def __init__(self, lab, folder):
        self.lab, self.folder, self.conns, self.written = lab, folder, set(), 0
        self.until = None                                    # bytes written at which it goes away
        self.listen(0)

    def listen(self, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(4)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            self.conns.add(conn)
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def go(self):
        """As if it had crashed."""
        for s in (self.listener, *self.conns):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.conns.clear()

    def serve(self, conn):
        get = conn.makefile("rb").read
        fids = {}                                            # number: [path, descriptor]
        try:
            while head := get(7):
                n, kind, tag = struct.unpack("<IBH", head)
                body = get(n - 7)
                try:
                    reply = getattr(self, f"op_{kind}", self.unknown)(fids, body)
                except OSError as e:
                    kind, reply = 6, struct.pack("<I", e.errno)
                conn.sendall(struct.pack("<IBH", 7 + len(reply), kind + 1, tag) + reply)
        except (OSError, ValueError, struct.error):
            pass                                             # it has gone
        for path, fd in fids.values():
            if fd is not None:
                os.close(fd)

    def unknown(self, fids, body):
        raise OSError(errno.EOPNOTSUPP, "")

    @staticmethod
    def qid(path):
        s = os.stat(path)
        return struct.pack("<BIQ", 0x80 if os.path.isdir(path) else 0, 0, s.st_ino)

    def op_100(self, fids, body):                            # version
        text = b"9P2000.L"
        return struct.pack("<IH", min(MSIZE, struct.unpack_from("<I", body)[0]), len(text)) + text

    def op_104(self, fids, body):                            # attach
        fids[struct.unpack_from("<I", body)[0]] = [self.folder, None]
        return self.qid(self.folder)

    def op_110(self, fids, body):                            # walk
        fid, new, n = struct.unpack_from("<IIH", body)
        path, at, qids = fids[fid][0], 10, b""
        for _ in range(n):
            length = struct.unpack_from("<H", body, at)[0]
            path = os.path.join(path, body[at + 2:at + 2 + length].decode())
            qids += self.qid(path)
            at += 2 + length
        fids[new] = [path, None]
        return struct.pack("<H", n) + qids

    def op_12(self, fids, body):                             # lopen
        fid, flags = struct.unpack("<II", body)
        path = fids[fid][0]
        fids[fid][1] = os.open(path, os.O_RDONLY if os.path.isdir(path) else flags & 3)
        return self.qid(path) + struct.pack("<I", IOUNIT)

    def op_24(self, fids, body):                             # getattr
        path = fids[struct.unpack_from("<I", body)[0]][0]
        s = os.stat(path)
        numbers = (s.st_nlink, 0, s.st_size, 4096, s.st_blocks, int(s.st_atime), 0, int(s.st_mtime), 0, int(s.st_ctime),
                   0, 0, 0, 0, 0)
        return struct.pack("<Q", 0x7FF) + self.qid(path) + struct.pack("<III15Q", s.st_mode, 0, 0, *numbers)

    def op_26(self, fids, body):                             # setattr: none that matters
        return b""

    def op_8(self, fids, body):                              # statfs
        return struct.pack("<IIQQQQQQI", 0x01021997, 4096, 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 0, 255)

    def op_116(self, fids, body):                            # read
        fid, off, n = struct.unpack("<IQI", body)
        data = os.pread(fids[fid][1], min(n, IOUNIT), off)
        return struct.pack("<I", len(data)) + data

    def op_118(self, fids, body):                            # write
        fid, off, n = struct.unpack_from("<IQI", body)
        if self.until is not None and self.written + n > self.until:
            self.until = None
            self.lab.event("9p server goes", written=self.written)
            self.go()
            raise ValueError
        self.written += n
        return struct.pack("<I", os.pwrite(fids[fid][1], body[16:16 + n], off))

    def op_50(self, fids, body):                             # fsync
        os.fsync(fids[struct.unpack_from("<I", body)[0]][1])
        return b""

    def op_52(self, fids, body):                             # lock: granted
        return b"\0"

    def op_120(self, fids, body):                            # clunk
        _, fd = fids.pop(struct.unpack("<I", body)[0])
        if fd is not None:
            os.close(fd)
        return b""

    def op_108(self, fids, body):                            # flush
        return b""
