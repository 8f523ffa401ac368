"""nginx and ClickHouse themselves, on loopback, with all they write in a directory of the test."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import driving  # noqa: E402
import servers  # noqa: E402

USER, PASSWORD = "loader", "l0ader's secret"


def missing(*programs):
    """Why a test cannot run here, or ''."""
    absent = [name for name in programs if not shutil.which(name)]
    return f"{', '.join(absent)}: not installed" if absent else ""


def need(*programs):
    """Ends a test, visibly skipped, where the sinks or these programs are not there."""
    driving.need_sinks()
    why = missing(*programs)
    if why:
        driving.skip(why)


class Clickhouse:
    """A server that can be stopped and started again, on the same ports and data. Who loads has a profile that would cut batches
    into small blocks, and pass over bad rows."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.http, self.tcp = servers.free_port(), servers.free_port()
        self.process = None
        for name in ("data", "tmp"):
            os.makedirs(os.path.join(self.directory, name))
        with open(self.path("config.xml"), "w", encoding="ascii") as file:
            file.write(f"""<yandex>
  <logger><level>information</level><log>{self.path("server.log")}</log><errorlog>{self.path("error.log")}</errorlog></logger>
  <http_port>{self.http}</http_port> <tcp_port>{self.tcp}</tcp_port> <listen_host>127.0.0.1</listen_host>
  <path>{self.path("data/")}</path> <tmp_path>{self.path("tmp/")}</tmp_path> <users_config>{self.path("users.xml")}</users_config>
  <default_profile>default</default_profile> <default_database>default</default_database> <mark_cache_size>67108864</mark_cache_size>
</yandex>
""")
        local = "<networks><ip>127.0.0.1</ip></networks><quota>default</quota>"
        with open(self.path("users.xml"), "w", encoding="ascii") as file:
            file.write(f"""<yandex>
  <profiles>
    <default/>
    <loading> <max_insert_block_size>100</max_insert_block_size> <min_insert_block_size_rows>100</min_insert_block_size_rows>
      <input_format_allow_errors_num>10</input_format_allow_errors_num> </loading>
    <looking><readonly>1</readonly></looking>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default> <password></password> {local} <profile>default</profile> </default>
    <{USER}> <password>{PASSWORD}</password> {local} <profile>loading</profile> </{USER}>
    <reader> <password></password> {local} <profile>looking</profile> </reader>
  </users>
</yandex>
""")
        with open(self.path("password"), "w", encoding="ascii") as file:
            file.write(PASSWORD + "\n")

    def path(self, name):
        return os.path.join(self.directory, name)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http}"

    def start(self):
        with open(self.path("output"), "ab") as output:
            self.process = subprocess.Popen(["clickhouse-server", "--config-file", self.path("config.xml")], cwd=self.directory,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        servers.wait_for(self.http, self.process, "clickhouse-server", self.path("output"))
        deadline = time.monotonic() + 30
        while True:
            try:
                self.ask("SELECT 1")
                return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self, kind=signal.SIGTERM):
        self.process.send_signal(kind)
        self.process.wait()

    def ask(self, query):
        """The rows of a query, of tab-separated fields."""
        request = urllib.request.Request(self.url, data=query.encode(), headers={"X-ClickHouse-User": "default"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{query}: {error.read().decode()}") from error
        return [line.split("\t") for line in text.splitlines()]

    def settings(self, table, more=""):
        """The keys of a sink into `table`."""
        return f'url = "{self.url}"\ntable = "{table}"\nuser = "{USER}"\npassword_file = "{self.path("password")}"\n{more}'


@contextlib.contextmanager
def clickhouse(directory):
    server = Clickhouse(directory)
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)  # its data go anyway


class Nginx:
    """Takes what is sent to /in and writes it to a log. A file with the name of a mood in its directory changes its ways:
    fail (500), close (the connection, without an answer), hang (no answer), busy (429 with Retry-After: 1)."""

    MOODS = ("fail", "close", "hang", "busy")

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        os.makedirs(self.directory)
        self.port, self.back = servers.free_port(), servers.free_port()
        # Connections to it are taken by the kernel, and never answered.
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=100)
        root = self.directory
        temporary = " ".join(f"{name}_temp_path {root}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # Else its worker is somebody who may not see the test's directory.
        user = "user root;" if os.geteuid() == 0 else ""
        with open(self.path("nginx.conf"), "w", encoding="ascii") as file:
            file.write(f"""{user} daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; {temporary} client_max_body_size 1m; client_body_buffer_size 1m;
  log_format taken escape=json '{{"status":"$status","uri":"$request_uri","who":"$http_authorization","body":"$request_body"}}';
  server {{
    listen 127.0.0.1:{self.port};
    location /in {{
      if (-f {root}/fail) {{ return 500; }}
      if (-f {root}/close) {{ return 444; }}
      if (-f {root}/hang) {{ rewrite ^ /hang last; }}
      if (-f {root}/busy) {{ rewrite ^ /busy last; }}
      proxy_pass http://127.0.0.1:{self.back}; access_log {root}/taken.log taken;
    }}
    location /hang {{ internal; proxy_pass http://127.0.0.1:{self.silent.getsockname()[1]}; }}
    location /busy {{ internal; add_header Retry-After 1 always; return 429; }}
  }}
  server {{ listen 127.0.0.1:{self.back}; return 204; }}
}}
""")
        with open(self.path("output"), "wb") as output:
            self.process = subprocess.Popen(["nginx", "-p", root, "-c", self.path("nginx.conf")], stderr=output)
        servers.wait_for(self.port, self.process, "nginx", self.path("output"))

    def path(self, name):
        return os.path.join(self.directory, name)

    def mood(self, name=""):
        """Takes on a mood, or is itself again."""
        for one in self.MOODS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(one))
        if name:
            with open(self.path(name), "wb"):
                pass

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.silent.close()


@contextlib.contextmanager
def nginx(directory):
    server = Nginx(directory)
    try:
        yield server
    finally:
        server.stop()
