#!/usr/bin/env bash
# What `meson install` puts down is where Debian expects it, and a program outside the tree compiles against it through
# pkg-config, produces, ingests exactly once and consumes in a group; the installed leat reads what the program wrote.
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
# shellcheck disable=SC2046  # the flags are words
g++ -std=c++2b -Wall -Wextra "$LEAT_ROOT/tests/embed/program.cc" $(pkg-config --cflags --libs leat) -o program

./program "$PWD/data" >output
diff -u - output <<'END'
acknowledged at offset 0
acknowledged at offset 1
user-1: hello
user-1: again
6000 appended, 0 there already
4000 appended, 6000 there already
10000 counted by two members
END
"$root$prefix/bin/leat" -D "$PWD/data" consumer list -O json | grep -q '"consumer": *"program"'
"$root$prefix/bin/leat" -D "$PWD/data" consume greetings -Bd -k | diff -u <(printf '[user-1] hello\n[user-1] again\n') -
