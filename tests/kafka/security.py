"""TLS and SASL by librdkafka's properties, as a user gives them, against nodes that want both: who is let in, who is not and why, and
that no secret is ever shown."""

import os
import re
import subprocess
import threading
import time

import load

USER = "leat"
WRONG = "not-the-password-0815"


BRIEF = ["PLAIN, right", "SCRAM-SHA-256, right", "SCRAM-SHA-256, wrong password", "wrong CA", "plain text to a TLS port",
         "from the settings file", "a password in the URL"]


class Case:
    """One way to ask, what must come of it, and a part of what must be said."""

    def __init__(self, name, status, says, url="", env=None, config=""):
        self.name, self.status, self.says, self.url, self.env, self.config = name, status, says, url, env or {}, config


def accounts(path):
    with open(path, encoding="ascii") as file:
        return re.search("password=(.*)", file.read())[1]


def cases(ca, wrong_ca, password):
    tls = f"?security.protocol=sasl_ssl&ssl.ca.location={ca}"
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        who = f"{tls}&sasl.mechanism={mechanism}&sasl.username={USER}"
        yield Case(f"{mechanism}, right", 0, "", who, {"LEAT_KAFKA_SASL_PASSWORD": password})
        yield Case(f"{mechanism}, wrong password", 77, "uthentication", who, {"LEAT_KAFKA_SASL_PASSWORD": WRONG})
        yield Case(f"{mechanism}, unknown user", 77, "uthentication", who.replace(f"username={USER}", "username=nobody"),
                   {"LEAT_KAFKA_SASL_PASSWORD": password})
        yield Case(f"{mechanism}, no password", 78, "sasl.password", who)
    who = f"&sasl.mechanism=PLAIN&sasl.username={USER}"
    right = {"LEAT_KAFKA_SASL_PASSWORD": password}
    yield Case("wrong CA", 78, "certificate", f"?security.protocol=sasl_ssl&ssl.ca.location={wrong_ca}{who}", right)
    yield Case("no CA", 78, "certificate", f"?security.protocol=sasl_ssl{who}", right)
    yield Case("a CA that is not there", 78, "nowhere.pem", f"?security.protocol=sasl_ssl&ssl.ca.location=nowhere.pem{who}", right)
    yield Case("plain text to a TLS port", 69, "SSL listener")
    yield Case("SASL in plain text to a TLS port", 69, "SSL listener", f"?security.protocol=sasl_plaintext{who}", right)
    yield Case("TLS without SASL", 69, "require SASL", f"?security.protocol=ssl&ssl.ca.location={ca}")
    yield Case("a mechanism that nobody has", 78, "NOVEL", f"{tls}&sasl.mechanism=NOVEL&sasl.username={USER}", right)
    yield Case("a mechanism that the broker has not", 77, "SCRAM-SHA-512", f"{tls}&sasl.mechanism=SCRAM-SHA-512&sasl.username={USER}", right)
    yield Case("a password in the URL", 2, "LEAT_KAFKA_SASL_PASSWORD", f"{tls}&sasl.mechanism=PLAIN&sasl.password={WRONG}")
    yield Case("from the settings file", 0, "", config=f'security.protocol = "sasl_ssl"\nssl.ca.location = "{ca}"\n'
               f'sasl.mechanism = "SCRAM-SHA-256"\nsasl.username = "{USER}"\nsasl.password = "{password}"\n')
    yield Case("a wrong password from the settings file", 77, "uthentication", config=f'security.protocol = "sasl_ssl"\n'
               f'ssl.ca.location = "{ca}"\nsasl.mechanism = "PLAIN"\nsasl.username = "{USER}"\nsasl.password = "{WRONG}"\n')


def make_ca(directory):
    """A CA that has signed nothing here."""
    path = os.path.join(directory, "other-ca.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                    "/CN=another CA", "-keyout", os.path.join(directory, "other-ca.key"), "-out", path], check=True, capture_output=True)
    return path


class Watch:
    """Looks at the command lines of all processes while it lives, for secrets in them."""

    def __init__(self, secrets):
        self.secrets, self.found, self.over = [secret.encode() for secret in secrets], set(), False
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.over:
            for process in filter(str.isdecimal, os.listdir("/proc")):
                try:
                    with open(f"/proc/{process}/cmdline", "rb") as file:
                        line = file.read()
                except OSError:
                    continue
                # The case of a password in the URL is the user's own mistake, and refused.
                if any(secret in line for secret in self.secrets) and b"sasl.password=" not in line:
                    self.found.add(line)
            time.sleep(0.02)

    def end(self):
        self.over = True
        self.thread.join()
        return self.found


def check_case(case, servers, verbose, secrets):
    env = {key: value for key, value in os.environ.items() if not key.startswith("LEAT_KAFKA_")} | case.env
    if case.config:
        with open("config.toml", "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("[kafka]\n" + case.config)
        env["LEAT_CONFIG"] = os.path.abspath("config.toml")
    flags = ["-v"] if verbose else []
    url = f"kafka://{servers}{case.url}" + (("&" if case.url else "?") + "debug=all" if verbose else "")
    began = time.monotonic()
    done = subprocess.run([load.LEAT, *flags, "-D", url, "--lock-timeout", "2s", "topic", "list", "--names"], env=env,
                          capture_output=True, text=True, timeout=60)
    seconds = time.monotonic() - began
    text = done.stdout + done.stderr
    complaints = []
    if done.returncode != case.status:
        complaints.append(f"status {done.returncode}, expected {case.status}")
    if case.says not in done.stderr:
        complaints.append(f"{case.says!r} is not said")
    if case.status in (69, 77) and servers.split(",")[0] not in done.stderr:
        complaints.append("no broker is named")
    if case.status and len(re.findall("^leat: error: ", done.stderr, re.M)) != 1:
        complaints.append("not one error")
    if any(secret in text for secret in secrets):
        complaints.append("A SECRET IS SHOWN")
    if seconds > 9:
        complaints.append(f"it took {seconds:.1f} s")
    if verbose and case.status == 0 and "kafka: " not in done.stderr:
        complaints.append("-v says nothing")
    return [f"{case.name}{' -v' if verbose else ''}: {', '.join(complaints)}: {done.stderr[-1500:]}"] if complaints else []


def check(nodes, _, brief=False):
    password = accounts(nodes.facts["sasl"])
    wrong_ca = make_ca(os.getcwd())
    secrets = [password, WRONG]
    watch = Watch(secrets)
    complaints, count = [], 0
    try:
        for case in cases(nodes.facts["ca"], wrong_ca, password):
            if brief and case.name not in BRIEF:
                continue
            for verbose in [False] if brief else [False, True]:
                count += 1
                complaints += check_case(case, nodes.servers, verbose, secrets)
    finally:
        shown = watch.end()
    complaints += [f"a secret is in the list of processes: {line!r}" for line in shown]
    if complaints:
        raise load.Wrong("\n".join(complaints))
    return f"{count} ways to be let in or not"
