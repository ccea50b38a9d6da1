"""Just enough FTP to have a helper rewrite it: a server, and a client that fetches a file in either mode."""
import socket
import threading

FILE = b"x" * 200_000


class FtpServer:
    """Each connection in a thread of its own: PORT, PASV, RETR, NOOP."""

    def __init__(self, host, address):
        self._host, self._address = host, address
        with host.inside():
            self._listener = socket.create_server((address, 21))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            control, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(control,), daemon=True).start()

    def _serve(self, control):
        lines = control.makefile("rb")
        control.sendall(b"220 ready\r\n")
        open_data = None
        for line in lines:
            verb, _, argument = line.decode().strip().partition(" ")
            if verb == "PORT":
                numbers = argument.split(",")
                target = (".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5]))
                open_data = lambda target=target: self._connect(target)  # noqa: E731
                control.sendall(f"200 will call {target[0]}\r\n".encode())
            elif verb == "PASV":
                with self._host.inside():
                    waiting = socket.create_server((self._address, 0))
                waiting.settimeout(20)
                port = waiting.getsockname()[1]
                open_data = lambda waiting=waiting: waiting.accept()[0]  # noqa: E731
                numbers = ",".join(self._address.split(".") + [str(port // 256), str(port % 256)])
                control.sendall(f"227 entering passive mode ({numbers})\r\n".encode())
            elif verb == "RETR":
                control.sendall(b"150 here it comes\r\n")
                try:
                    with open_data() as data:
                        data.sendall(FILE)
                    control.sendall(b"226 done\r\n")
                except OSError as error:
                    control.sendall(f"425 no data connection: {error}\r\n".encode())
            else:
                control.sendall(b"200 fine\r\n")

    def _connect(self, target):
        with self._host.inside():
            data = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        data.settimeout(20)
        data.bind((self._address, 0))
        data.connect(target)
        return data


class FtpClient:
    """One control connection, kept open."""

    def __init__(self, host, own, server):
        self._host, self._own = host, own
        with host.inside():
            self._control = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._control.settimeout(20)
        self._control.connect((server, 21))
        self._lines = self._control.makefile("rb")
        self.answer()
        self.say("USER nobody")

    def answer(self):
        return self._lines.readline().decode().strip()

    def say(self, line):
        self._control.sendall(line.encode() + b"\r\n")
        return self.answer()

    def prepare_active(self):
        """Announces where the server shall call. The socket that waits there, and the server's answer."""
        with self._host.inside():
            waiting = socket.create_server((self._own, 0))
        waiting.settimeout(20)
        port = waiting.getsockname()[1]
        return waiting, self.say(f"PORT {self._own.replace('.', ',')},{port // 256},{port % 256}")

    def fetch_announced(self, waiting):
        """The number of bytes that came over the announced connection."""
        self.say("RETR file")
        with waiting, waiting.accept()[0] as data:
            count = drain(data)
        self.answer()
        return count

    def fetch_active(self):
        waiting, _ = self.prepare_active()
        return self.fetch_announced(waiting)

    def fetch_passive(self):
        numbers = self.say("PASV").partition("(")[2].partition(")")[0].split(",")
        with self._host.inside():
            data = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with data:
            data.settimeout(20)
            data.connect((".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])))
            self.say("RETR file")
            count = drain(data)
        self.answer()
        return count


def drain(data):
    data.settimeout(20)
    count = 0
    while piece := data.recv(1 << 16):
        count += len(piece)
    return count
