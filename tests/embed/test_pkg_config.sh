#!/usr/bin/env bash
# What `meson install` puts down is where Debian expects it, and programs outside the tree compile against it through
# pkg-config: one produces, ingests exactly once and consumes in a group, one runs a pipeline of its own stages, one
# keeps a store. The installed leat reads what they wrote.
set -euo pipefail

root=$PWD/root
meson install -C "$LEAT_BUILD" --no-rebuild --destdir "$root" >install.log 2>&1 || { cat install.log; exit 1; }
prefix=$(/usr/bin/python3 - "$LEAT_BUILD" <<'END'
import json, subprocess, sys
options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", sys.argv[1]], capture_output=True).stdout)
print(next(o["value"] for o in options if o["name"] == "prefix"))
END
)
there() { test -s "$root$prefix/$1" || { echo "not installed: $prefix/$1"; find "$root" -type f | head -n 80; exit 1; }; }
there bin/leat
there share/man/man1/leat.1
there share/man/man1/leat-produce.1
there share/man/man5/leat-format.5
there include/leat/backend/backend.h
there share/bash-completion/completions/leat
if [[ $prefix == /usr/local ]]; then there share/zsh/site-functions/_leat; else there share/zsh/vendor-completions/_leat; fi
there share/fish/vendor_completions.d/leat.fish

pc=$(find "$root" -name leat.pc)
export PKG_CONFIG_SYSROOT_DIR=$root
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
# run_program NAME PACKAGE: tests/embed/NAME.cc, built with that package's flags, over a data directory of its own.
run_program() {
  # shellcheck disable=SC2046  # the flags are words
  g++ -std=c++2b -Wall -Wextra "$LEAT_ROOT/tests/embed/$1.cc" $(pkg-config --cflags --libs "$2") -o "$1"
  "./$1" "$PWD/data-$1"
}

run_program program leat >output
diff -u - output <<'END'
acknowledged at offset 0
acknowledged at offset 1
user-1: hello
user-1: again
6000 appended, 0 there already
4000 appended, 6000 there already
10000 counted by two members
END
"$root$prefix/bin/leat" -D "$PWD/data-program" consumer list -O json | grep -q '"consumer": *"program"'
"$root$prefix/bin/leat" -D "$PWD/data-program" consume greetings -Bd -k | diff -u <(printf '[user-1] hello\n[user-1] again\n') -

run_program pipeline leat-pipe >output
diff -u - output <<'END'
301 read, 1 refused, 0 open
sensor-0: 148.500000
sensor-1: 149.500000
sensor-2: 150.500000
sensor-0: "warm" refused
0 read, 0 refused, 0 open
END
"$root$prefix/bin/leat" -D "$PWD/data-pipeline" check consumer means --lag-crit 1

run_program store leat-store >output
diff -u - output <<'END'
apple: 5
pear: none
END
"$root$prefix/bin/leat" -D "$PWD/data-store" topic describe prices-changelog | grep -q compact
