#!/usr/bin/python3
"""The page of a store, in headless Chromium, driven by its own WebDriver: figures, a key looked up, changes as they come, markup in
keys and values shown as text, a token asked for. Skipped where chromium or chromium-driver is not installed."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

import servers
from servers import Server, check, check_in, leat


class Browser:
    """A session of chromedriver: https://www.w3.org/TR/webdriver2/"""

    def __init__(self, driver):
        said = ""
        for _ in range(3):  # the port that it takes may be taken for the other protocol
            self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for line in map(bytes.decode, self.process.stdout):
                said += line
                if "successfully on port " in line:
                    self.base = "http://127.0.0.1:" + line.rsplit("on port ", 1)[1].strip().rstrip(".")
                    break
            else:
                self.process.wait()
                continue
            break
        else:
            raise RuntimeError(f"chromedriver does not start: {said}")
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--user-data-dir=" + os.path.abspath("profile")]
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {"browserName": "chrome",
                                                                              "goog:chromeOptions": {"args": arguments}}}})
        self.base += "/session/" + made["sessionId"]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def submit(self, form, field, text):
        self.run("document.getElementById(arguments[0]).value = arguments[1]; document.getElementById(arguments[2]).requestSubmit()",
                 field, text, form)

    def wait(self, name, what, condition):
        deadline = time.monotonic() + servers.PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                check(name, what(), "something else")
                return
            time.sleep(0.1)
        check(name, True, True)

    def end(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()


def main():
    servers.need_leat_net()
    driver = shutil.which("chromedriver")
    if not driver or not (shutil.which("chromium") or os.path.exists("/usr/bin/chromium")):
        print("chromium or chromium-driver is not installed")
        sys.exit(servers.SKIPPED)
    leat("topic", "create", "source", "-p", "2")
    records = servers.Records("source")
    for i in range(1234):
        records.put(f"key {i}", f"value {i}")
    hostile = "<img src=x onerror=\"document.title='pwned'\">"
    records.put(hostile, hostile)
    records.put("ä/%?#", "odd")
    records.send()
    with open("token", "w", encoding="ascii") as file:
        file.write("secret\n")
    server = Server("prices", "--token-file", "token", "--auto-flush-time", "50ms")
    browser = Browser(driver)
    try:
        browser.go(f"http://127.0.0.1:{server.port}/")
        browser.wait("a token is asked for", lambda: browser.text("state"), lambda: "a token is needed" in browser.text("state"))
        browser.submit("bearer", "token", "secret")
        browser.wait("the keys", lambda: browser.text("keys"), lambda: browser.text("keys") == "1,236")
        check("the store", browser.text("store"), "prices")
        check("the title", browser.run("return document.title"), "leat store prices")
        check_in("the source", "from source", browser.text("source"))
        check("the state", browser.text("state"), "ready")
        check("the partitions", browser.run("return document.querySelectorAll('#partitions tr').length"), 2)
        for key, value in [("key 7", "value 7"), ("ä/%?#", "odd"), (hostile, hostile)]:
            browser.submit("look", "key", key)
            browser.wait(f"the value of {key}", lambda: browser.text("value"), lambda v=value: browser.text("value") == v)
        check("markup is text", browser.run("return document.title"), "leat store prices")
        browser.submit("look", "key", "never")
        browser.wait("an unknown key", lambda: browser.text("about"), lambda: browser.text("about") == "there is no such key")
        browser.submit("look", "key", "key 1")
        browser.wait("before", lambda: browser.text("value"), lambda: browser.text("value") == "value 1")
        records.put("key 1", "changed")
        records.put("more", "x")
        records.send()
        browser.wait("live", lambda: browser.text("value"), lambda: browser.text("value") == "changed")
        browser.wait("live, the keys", lambda: browser.text("keys"), lambda: browser.text("keys") == "1,237")
        server.kill()
        browser.wait("gone", lambda: browser.text("state"), lambda: browser.text("state").startswith("no answer"))
        check("nothing from elsewhere", browser.run(
            "return performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))"), True)
    finally:
        browser.end()
    servers.finish("the page shows what is, and follows it")


if __name__ == "__main__":
    main()
