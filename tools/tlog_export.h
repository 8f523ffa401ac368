// `leat inspect proof --export-tlog`: a partition as a static transparency log (C2SP tlog-tiles), a directory that any
// web server can serve and other people's verifiers read.
//
//   checkpoint            the tree: a note, signed or not; written last, so that all it vouches for is there
//   tile/<L>/<N>          256 hashes of 32 bytes, of the subtrees of 256^L records from N * 256 on
//   tile/entries/<N>      256 entries, each its length (u16, big-endian) and the canonical record; a record that is no
//                         longer there is an empty entry
//   ... .p/<W>            the same of the W at the end that are not 256 yet
//
// N is written as x001/x234/067. An export is continued by the next one, which writes only what is new.
#pragma once

#include <optional>
#include <string>

#include "leat/base/error.h"
#include "leat/log/topic.h"
#include "leat/proof/checkpoint.h"

namespace leat::tools {

struct ExportedTlog {
  std::uint64_t size = 0;      // of the tree that is there now
  std::uint64_t old_size = 0;  // and that was there before
};

// Exports all durable records of a partition into `path`, which is made when it is missing; else it has to be empty, or
// to hold an earlier export of the same tree. Durable on return; `progress` shows it on the way. On an error the
// directory holds what it held before, but for tiles that no checkpoint speaks of. Errors: usage (records that are
// needed have been retired, or the topic keeps no proofs), exists (the directory holds something else), bad_data (a
// record too large for an entry, or an earlier export that this tree does not continue), damaged, permission, io,
// interrupted.
Result<ExportedTlog> export_tlog(Topic& topic, PartitionId id, const std::string& path, const SigningKey* key,
                                 bool progress);

}  // namespace leat::tools
