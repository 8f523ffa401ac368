#!/bin/sh
# embed_texts.sh HEADER NAME FILE [NAME FILE]...: writes a C++ header in which each NAME is the text of its FILE.
set -eu
header=$1
shift
{
  printf '#pragma once\n\n#include <string_view>\n\nnamespace leat::tools {\n\n'
  while [ $# -ge 2 ]; do
    printf 'inline constexpr std::string_view %s = R"LEAT(' "$1"
    cat "$2"
    printf ')LEAT";\n\n'
    shift 2
  done
  printf '}  // namespace leat::tools\n'
} > "$header"
