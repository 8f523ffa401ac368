// `leat inspect dump --hex`: the batches of a partition field by field, damaged ones as far as they go.
#pragma once

#include <vector>

#include "leat/log/inspection.h"
#include "tools/output.h"

namespace leat::tools {

const std::vector<Column>& hex_dump_columns();

// A row for every field of what lies in `range`; with `deep`, for those of the records too. Errors: not_found, io,
// interrupted.
Result<void> hex_dump(const Topic& topic, PartitionId id, OffsetRange range, bool deep, RowPrinter& rows,
                      InspectionFindings& findings);

}  // namespace leat::tools
