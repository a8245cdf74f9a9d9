"""Notes over HTTP: GET / lists them, POST / adds one. Asks PostgreSQL by way of psql, so that it needs no library."""

import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def ask(sql, **values):
    """Runs one statement; `:'name'` in it stands for a value."""
    told = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
    command = ["psql", os.environ["DATABASE_URL"], "-qtAX", "-v", "ON_ERROR_STOP=1", *told]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, timeout=10)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


class Notes(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self):
        """Whether it works, or the notes."""
        self.answer("select 1" if self.path == "/healthz" else "select id || ' ' || text from notes order by id")

    def do_POST(self):
        """Adds a note."""
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.answer("insert into notes (text) values (:'text') returning id", text=text)

    def answer(self, sql, **values):
        """Answers with what a statement returns."""
        try:
            status, body = 200, ask(sql, **values)
        except Exception as error:
            status, body = 500, f"{error}\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), int(os.environ["PORT"])), Notes).serve_forever()
