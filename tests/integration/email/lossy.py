"""A proxy before a Kafka broker that takes produce requests to it and, when told so, loses their answers on the way back."""

import contextlib
import socket
import threading

from harness import process

PRODUCE = 0  # its API key


def read_exactly(source, count):
    data = b""
    while len(data) < count:
        if not (part := source.recv(count - len(data))):
            raise ConnectionError("closed")
        data += part
    return data


def hang_up(connection):
    """Ends what other threads wait for on it; a close would not."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class LossyProxy:
    def __init__(self, broker_port):
        self.broker_port = broker_port
        self.loses = False
        self.deaf = []  # clients whose answers are lost from now on
        self.listener = socket.create_server((process.HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        hang_up(self.listener)
        self.listener.close()
        self.heal()

    def heal(self):
        """Loses no more; those that wait in vain are cut off, so that they connect again."""
        self.loses = False
        for client in self.deaf:
            hang_up(client)
        self.deaf = []

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                broker = socket.create_connection((process.HOST, self.broker_port))
            except OSError:
                return
            for pump in (self.forward_requests, self.forward_answers):
                threading.Thread(target=pump, args=(client, broker), daemon=True).start()

    def forward_requests(self, client, broker):
        try:
            while True:
                size = read_exactly(client, 4)
                request = read_exactly(client, int.from_bytes(size, "big"))
                if self.loses and int.from_bytes(request[:2], "big") == PRODUCE:
                    self.deaf.append(client)
                broker.sendall(size + request)
        except OSError:
            hang_up(broker)

    def forward_answers(self, client, broker):
        try:
            while data := broker.recv(65536):
                if client not in self.deaf:
                    client.sendall(data)
        except OSError:
            pass
        hang_up(client)
